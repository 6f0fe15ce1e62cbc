package tokenizer

import "encoding/json"

// splitter finds the special tokens that are written out in a text, as the
// library does before anything else: at every place the longest of the added
// tokens that starts there, from left to right. What lies between two special
// tokens is then normalized, split and merged on its own, so its ids depend on
// nothing outside of it.
//
// That holds for added tokens that are matched in the text as it is. A
// tokenizer with tokens that take white space along (lstrip, rstrip) or look
// at their neighbours (single_word), or with a pre-tokenizer that treats the
// text's first word in its own way, gets no splitter.
type splitter struct {
	next    map[uint32]int32 // trie: node<<8 | byte → node; the root is node 0
	tokens  []int32          // by node: the added token that ends there, or -1
	special map[int32]bool
	starts  [256]bool // bytes that begin an added token
}

// cut is a special token in a text.
type cut struct {
	start, end int // bytes
	id         int32
}

func newSplitter(added []addedToken, preTokenizer []byte) *splitter {
	if !piecewise(preTokenizer) {
		return nil
	}
	s := &splitter{next: map[uint32]int32{}, tokens: []int32{-1}, special: map[int32]bool{}}
	for _, t := range added {
		switch {
		case t.Normalized || t.Content == "":
			continue // matched later, inside of what lies between the others
		case t.SingleWord || t.LStrip || t.RStrip:
			return nil
		}
		s.add(t)
	}
	return s
}

func (s *splitter) add(t addedToken) {
	s.starts[t.Content[0]] = true
	node := int32(0)
	for i := range len(t.Content) {
		edge := uint32(node)<<8 | uint32(t.Content[i])
		child, ok := s.next[edge]
		if !ok {
			child = int32(len(s.tokens))
			s.next[edge] = child
			s.tokens = append(s.tokens, -1)
		}
		node = child
	}
	s.tokens[node] = t.ID
	s.special[t.ID] = t.Special
}

// cuts lists the special tokens of a text, in order.
func (s *splitter) cuts(text string) []cut {
	var found []cut
	for at := 0; at < len(text); {
		if !s.starts[text[at]] {
			at++
			continue
		}
		id, end := s.longest(text, at)
		switch {
		case id < 0:
			at++
			continue
		case s.special[id]:
			found = append(found, cut{at, end, id})
		}
		at = end
	}
	return found
}

// longest is the longest added token that starts at a place; id is -1 when there is none.
func (s *splitter) longest(text string, at int) (id int32, end int) {
	id = -1
	node := int32(0)
	for i := at; i < len(text); i++ {
		child, ok := s.next[uint32(node)<<8|uint32(text[i])]
		if !ok {
			break
		}
		node = child
		if s.tokens[node] >= 0 {
			id, end = s.tokens[node], i+1
		}
	}
	return id, end
}

// piecewise tells whether a pre-tokenizer looks at a piece of text only, never
// at where it stands. Those not named here are not known to.
func piecewise(raw []byte) bool {
	if len(raw) == 0 || string(raw) == "null" {
		return true
	}
	var spec struct {
		Type          string            `json:"type"`
		PrependScheme string            `json:"prepend_scheme"`
		PreTokenizers []json.RawMessage `json:"pretokenizers"`
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		return false
	}
	switch spec.Type {
	case "Split", "ByteLevel", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit":
		return true
	case "Metaspace":
		return spec.PrependScheme == "always" || spec.PrependScheme == "never"
	case "Sequence":
		for _, child := range spec.PreTokenizers {
			if !piecewise(child) {
				return false
			}
		}
		return true
	}
	return false
}
