package sidebyside

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/version"
	"reprise/kvcache/ledger/footprint/machine"
)

// The parts of a run.
const (
	Libraries = "libraries"
	Servers   = "servers"
)

// Parts are all of them.
var Parts = []string{Libraries, Servers}

// Options say what is measured.
type Options struct {
	Engines  []string
	Parts    []string
	Contexts []int // tokens before what is timed
	Gen      int   // tokens decoded there
	Tokens   int   // of the conversation with the servers
	Rounds   int
}

// Check says what is wrong with the options, in the words of the flags.
func (o Options) Check() error {
	for _, list := range []struct {
		flag         string
		given, known []string
	}{{"--engines", o.Engines, Engines}, {"--parts", o.Parts, Parts}} {
		if len(list.given) == 0 {
			return fmt.Errorf("%s: name at least one of %s", list.flag, strings.Join(list.known, ", "))
		}
		for i, name := range list.given {
			if !slices.Contains(list.known, name) || slices.Contains(list.given[:i], name) {
				return fmt.Errorf("%s %s: must be some of %s, each once", list.flag, name, strings.Join(list.known, ", "))
			}
		}
	}
	for _, n := range o.Contexts {
		if n < 0 {
			return fmt.Errorf("--contexts %d: must not be negative", n)
		}
	}
	switch {
	case len(o.Contexts) == 0 && slices.Contains(o.Parts, Libraries):
		return fmt.Errorf("--contexts: name at least one length")
	case o.Gen < 2:
		return fmt.Errorf("--gen %d: must be at least 2, because decode speed is measured between tokens", o.Gen)
	case o.Rounds < 1:
		return fmt.Errorf("--rounds %d: must be at least 1", o.Rounds)
	case o.Tokens < 200 || o.Tokens > serverContext/2:
		return fmt.Errorf("--conversation %d: must be 200 to %d tokens", o.Tokens, serverContext/2)
	}
	return nil
}

// Bench is a run.
type Bench struct {
	Setup    Setup
	Count    func(text string) (int, error) // tokens of a text; for the servers
	Progress func(did string)
}

// Measure runs all rounds.
func (b *Bench) Measure(ctx context.Context, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	known := b.Setup.engines()
	var engines []*engine
	for _, name := range o.Engines {
		if err := known[name].missing(); err != nil {
			return nil, err
		}
		engines = append(engines, known[name])
	}
	r, err := newReport(b.Setup, o, engines)
	if err != nil {
		return nil, err
	}
	if err := b.rounds(ctx, r, o, engines); err != nil {
		return nil, err
	}
	return r, nil
}

func (b *Bench) rounds(ctx context.Context, r *Report, o Options, engines []*engine) error {
	for round := range o.Rounds {
		before := readUse()
		turns := rotated(engines, round)
		if slices.Contains(o.Parts, Libraries) {
			if err := b.libraries(ctx, r, o, turns); err != nil {
				return err
			}
		}
		if slices.Contains(o.Parts, Servers) {
			if err := b.servers(ctx, r, o, turns, round); err != nil {
				return err
			}
		}
		r.Others = append(r.Others, readUse().since(before))
		b.say("round %d of %d done", round+1, o.Rounds)
	}
	return nil
}

// rotated is the order of a round: the next engine begins each time.
func rotated(engines []*engine, round int) []*engine {
	first := round % len(engines)
	return slices.Concat(engines[first:], engines[:first])
}

// libraries measures each context with all engines before the next context.
func (b *Bench) libraries(ctx context.Context, r *Report, o Options, engines []*engine) error {
	for _, context := range o.Contexts {
		for _, e := range engines {
			if e.longest > 0 && context > e.longest {
				continue
			}
			s, err := e.measure(ctx, context, o.Gen)
			if err != nil && e.name != Ours && ctx.Err() == nil {
				// A peer that dies once does not cost the others' rounds, and is not kept quiet either.
				r.LeftOut = append(r.LeftOut, fmt.Sprintf("%v: measured once more", err))
				b.say("%s", r.LeftOut[len(r.LeftOut)-1])
				s, err = e.measure(ctx, context, o.Gen)
			}
			if err != nil {
				return err
			}
			at, did := strconv.Itoa(context), ""
			if context > 0 {
				r.add("prefill", at, e.name, s.prefill)
				did = fmt.Sprintf("prefill %.1f, ", s.prefill)
			}
			r.add("decode", at, e.name, s.decode)
			b.say("context %d, %s: %sdecode %.1f tok/s", context, e.name, did, s.decode)
		}
	}
	return nil
}

// servers leads the same conversation with each engine's server, one server at a time.
func (b *Bench) servers(ctx context.Context, r *Report, o Options, engines []*engine, round int) error {
	for _, e := range engines {
		v := &visit{engine: e, report: r, talk: newTalk(round, b.Count), tokens: o.Tokens}
		if err := v.run(ctx); err != nil {
			return err
		}
		times := r.rounds("ttft", cold, e.name)
		b.say("conversation, %s: first text after %s", e.name, console.Millis(times[len(times)-1]))
	}
	return nil
}

func (b *Bench) say(format string, args ...any) {
	if b.Progress != nil {
		b.Progress(fmt.Sprintf(format, args...))
	}
}

// newReport is a report without figures.
func newReport(s Setup, o Options, engines []*engine) (*Report, error) {
	computer, err := machine.Read()
	if err != nil {
		return nil, err
	}
	r := &Report{
		Date: time.Now().UTC().Format("2006-01-02"), Machine: computer, Version: version.Read(), Model: modelName(s),
		Threads: s.Threads, Rounds: o.Rounds,
	}
	if slices.Contains(o.Parts, Libraries) {
		r.Method = append(r.Method, fmt.Sprintf("libraries: prefill is the prompt ÷ the time to compute it (reprise and mlx-lm: to the first token); "+
			"decode is %d tokens behind the context; each after a warm-up in a process of its own; contexts of 0 are one token long (llama-bench: empty)", o.Gen))
	}
	if slices.Contains(o.Parts, Servers) {
		r.Method = append(r.Method, fmt.Sprintf("servers: the same text by /v1/completions, streamed, temperature 0, answers of %d tokens, a conversation of %s tokens; "+
			"memory is VmHWM and RssAnon behind its first turn; the reused tokens are what the server's usage says", answerTokens, console.Count(o.Tokens)))
	}
	for _, e := range engines {
		about := e.describe()
		if e.name == Ours {
			about.Version = r.Version.String()
		}
		r.Engines = append(r.Engines, about)
		if e.longest > 0 && slices.Contains(o.Parts, Libraries) && slices.Max(o.Contexts) > e.longest {
			r.LeftOut = append(r.LeftOut, fmt.Sprintf("%s: contexts above %s tokens were left out, because %s", e.name, console.Count(e.longest), e.why))
		}
		if e.early && slices.Contains(o.Parts, Servers) {
			r.LeftOut = append(r.LeftOut, e.name+": its server says that it is healthy before the model is loaded, so only the time to its first text is a load time")
		}
	}
	return r, nil
}
