package prompt

import (
	"slices"
	"strings"

	"reprise/model/chat"
)

// Remember notes what was generated behind a prompt, so that it can be put back when the client sends it along in
// the next one. answer is the message as the client was given it: text without what a stop text cut off, and the
// parsed calls; for plain text Answer makes it. generated are all sampled ids, the end token included if there was
// one. Call it before the client learns that the answer is complete, whatever ended the turn: a client that left
// sends back what it got.
//
// It returns false when nothing was remembered: the prompt was no conversation, its template hides where the answer
// begins, nothing was generated, or no token ends where the answer does.
func (a *Assembler) Remember(p *Prompt, generated []int32, answer chat.Message) bool {
	if !p.answerable {
		return false
	}
	a.once.Do(a.setup)
	ids := a.delivered(p, a.less(generated), answer)
	if len(ids) == 0 {
		return false
	}
	if answer.Role() != "assistant" {
		answer = answer.With("role", "assistant")
	}
	form := canonical(answer, p.messages)
	e := Entry{Key: p.key.step(form), Head: p.head, IDs: slices.Clone(ids)}
	a.Record.Add(e)
	if p.loose != (Key{}) {
		e.Key, e.Loose = p.loose.step(form), true
		a.Record.Add(e)
	}
	return true
}

// less is what was generated, less the token that ended it: the template writes that one, and what follows it.
func (a *Assembler) less(generated []int32) []int32 {
	if n := len(generated); n > 0 && slices.Contains(a.ends, generated[n-1]) {
		return generated[:n-1]
	}
	return generated
}

// Answer is the message that generated ids make when they are plain text: reasoning is left out by its tokens,
// special tokens too. Calls are not parsed.
func (a *Assembler) Answer(p *Prompt, generated []int32) chat.Message {
	a.once.Do(a.setup)
	ids := a.less(generated)
	ids = without(ids, a.reasoner.ranges(ids, a.reasoner.open(p.head)))
	return chat.NewMessage("assistant", strings.TrimSpace(a.Tokenizer.Decode(ids, true)))
}

// delivered cuts ids where a stop text cut the answer, or where a client left: to the longest beginning whose text is
// the answer's. With calls, or a text that a parser made otherwise, it takes the caller's word for what ids are.
func (a *Assembler) delivered(p *Prompt, ids []int32, answer chat.Message) []int32 {
	text, ok := answer.Text()
	if !ok || len(calls(answer)) > 0 {
		return ids
	}
	text = strings.TrimSpace(text)
	for _, skip := range [][][2]int{a.reasoner.ranges(ids, a.reasoner.open(p.head)), nil} { // nil: reasoning is given out as text
		whole := strings.TrimSpace(a.Tokenizer.Decode(without(ids, skip), true))
		if whole == text {
			return ids
		}
		if !strings.HasPrefix(whole, text) {
			continue
		}
		return a.firstWith(ids, skip, text)
	}
	return ids
}

// firstWith is the shortest beginning of ids whose text, less what is skipped, is the given one; nil when there is none.
func (a *Assembler) firstWith(ids []int32, skip [][2]int, text string) []int32 {
	var seen strings.Builder
	s := a.Tokenizer.NewStream(true)
	for i, id := range ids {
		if len(skip) > 0 && i >= skip[0][1] {
			skip = skip[1:]
		}
		if len(skip) > 0 && i >= skip[0][0] {
			continue
		}
		seen.WriteString(s.Push(id))
		if got := strings.TrimSpace(seen.String()); got == text && got != "" {
			return ids[:i+1]
		}
	}
	return nil
}
