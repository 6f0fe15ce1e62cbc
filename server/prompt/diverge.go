package prompt

import (
	"slices"
	"strings"

	"reprise/model/chat"
	"reprise/model/tokenizer"
)

// Side is one of two runs of tokens that are compared: a prompt, or a prompt with the answer that followed it.
type Side struct {
	IDs   []int32
	Spans []Span
}

// Side is the prompt's own.
func (p *Prompt) Side() Side { return Side{p.IDs, p.Spans} }

// Answered is the prompt with what was generated behind it, which is the message that the next prompt should have in
// its place: state exists for both.
func (a *Assembler) Answered(p *Prompt, generated []int32, answer chat.Message) Side {
	a.once.Do(a.setup)
	side := Side{IDs: slices.Concat(p.IDs, generated)}
	s := Span{Label: Message, Message: len(p.messages), Role: "assistant", Start: len(p.IDs), End: len(side.IDs)}
	if len(p.messages) > 0 {
		s.Source = digest(canonical(answer, p.messages))
	}
	side.Spans = a.reasoner.addSpan(slices.Clone(p.Spans), s, side.IDs, a.reasoner.open(p.head))
	return side
}

// Divergence is where two sides part, and in what.
type Divergence struct {
	At int // the first token that differs
	// In names it: system, tools, message N role, thinking, retokenized, template. "" when one side is the other's
	// beginning.
	In string
	// Old and New are what stands there: to where the two agree again, or the span ends, or for some tokens.
	Old, New string
}

// shownTokens is how much of either side a divergence shows.
const shownTokens = 64

// Diverge says in what two sides part that agree in their first at tokens and not in the next.
func Diverge(t *tokenizer.Tokenizer, old, new Side, at int) Divergence {
	d := Divergence{At: at}
	if at >= len(old.IDs) || at >= len(new.IDs) {
		return d
	}
	d.In = divergedIn(t, old, new, at)
	was, is := old.IDs[at:old.span(at).End], new.IDs[at:new.span(at).End]
	for len(was) > 1 && len(is) > 1 && was[len(was)-1] == is[len(is)-1] {
		was, is = was[:len(was)-1], is[:len(is)-1]
	}
	d.Old = t.Decode(was[:min(len(was), shownTokens)], false)
	d.New = t.Decode(is[:min(len(is), shownTokens)], false)
	return d
}

// span is the one that a token stands in.
func (s Side) span(at int) Span {
	for _, x := range s.Spans {
		if x.Start <= at && at < x.End {
			return x
		}
	}
	return Span{Start: at, End: len(s.IDs)} // a side without spans
}

// templates is what names a divergence that no change of a client's explains.
var templates = Span{Label: Template}.String()

func divergedIn(t *tokenizer.Tokenizer, old, new Side, at int) string {
	was, is := old.span(at), new.span(at)
	if ofAnswer(was) && ofAnswer(is) && was.Message == is.Message {
		if was.Label == Thinking || is.Label == Thinking {
			return "thinking"
		}
	}
	if was.same(is) {
		switch {
		case was.Label == Generation || is.Label == Generation:
			return templates
		case was.Source != is.Source:
			return is.String()
		case equalText(t, old.IDs[at:was.End], new.IDs[at:is.End]):
			return "retokenized"
		}
		return templates
	}
	// The two have different things here. What changed is what only one of them has. Where that is so of both, a change
	// of the static prefix is the cause, else what the new one has.
	cause, found := new.changed(old, at)
	if other, ok := old.changed(new, at); ok {
		if !found || other.static() && !cause.static() {
			cause = other
		}
	}
	return cause.String()
}

// static tells whether a span is a client's part of the static prefix.
func (s Span) static() bool { return s.Label == System || s.Label == Tools }

// ofAnswer tells whether a span is an answer's, or the opening of one.
func ofAnswer(s Span) bool {
	return s.Role == "assistant" && (s.Label == Message || s.Label == Thinking || s.Label == Generation)
}

// same tells whether two spans are in the same thing, if perhaps of different content.
func (s Span) same(o Span) bool {
	switch {
	case s.Label == Generation || s.Label == Thinking || o.Label == Generation || o.Label == Thinking:
		return ofAnswer(s) && ofAnswer(o) && s.Message == o.Message
	case s.Label != o.Label:
		return false
	}
	return s.Label != Template && s.Message == o.Message && s.Role == o.Role
}

// changed finds the first thing from a token on that the other side has not, or not so. It looks no further than the
// next message: what comes later is not why the two part here. In the static prefix it looks at all of that.
func (s Side) changed(other Side, at int) (Span, bool) {
	for _, x := range s.Spans {
		if x.End <= at || x.Label == Template || x.Label == Generation {
			continue
		}
		known := slices.ContainsFunc(other.Spans, func(o Span) bool { return x.same(o) && x.Source == o.Source })
		switch {
		case !known:
			return x, true
		case !x.static():
			return Span{}, false
		}
	}
	return Span{}, false
}

// equalText tells whether two runs of ids stand for the same text, white space and special tokens apart: an answer is
// trimmed on its way to the client and back.
func equalText(t *tokenizer.Tokenizer, x, y []int32) bool {
	squeeze := func(ids []int32) string { return strings.Join(strings.Fields(t.Decode(ids, true)), "") }
	return squeeze(x) == squeeze(y)
}
