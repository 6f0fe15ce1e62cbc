package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"reprise/cmd/internal/console"
	"reprise/kvcache/ledger"
)

// Run is one run of the loop.
type Run struct {
	Options  Options
	Server   Server // nil: a dry run, in which no model answers
	Mimic    Mimic  // what counts in a dry run; nil: nothing but sizes
	Facts    Facts
	Out      string            // the folder of its files; "": none are written
	Progress func(text string) // a line a turn; may be nil
	Turned   func(*Record)     // a turn has ended; may be nil
}

// Do sends the turns and sums them up. Whatever happens, the files on disk are whole, and the summary of a run that was
// cut off says so; Do then returns both the summary and why.
func (r *Run) Do(ctx context.Context) (*Summary, error) {
	if err := r.Options.Check(); err != nil {
		return nil, err
	}
	b, err := newBuilder(r.Options)
	if err != nil {
		return nil, err
	}
	t := &tally{opts: r.Options, facts: r.Facts, dry: r.Server == nil, began: time.Now()}
	if r.Facts.Conditions != nil {
		t.begin = r.Facts.Conditions()
	}
	w, err := t.write(r.Out)
	if err != nil {
		return nil, err
	}
	answer := ""
	for turn := 1; turn <= r.Options.Turns; turn++ {
		record, err := r.turn(ctx, b, answer)
		if err == nil {
			t.cuts = b.cuts
			err = w.add(record)
		}
		if err != nil {
			err = fmt.Errorf("turn %d of %d: %w", turn, r.Options.Turns, Cancelled(err))
			s, bad := w.close(err.Error())
			return s, errors.Join(err, bad)
		}
		answer = record.Answer
		if r.Turned != nil {
			r.Turned(record)
		}
		if r.Progress != nil {
			r.Progress(Told(record, r.Options.Turns))
		}
	}
	return w.close("")
}

// turn makes one prompt and has it answered.
func (r *Run) turn(ctx context.Context, b *builder, answer string) (*Record, error) {
	p, err := b.next(answer)
	if err != nil {
		return nil, err
	}
	record := &Record{Turn: p.Turn, Conversation: p.Conversation, Line: p.Line, Characters: p.Characters}
	if r.Server == nil {
		return record, r.pretend(ctx, b, p, record)
	}
	a, err := r.Server.Turn(ctx, p, &r.Options)
	if err != nil {
		return nil, err
	}
	r.fill(record, a, p)
	return record, nil
}

// fill takes an answer over.
func (r *Run) fill(record *Record, a *Answer, p *Prompt) {
	record.Answer, record.Row, record.Prefill = a.Text, a.Row, a.Prefill
	record.Prompt, record.Generated, record.Computed, record.Static = a.Prompt, a.Generated, a.Computed, a.Static
	if a.FirstToken > 0 {
		ms := float64(a.FirstToken.Microseconds()) / 1e3
		record.ClientTTFT = &ms
	}
	if r.Facts.Decode != nil && len(a.Prompt) > 0 {
		n := runes(r.Facts.Decode(a.Prompt)) - p.Characters
		record.Markup = &n
	}
	record.Spans = spansOf(record)
}

// pretend stands in for an answer in a dry run.
func (r *Run) pretend(ctx context.Context, b *builder, p *Prompt, record *Record) error {
	if r.Mimic != nil {
		a, err := r.Mimic.Turn(ctx, p, &r.Options, b.standIn())
		if err == nil {
			r.fill(record, a, p)
		}
		return err
	}
	record.Answer = b.standIn()
	record.Row = ledger.Row{
		TurnID: fmt.Sprintf("dry_%02d", p.Turn), SessionID: p.Conversation, Time: time.Now().UTC(), Purpose: ledger.PurposeTurn,
		PromptTokensEst: ledger.Some(p.Estimated()),
	}
	record.Row.Note(ledger.Estimated, "prompt_tokens_est")
	return ctx.Err()
}

// Cancelled says it in words when somebody ended the run.
func Cancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("cancelled (%w)", err)
	}
	return err
}

// inWords is a number of tokens in words.
func inWords(n ledger.Opt[int]) string {
	if n, ok := n.Get(); ok {
		return console.Count(n)
	}
	return "an unknown number"
}

// Told is a turn in one line.
func Told(r *Record, of int) string {
	row := &r.Row
	text := fmt.Sprintf("turn %d of %d: %s tokens estimated", r.Turn, of, console.Count(r.Estimated()))
	n, ok := row.PromptTokens.Get()
	if !ok {
		return text
	}
	text += fmt.Sprintf(", %s counted: %s reused", console.Count(n), inWords(row.LookupHitTokens))
	if row.NewTokens.Known() {
		text += fmt.Sprintf(", %s recomputed, %s new", inWords(row.RecomputeTokens), inWords(row.NewTokens))
	} else { // another engine does not tell what it had before
		text += fmt.Sprintf(", %s computed", inWords(row.PrefillTokens))
	}
	if d, ok := row.DisplacedTokens.Get(); ok {
		text += fmt.Sprintf(" (%s displaced)", console.Count(d))
	}
	if ms, ok := row.TTFTMs.Get(); ok {
		text += ", first token after " + console.Millis(ms)
	}
	return text
}
