package speed

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"reprise/cmd/internal/console"
	"reprise/mlx"
	"reprise/server/engine"
	"reprise/server/prompt"
)

// Profile is where the time of one prompt and its decode steps goes.
type Profile struct {
	Prompt  int          `json:"prompt_tokens"`
	Prefill []mlx.OpTime `json:"prefill_ops"` // of the whole prompt, each op alone
	Decode  []mlx.OpTime `json:"decode_ops"`  // of all steps, each op alone
	Steps   int          `json:"decode_steps"`
	// StepMs, HostMs, SendMs and WaitMs are means of a decode step that ran as usual: in all, while the host built and sent
	// the step, the sending of it, and while it waited for a token.
	StepMs float64 `json:"step_ms"`
	HostMs float64 `json:"host_ms"`
	SendMs float64 `json:"send_ms"`
	WaitMs float64 `json:"wait_ms"`
	// OpWaitUs is what waiting for an op costs by itself; it is in every op's time.
	OpWaitUs float64 `json:"op_wait_us"`
}

// Profiler is what a profile needs besides a Bench: mlx.Worker.
type Profiler interface {
	Sent() time.Duration
	StartProfile()
	StopProfile() []mlx.OpTime
	Do(ctx context.Context, fn func(*mlx.Scope) error) error
}

// Profile runs a prompt twice: as usual for the host's times, then with every op waited for.
func (b *Bench) Profile(ctx context.Context, w Profiler, n, gen int) (*Profile, error) {
	ids, err := b.text(n)
	if err != nil {
		return nil, err
	}
	p := &Profile{Prompt: n}
	if p.OpWaitUs, err = opWait(ctx, w); err != nil {
		return nil, err
	}
	var before time.Duration // sent until the first token was there: the prefill, and one step
	usual, err := b.profiled(ctx, ids, gen, func(ev engine.Event) error {
		if len(ev.IDs) > 0 && before == 0 {
			before = w.Sent()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	steps := float64(max(1, len(usual.IDs)-1))
	p.StepMs = usual.Row.DecodeMs.Or(0) / steps
	p.SendMs = (w.Sent() - before).Seconds() * 1e3 / max(1, steps-1)
	p.HostMs, p.WaitMs = usual.Host.Seconds()*1e3/steps, usual.Wait.Seconds()*1e3/steps
	w.StartProfile()
	defer w.StopProfile()
	res, err := b.profiled(ctx, ids, gen, func(ev engine.Event) error {
		if len(ev.IDs) > 0 && p.Prefill == nil { // the step behind the first token was built with it
			p.Prefill = w.StopProfile()
			w.StartProfile()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.Decode, p.Steps = w.StopProfile(), max(1, len(res.IDs)-2)
	return p, nil
}

func (b *Bench) profiled(ctx context.Context, ids []int32, gen int, emit func(engine.Event) error) (*engine.Result, error) {
	if err := b.Turner.ClearCache(ctx); err != nil {
		return nil, err
	}
	return b.Turner.Turn(ctx, engine.Request{Prompt: prompt.Input{IDs: ids}, MaxTokens: gen, NoReuse: true}, emit)
}

// opWait is the time of an op that does next to nothing, in microseconds.
func opWait(ctx context.Context, w Profiler) (float64, error) {
	const n = 200
	var took time.Duration
	err := w.Do(ctx, func(s *mlx.Scope) error {
		x := s.Scalar(1, mlx.Float32)
		for range n {
			start := time.Now()
			if err := s.Eval(s.Negative(x)); err != nil {
				return err
			}
			took += time.Since(start)
		}
		return nil
	})
	return took.Seconds() * 1e6 / n, err
}

// shown is how many kinds of op WriteText lists.
const shown = 14

// WriteText prints the profile for a terminal.
func (p *Profile) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "\na decode step behind %s tokens: %.2f ms, of which the host built for %.2f ms, sent for %.2f ms and waited for %.2f ms\n",
		console.Count(p.Prompt), p.StepMs, p.HostMs-p.SendMs, p.SendMs, p.WaitMs)
	fmt.Fprintf(out, "by kind of op, each alone and waited for (%.1f µs of every op are the waiting):\n\n", p.OpWaitUs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "decode, a step\tops\tms\tshare\t")
	table(w, p.Decode, float64(p.Steps))
	fmt.Fprintln(w, "prefill, the prompt\tops\tms\tshare\t")
	table(w, p.Prefill, 1)
	return w.Flush()
}

func table(w io.Writer, ops []mlx.OpTime, per float64) {
	var all, rest mlx.OpTime
	for i, op := range ops {
		all.Count, all.Time = all.Count+op.Count, all.Time+op.Time
		if i >= shown {
			rest.Count, rest.Time = rest.Count+op.Count, rest.Time+op.Time
		}
	}
	line := func(op mlx.OpTime) {
		fmt.Fprintf(w, "%s\t%.0f\t%.3f\t%.1f %%\t\n", op.Kind, float64(op.Count)/per, op.Time.Seconds()*1e3/per, 100*op.Time.Seconds()/max(1e-12, all.Time.Seconds()))
	}
	for _, op := range ops[:min(shown, len(ops))] {
		line(op)
	}
	if rest.Count > 0 {
		rest.Kind = "others"
		line(rest)
	}
	all.Kind = "all"
	line(all)
}
