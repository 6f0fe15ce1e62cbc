package engine

import (
	"slices"
	"sync"

	"reprise/kvcache/ledger"
	"reprise/server/prompt"
)

// Why is where a turn's prompt left what was known, and the texts on both sides.
type Why struct {
	TurnID     string            `json:"turn_id"`
	Other      string            `json:"other_turn_id,omitempty"` // whose text it left
	At         int               `json:"diverged_at"`             // token index
	In         string            `json:"diverged_in,omitempty"`
	MissReason ledger.MissReason `json:"miss_reason"`
	Old        string            `json:"old"` // what stood there, behind the last tokens that both have
	New        string            `json:"new"`
}

// kept are the prompts and answers of the last turns, by which a divergence is named, and the divergences that were.
type kept struct {
	mu    sync.Mutex
	sides []keptSide // oldest first
	ids   int        // in all of them
	whys  []Why      // oldest first
}

type keptSide struct {
	turn string
	prompt.Side
}

// What is kept at most: 16 MB of ids, and the last divergences.
const (
	keptIDs  = 4 << 20
	keptWhys = 1024
)

func (k *kept) put(turn string, side prompt.Side) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sides = append(k.sides, keptSide{turn, side})
	k.ids += len(side.IDs)
	for k.ids > keptIDs && len(k.sides) > 1 {
		k.ids -= len(k.sides[0].IDs)
		k.sides = slices.Delete(k.sides, 0, 1)
	}
}

// parted finds the text that a prompt left at a token: the parent's, where that goes so far, or else the latest one.
func (k *kept) parted(parent string, ids []int32, at int) (keptSide, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var found keptSide
	for _, s := range slices.Backward(k.sides) {
		if at >= len(s.IDs) || at >= len(ids) || s.IDs[at] == ids[at] || !slices.Equal(s.IDs[:at], ids[:at]) {
			continue
		}
		if s.turn == parent {
			return s, true
		}
		if found.turn == "" {
			found = s
		}
	}
	return found, found.turn != ""
}

func (k *kept) explain(w Why) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.whys = append(k.whys, w)
	if len(k.whys) > keptWhys {
		k.whys = slices.Delete(k.whys, 0, len(k.whys)-keptWhys)
	}
}

// Why says where a turn's prompt left what was known; false when it did not, or when that was too long ago.
func (e *Engine) Why(turn string) (Why, bool) {
	k := &e.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range slices.Backward(k.whys) {
		if w.TurnID == turn {
			return w, true
		}
	}
	return Why{}, false
}
