package kvcache

import (
	"crypto/sha256"
	"encoding/binary"
)

// Digest names a state by what it stands for and how it came about: the model, ids and media, and the forward calls.
// Lower tiers address blocks by it.
type Digest [sha256.Size]byte

// digest chains the calls of b, oldest first, each over the ids that it fed.
func (c *Cache) digest(b *block) Digest {
	path := make([]atom, b.end())
	for n := b.node; n.parent != nil; n = n.parent {
		copy(path[n.start:], n.edge)
	}
	var list []*provenance
	for p := b.calls; p != nil; p = p.prev {
		list = append(list, p)
	}
	d := Digest(sha256.Sum256([]byte(b.tree().Fingerprint)))
	for i := len(list) - 1; i >= 0; i-- {
		p := list[i]
		buf := append([]byte(nil), d[:]...)
		for _, n := range []int{p.start, p.width, p.count, p.batch, len(p.beyond)} {
			buf = binary.LittleEndian.AppendUint64(buf, uint64(n))
		}
		buf = c.alphabet.spell(buf, path[p.start:p.end()])
		buf = c.alphabet.spell(buf, p.beyond)
		d = sha256.Sum256(buf)
	}
	return d
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
