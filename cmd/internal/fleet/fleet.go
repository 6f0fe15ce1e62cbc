package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/process"
	"reprise/kvcache/ledger"
	"reprise/server/engine"
)

// Options say what the processes are.
type Options struct {
	Session string   // loop.Restart, loop.Remote or loop.PD
	Flags   []string // of `serve`: the model, the device
	L2      string   // URL of the shared store; "": one is started where it is needed
	Told    func(text string)
}

var errClosed = errors.New("the processes of the run are closed")

// Fleet answers the turns of a run with processes of its own.
type Fleet struct {
	opts    Options
	dir     string // L1, and the store's own folder
	store   *process.Process
	storeAt string
	servers []*server // by place: one, or two that share L2
	closed  bool
}

var _ loop.Server = (*Fleet)(nil)

// server is one place in the fleet: a process, and a client of it.
type server struct {
	*process.Server
	client *loop.Reprise
}

// Open starts the processes.
func Open(ctx context.Context, o Options) (_ *Fleet, err error) {
	f := &Fleet{opts: o}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if f.dir, err = os.MkdirTemp("", "reprise-loop-"); err != nil {
		return nil, err
	}
	if f.storeAt = o.L2; o.Session != loop.Restart && o.L2 == "" {
		if f.store, f.storeAt, err = startStore(ctx, f.dir); err != nil {
			return nil, err
		}
	}
	names := []string{"process A", "process B"}
	if o.Session == loop.Restart {
		names = []string{"the server"}
	}
	for _, name := range names {
		s, err := f.start(ctx, name)
		if err != nil {
			return nil, err
		}
		f.servers = append(f.servers, s)
	}
	return f, nil
}

// start starts one server.
func (f *Fleet) start(ctx context.Context, name string) (*server, error) {
	flags := append([]string{"--log-level", "error"}, f.opts.Flags...)
	if f.opts.Session == loop.Restart {
		flags = append(flags, "--cache-disk", filepath.Join(f.dir, "kv"))
	}
	if f.storeAt != "" {
		flags = append(flags, "--l2", f.storeAt)
	}
	p, err := process.Reprise{Name: name, Flags: flags}.Serve(ctx)
	if err != nil {
		return nil, err
	}
	client, err := loop.Dial(ctx, p.URL, "")
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	if f.opts.Told != nil {
		f.opts.Told(fmt.Sprintf("%s (pid %d) is %s", name, p.PID(), p.About))
	}
	return &server{p, client}, nil
}

// Model is what the processes serve.
func (f *Fleet) Model() loop.ModelInfo { return f.servers[0].client.Model }

// Gap asks the process that answers first how far apart the two most probable tokens are.
func (f *Fleet) Gap(ctx context.Context, ids []int32) (float64, error) {
	return f.servers[0].client.Gap(ctx, ids)
}

// String says what serves.
func (f *Fleet) String() string {
	_, what, _ := strings.Cut(f.servers[0].About, " serves ")
	switch f.opts.Session {
	case loop.Restart:
		return "one process at a time, L1 on disk, serving " + what
	case loop.Remote:
		return "two processes that take turns and share L2 only, serving " + what
	}
	return "one process computes the prompts, another one answers, through L2, serving " + what
}

// Turn has the process answer whose turn it is.
func (f *Fleet) Turn(ctx context.Context, p *loop.Prompt, o *loop.Options) (*loop.Answer, error) {
	if f.closed {
		return nil, errClosed
	}
	switch f.opts.Session {
	case loop.Restart:
		if slices.Contains(loop.Replaced, p.Turn-1) {
			if err := f.replace(ctx); err != nil {
				return nil, err
			}
		}
		return f.servers[0].ask(ctx, p, o, nil)
	case loop.Remote:
		return f.servers[(p.Turn-1)%2].ask(ctx, p, o, map[string]any{"stored": true})
	}
	return f.handOver(ctx, p, o)
}

// replace ends the server and starts another one.
func (f *Fleet) replace(ctx context.Context) error {
	if err := f.servers[0].Stop(); err != nil {
		return fmt.Errorf("the server that is replaced: %w", err)
	}
	s, err := f.start(ctx, "the server")
	if err != nil {
		return err
	}
	f.servers[0] = s
	return nil
}

// handOver has A compute the prompt and B answer. The transfer is A's time to store behind its prefill and B's to fetch.
func (f *Fleet) handOver(ctx context.Context, p *loop.Prompt, o *loop.Options) (*loop.Answer, error) {
	first, err := f.servers[0].ask(ctx, p, o, map[string]any{"pd": engine.PDPrefill})
	if err != nil {
		return nil, err
	}
	a, err := f.servers[1].ask(ctx, p, o, map[string]any{"pd": engine.PDDecode, "stored": true})
	if err != nil {
		return nil, err
	}
	if !slices.Equal(first.Prompt, a.Prompt) {
		return nil, fmt.Errorf("the prompt has other ids in process A (%d) than in process B (%d): nothing can be handed over", len(first.Prompt), len(a.Prompt))
	}
	a.Prefill = &first.Row
	if a.FirstToken > 0 {
		a.FirstToken += first.Took
	}
	stored, ok := first.Row.PDTransferMs.Get()
	if fetched, also := a.Row.L2TransferMs.Get(); ok && also {
		a.Row.PDTransferMs = ledger.Some(stored + fetched)
		a.Row.Note(ledger.Derived, "pd_transfer_ms")
	}
	return a, nil
}

// ask has the server answer, and says so when it is gone.
func (s *server) ask(ctx context.Context, p *loop.Prompt, o *loop.Options, more map[string]any) (*loop.Answer, error) {
	a, err := s.client.Ask(ctx, p, o, more)
	if err != nil && ctx.Err() == nil {
		return nil, errors.Join(s.Broken(), err)
	}
	return a, err
}

// Close ends every process and removes what they kept.
func (f *Fleet) Close() {
	f.closed = true
	for _, s := range f.servers {
		_ = s.Stop() // the run is over
	}
	_ = f.store.Stop()
	if f.dir != "" {
		if err := os.RemoveAll(f.dir); err != nil && f.opts.Told != nil {
			f.opts.Told("left behind: " + err.Error())
		}
	}
}
