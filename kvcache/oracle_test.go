package kvcache

import "fmt"

// oracle knows the sequences that were computed, and nothing else. It compares every id with every other.
type oracle struct {
	held  []heldSequence
	words map[string]int
	told  bool // of sequences that no turn here computed: a parent may have less in common
}

type heldSequence struct {
	model, turn, session string
	ids                  []int // as spelled out with their media
	captured             []int
}

// spell writes a sequence so that equal words are equal ids of equal media.
func (o *oracle) spell(s Sequence) []int {
	text := make([]string, len(s.IDs))
	for i, id := range s.IDs {
		text[i] = fmt.Sprint(id)
	}
	for _, m := range s.Media {
		for i := m.From; i < m.To; i++ {
			text[i] += fmt.Sprint(" of ", m.Identity, m.To-m.From)
		}
	}
	if o.words == nil {
		o.words = map[string]int{}
	}
	out := make([]int, len(text))
	for i, w := range text {
		if _, ok := o.words[w]; !ok {
			o.words[w] = len(o.words)
		}
		out[i] = o.words[w]
	}
	return out
}

// hold takes in what a turn has computed so far; a later commit of it replaces an earlier one.
func (o *oracle) hold(a ask, session string, fed []int32, captured []int) {
	s := heldSequence{model: a.Model, turn: a.Turn, session: session, captured: captured}
	s.ids = o.spell(Sequence{IDs: fed, Media: within(a.Prompt.Media, len(fed))})
	for i := range o.held {
		if o.held[i].turn == a.Turn {
			s.captured = append(s.captured, o.held[i].captured...)
			o.held[i] = s
			return
		}
	}
	o.held = append(o.held, s)
}

func within(media []Media, n int) []Media {
	var out []Media
	for _, m := range media {
		if m.To <= n {
			out = append(out, m)
		}
	}
	return out
}

// judge compares a match with what brute force finds, and with the invariants.
func (o *oracle) judge(a ask, m Match) error {
	prompt := o.spell(a.Prompt.Sequence)
	matched := 0
	for _, s := range o.held {
		if s.model == a.Model {
			matched = max(matched, common(s.ids, prompt))
		}
	}
	switch {
	case m.Requested != len(prompt):
		return fmt.Errorf("a prompt of %d is said to have %d", len(prompt), m.Requested)
	case m.Matched != matched:
		return fmt.Errorf("matched %d, by brute force %d", m.Matched, matched)
	case m.Hit > min(matched, len(prompt)-1):
		return fmt.Errorf("hit %d > min(matched %d, prompt %d − 1)", m.Hit, matched, len(prompt))
	case a.NoReuse && m.Hit > 0:
		return fmt.Errorf("hit %d without reuse", m.Hit)
	}
	if want := o.displaced(a, m, prompt); m.Displaced != want {
		return fmt.Errorf("displaced %d, by brute force %d", m.Displaced, want)
	}
	if o.told {
		return nil
	}
	return o.parent(a, m, prompt)
}

// reached checks, where nothing was lost, that a hit is as long as it can be: of growing layers everything that is known,
// of others at least up to the furthest snapshot.
func (o *oracle) reached(a ask, m Match, s shape) error {
	prompt, best := o.spell(a.Prompt.Sequence), 0
	limit := outside(a.Prompt.Media, min(m.Matched, len(prompt)-1))
	for _, held := range o.held {
		for _, at := range held.captured {
			if at <= limit && held.model == a.Model && common(held.ids, prompt) >= at {
				best = max(best, at)
			}
		}
	}
	if s.window == 0 && !s.recurrent {
		best = limit
	}
	if m.Hit < best && !a.NoReuse {
		return fmt.Errorf("hit %d (%s, %s) of %d matched; %d can be restored", m.Hit, m.Miss, m.LimitedBy, m.Matched, best)
	}
	return nil
}

// displaced counts the prompt's tokens behind matched that lie in maximal runs of 32 or more equal ids with a sequence of
// the session, or, within the static prefix, of any.
func (o *oracle) displaced(a ask, m Match, prompt []int) int {
	marked := map[int]bool{}
	for _, s := range o.held {
		end := len(prompt)
		if s.session != m.Session {
			end = min(end, a.Prompt.Static)
		}
		for i := m.Matched; i < end; i++ {
			for j := range s.ids {
				if i > m.Matched && j > 0 && prompt[i-1] == s.ids[j-1] {
					continue // within a run that was seen from its beginning
				}
				n := 0
				for i+n < end && j+n < len(s.ids) && prompt[i+n] == s.ids[j+n] {
					n++
				}
				for k := i; n >= 32 && k < i+n; k++ {
					marked[k] = true
				}
			}
		}
	}
	return len(marked)
}

// parent checks the chain: a turn with the longest common prefix, if that is long enough.
func (o *oracle) parent(a ask, m Match, prompt []int) error {
	var parents []string
	for _, s := range o.held {
		if s.model != a.Model || m.Matched == 0 || common(s.ids, prompt) != m.Matched {
			continue
		}
		if first := a.Prompt.FirstUser; first > 0 && m.Matched >= first {
			parents = append(parents, s.turn)
		} else if first == 0 {
			parents = append(parents, s.turn) // as far as the oracle knows: it does not know the parents' prompts
		}
	}
	if m.Parent == "" {
		if a.Prompt.FirstUser > 0 && len(parents) > 0 && len(parents) <= keptTurns {
			return fmt.Errorf("no parent; by brute force one of %v", parents)
		}
		return nil
	}
	for _, p := range parents {
		if p == m.Parent {
			return nil
		}
	}
	return fmt.Errorf("parent %s, by brute force one of %v", m.Parent, parents)
}
