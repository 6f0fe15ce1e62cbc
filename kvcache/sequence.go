package kvcache

import (
	"fmt"
)

// Sequence is token ids and the media that stand in some of them.
type Sequence struct {
	IDs   []int32
	Media []Media // in order, apart from each other
}

// Media is one image or sound: ids [From, To) stand for it. Such ids are equal to others only where the identities and
// the lengths are, too.
type Media struct {
	From, To int
	Identity string // of the content, e.g. its hash
}

// atom is what the tree compares: a token id, or, below zero, the number of an id within media. So a prompt without
// media is its own list of atoms.
type atom = int32

// mediaAtom is an id of a medium. The width is part of it: two images side by side are not one twice as wide.
type mediaAtom struct {
	id       int32
	identity string
	width    int
}

// alphabet numbers the media atoms that were met.
type alphabet struct {
	numbers map[mediaAtom]atom
	media   []mediaAtom // media[i] has number -1-i
}

// atoms translates a sequence. Without media the result is s.IDs itself.
func (a *alphabet) atoms(s Sequence) ([]atom, error) {
	for i, id := range s.IDs {
		if id < 0 {
			return nil, fmt.Errorf("kvcache: id %d of the sequence is %d", i, id)
		}
	}
	if len(s.Media) == 0 {
		return s.IDs, nil
	}
	out := append([]atom(nil), s.IDs...)
	end := 0
	for _, m := range s.Media {
		if m.From < end || m.To <= m.From || m.To > len(s.IDs) {
			return nil, fmt.Errorf("kvcache: media %q at [%d, %d) of %d ids, behind one that ends at %d", m.Identity, m.From, m.To, len(s.IDs), end)
		}
		end = m.To
		for i := m.From; i < m.To; i++ {
			out[i] = a.number(mediaAtom{s.IDs[i], m.Identity, m.To - m.From})
		}
	}
	return out, nil
}

func (a *alphabet) number(m mediaAtom) atom {
	n, ok := a.numbers[m]
	if !ok {
		if a.numbers == nil {
			a.numbers = map[mediaAtom]atom{}
		}
		a.media = append(a.media, m)
		n = atom(-len(a.media))
		a.numbers[m] = n
	}
	return n
}

// id is the token id of an atom.
func (a *alphabet) id(x atom) int32 {
	if x < 0 {
		return a.media[-1-x].id
	}
	return x
}

// sequence translates back. A list that begins within a medium gets its rest as a medium.
func (a *alphabet) sequence(x []atom) Sequence {
	s := Sequence{IDs: make([]int32, len(x))}
	for i, v := range x {
		s.IDs[i] = a.id(v)
		if v >= 0 {
			continue
		}
		m := a.media[-1-v]
		if n := len(s.Media); n > 0 {
			if last := &s.Media[n-1]; last.To == i && last.Identity == m.identity && last.To-last.From < m.width {
				last.To++
				continue
			}
		}
		s.Media = append(s.Media, Media{From: i, To: i + 1, Identity: m.identity})
	}
	return s
}

// outside moves an offset that lies within a medium to its beginning: what a model computes of half an image is not what
// it computes of the whole.
func outside(media []Media, at int) int {
	for _, m := range media {
		if m.From < at && at < m.To {
			return m.From
		}
	}
	return at
}

// common is the length of the longest common prefix.
func common[T comparable](a, b []T) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
