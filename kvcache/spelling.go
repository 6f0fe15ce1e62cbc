package kvcache

import (
	"encoding/binary"
	"errors"
)

// Spelling is ids and media as bytes that mean the same in every process.
type Spelling struct {
	data []byte
	ends []int // of each id's bytes; nil: four bytes each
}

// Spell spells a sequence.
func (c *Cache) Spell(s Sequence) (Spelling, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.alphabet.atoms(s)
	if err != nil {
		return Spelling{}, err
	}
	return c.alphabet.spelling(x), nil
}

func (a *alphabet) spelling(x []atom) Spelling {
	out := Spelling{data: a.spell(make([]byte, 0, 4*len(x)), x)}
	if len(out.data) == 4*len(x) {
		return out
	}
	at := 0
	for i := range x {
		at += len(a.spell(nil, x[i:i+1]))
		out.ends = append(out.ends, at)
	}
	return out
}

// Len is the number of ids.
func (s Spelling) Len() int {
	if s.ends == nil {
		return len(s.data) / 4
	}
	return len(s.ends)
}

// Slice is ids [from, to).
func (s Spelling) Slice(from, to int) []byte { return s.data[s.offset(from):s.offset(to)] }

func (s Spelling) offset(at int) int {
	switch {
	case s.ends == nil:
		return 4 * at
	case at == 0:
		return 0
	}
	return s.ends[at-1]
}

// spell writes atoms so that they mean the same in every process.
func (a *alphabet) spell(buf []byte, x []atom) []byte {
	for _, v := range x {
		if v >= 0 {
			buf = binary.LittleEndian.AppendUint32(buf, uint32(v))
			continue
		}
		m := a.media[-1-v]
		buf = binary.LittleEndian.AppendUint32(buf, 1<<31|uint32(m.id))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(m.width))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(len(m.identity)))
		buf = append(buf, m.identity...)
	}
	return buf
}

var errSpelling = errors.New("kvcache: these bytes spell no ids")

// unspell is the inverse of spell. The bytes may be anything.
func (a *alphabet) unspell(b []byte) ([]atom, error) {
	var out []atom
	le := binary.LittleEndian
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, errSpelling
		}
		id := le.Uint32(b)
		if b = b[4:]; id < 1<<31 {
			out = append(out, atom(id))
			continue
		}
		if len(b) < 16 {
			return nil, errSpelling
		}
		width, n := le.Uint64(b), le.Uint64(b[8:])
		if b = b[16:]; n > uint64(len(b)) || width > 1<<31 {
			return nil, errSpelling
		}
		out = append(out, a.number(mediaAtom{int32(id &^ (1 << 31)), string(b[:n]), int(width)}))
		b = b[n:]
	}
	return out, nil
}
