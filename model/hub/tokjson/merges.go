package tokjson

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// merge joins two pieces into the piece of a vocabulary.
type merge struct {
	left, right int32 // ids
	score       float32
	// lengths of the two in characters
	leftLen, rightLen int
}

// merges lists every way in which a piece is two other pieces, best first. BPE
// applies the first that fits, which is what SentencePiece does with scores;
// the order among equal scores is the one that Hugging Face's converter uses.
func (v *Vocab) merges() []merge {
	ids := make(map[string]int32, len(v.Pieces))
	for id, piece := range v.Pieces {
		if v.mergeable(id) {
			ids[piece] = int32(id)
		}
	}
	var all []merge
	for id, piece := range v.Pieces {
		if !v.mergeable(id) {
			continue
		}
		first := len(all)
		for at := range piece { // character boundaries
			left, ok := ids[piece[:at]]
			if !ok {
				continue
			}
			if right, ok := ids[piece[at:]]; ok {
				all = append(all, merge{left, right, v.score(id),
					utf8.RuneCountInString(piece[:at]), utf8.RuneCountInString(piece[at:])})
			}
		}
		slices.SortFunc(all[first:], func(a, b merge) int {
			return cmp.Or(cmp.Compare(a.left, b.left), cmp.Compare(a.right, b.right))
		})
	}
	slices.SortStableFunc(all, func(a, b merge) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.leftLen, a.leftLen), cmp.Compare(b.rightLen, a.rightLen))
	})
	return all
}

// mergeable keeps control tokens out: text must not spell its way to one.
func (v *Vocab) mergeable(id int) bool {
	return v.Kinds[id] != Control && v.Kinds[id] != Unknown
}

// score is the piece's SentencePiece score. llama.cpp's converter writes −1000
// for user-defined pieces, which in the original have 0, the best.
func (v *Vocab) score(id int) float32 {
	if v.Kinds[id] == UserDefined {
		return 0
	}
	return v.Scores[id]
}
