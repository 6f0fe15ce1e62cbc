package sidebyside

import (
	"context"
	"fmt"
	"time"

	"reprise/cmd/internal/speed"
)

// answerTokens is how long the answers of the conversation are.
const answerTokens = 16

// greeting is the first request to a server: with it everything has been touched once, and the figures of the
// conversation are about the conversation.
const greeting = "The capital of France is"

// The steps of the conversation.
const (
	cold        = "cold"
	warm        = "same prompt again"
	appended    = "answer and message appended"
	edit        = "edit in the middle"
	branch      = "back to the branch before"
	interleaved = "two sessions interleaved"
	restarted   = "after a restart"
)

// visit leads one conversation with one engine's server. The first error ends it: every later step does nothing.
type visit struct {
	engine *engine
	report *Report
	talk   *talk
	tokens int // of the conversation
	server *server
	client *asker
	loaded float64 // the server's peak memory when it was ready
	err    error
}

// run starts the server, leads the conversation, and ends it.
func (v *visit) run(ctx context.Context) error {
	defer func() {
		if v.server != nil {
			v.server.stop()
		}
	}()
	v.open(ctx, true)
	last := v.converse(ctx)
	v.interleave(ctx)
	v.close()
	v.open(ctx, false)
	v.note(restarted, v.ask(ctx, last))
	v.close()
	if v.err != nil {
		return fmt.Errorf("%s's server: %w", v.engine.name, v.err)
	}
	return nil
}

func (v *visit) add(metric, at string, value float64) {
	v.report.add(metric, at, v.engine.name, value)
}

// open starts a server and greets it. Its times are noted at the first start of a round.
func (v *visit) open(ctx context.Context, note bool) {
	if v.err != nil {
		return
	}
	if v.server, v.err = v.engine.start(ctx); v.err != nil {
		return
	}
	var load time.Duration
	if load, v.err = v.server.ready(ctx); v.err != nil {
		return
	}
	if m, ok := v.server.memory(); ok {
		v.loaded = m.peak
	}
	v.client = &asker{v.server.at, v.engine.model}
	if v.err = v.client.find(ctx); v.err != nil {
		return
	}
	asked := time.Since(v.server.started)
	a := v.ask(ctx, greeting)
	if v.err != nil || !note {
		return
	}
	if !v.engine.early {
		v.add("load", "", milliseconds(load))
	}
	v.add("first", "", milliseconds(asked+a.first))
	if a.ownLoad != nil {
		v.add("own-load", "", *a.ownLoad)
	}
}

func (v *visit) close() {
	if v.server != nil {
		v.server.stop()
		v.server = nil
	}
}

// converse is one conversation that grows, is changed, and is returned to. It returns its longest prompt.
func (v *visit) converse(ctx context.Context) string {
	prompt := v.begin("one", v.tokens)
	a := v.ask(ctx, prompt)
	v.note(cold, a)
	v.remember()
	v.note(warm, v.ask(ctx, prompt))
	longer := prompt + a.text + v.talk.message()
	b := v.ask(ctx, longer)
	v.note(appended, b)
	v.note(edit, v.ask(ctx, v.talk.edited(prompt+" "))) // the space: a text that failed is empty
	longest := longer + b.text + v.talk.message()
	v.note(branch, v.ask(ctx, longest))
	return longest
}

// interleave leads two conversations of half the length by turns; the later turns of both are noted, as their median.
func (v *visit) interleave(ctx context.Context) {
	prompts := []string{v.begin("two", v.tokens/2), v.begin("three", v.tokens/2)}
	var times, reused []float64
	var prompt int
	for turn := range 3 {
		for i := range prompts {
			a := v.ask(ctx, prompts[i])
			prompts[i] += a.text + v.talk.message()
			if turn == 0 {
				continue
			}
			times, prompt = append(times, milliseconds(a.first)), a.prompt
			if a.reused != nil {
				reused = append(reused, float64(*a.reused))
			}
		}
	}
	if v.err != nil {
		return
	}
	v.add("ttft", interleaved, speed.Median(times))
	v.add("prompt", interleaved, float64(prompt))
	if len(reused) > 0 {
		v.add("reused", interleaved, speed.Median(reused))
	}
}

// begin makes a conversation's first prompt.
func (v *visit) begin(name string, tokens int) string {
	if v.err != nil {
		return ""
	}
	text, err := v.talk.conversation(name, tokens)
	v.err = err
	return text
}

// ask is one turn.
func (v *visit) ask(ctx context.Context, prompt string) *answer {
	if v.err != nil {
		return &answer{}
	}
	a, err := v.client.complete(ctx, prompt, answerTokens)
	if err != nil {
		v.err = fmt.Errorf("%w; its log ends with: %s", err, v.server.tail())
		return &answer{}
	}
	return a
}

// note keeps the figures of a turn.
func (v *visit) note(step string, a *answer) {
	if v.err != nil {
		return
	}
	v.add("ttft", step, milliseconds(a.first))
	v.add("prompt", step, float64(a.prompt))
	if a.reused != nil {
		v.add("reused", step, float64(*a.reused))
	}
	if rate := a.rate(); rate > 0 && step == cold {
		v.add("answer", step, rate)
	}
}

// remember keeps the memory of the server, as it is behind the first turn. The peak is that of load and turn: a server may
// have reset the system's own, as reprise does to measure every turn's.
func (v *visit) remember() {
	if v.err != nil {
		return
	}
	if m, ok := v.server.memory(); ok {
		v.add("memory", "", max(m.peak, v.loaded))
		v.add("anonymous", "", m.anonymous)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
