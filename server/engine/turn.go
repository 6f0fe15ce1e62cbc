package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"reprise/kvcache"
	"reprise/kvcache/ledger"
	"reprise/kvcache/ledger/footprint"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/chat"
	"reprise/model/sample"
	"reprise/server/prompt"
)

// Turn answers one request: assemble → admit → plan → restore → prefill → decode → commit → row. emit gets every
// piece of the answer on the caller's goroutine; an error from it ends the turn as cancelled. The Result carries
// the row whatever happened.
func (e *Engine) Turn(ctx context.Context, req Request, emit func(Event) error) (*Result, error) {
	t := e.begin(req, emit)
	err := t.survive(ctx)
	t.hold.close()
	if err == nil && (req.Stored || req.PD == PDPrefill) {
		err = t.handOver(ctx)
	}
	return t.finish(err)
}

// turn is one turn under way.
type turn struct {
	engine *Engine
	model  *Model
	req    Request
	out    func(Event) error

	started   time.Time
	prompt    *prompt.Prompt
	maxTokens int
	side      bool           // beside an agent's main line
	match     *kvcache.Match // nil until the lookup
	plan      *kvcache.Plan  // nil until the turn is admitted
	loan      *loan          // what lower tiers have of the prompt; nil: there are none
	rows      int            // of the state, that there is memory for
	paused    time.Duration  // waiting for memory
	short     bool           // memory refused the turn, or cut its answer
	beside    int64          // what the process took beside MLX when the turn was admitted
	bare      bool           // memory is too short for snapshots: the prefill captures no more
	weighing  weighing
	state     *state.State    // owned by this turn from restore to commit
	made      kvcache.Made    // what entered the model since the last commit
	computed  int             // offset that is committed
	reached   int             // offset in the prompt that the prefill has got to
	prefilled int             // counted in feed
	broken    bool            // a forward call failed: the state is worthless
	next      sample.Choice   // the token under way
	logits    mlx.Array       // of a held answer, in its place: what the token is chosen from
	sampler   *sample.Sampler // nil: what the logits say is enough
	never     []int32         // ids that are not sampled
	hold      *hold           // what the answer is held to; nil: nothing
	times     []time.Time     // of the tokens
	audit     *audit          // nil unless this turn is to be audited

	prefillStart time.Time
	remembered   bool
	usage        usage
	window       *footprint.Window

	row    ledger.Row
	result Result
}

func (e *Engine) begin(req Request, emit func(Event) error) *turn {
	t := &turn{engine: e, model: e.model, req: req, out: emit, started: time.Now()}
	if req.Purpose == "" {
		t.req.Purpose = ledger.PurposeTurn
	}
	if req.TurnID == "" {
		t.req.TurnID = NewTurnID()
	}
	t.row = ledger.Row{TurnID: t.req.TurnID, Time: t.started.UTC(), Model: e.model.Name, Purpose: t.req.Purpose, Worker: e.id}
	e.open(t)
	t.window = e.watch.Open()
	return t
}

// survive makes an error of a panic, so that a row is written and the turn's place is given up.
func (t *turn) survive(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Turn: t.row.TurnID, Value: p, Stack: string(debug.Stack())}
		}
	}()
	return t.run(ctx)
}

func (t *turn) run(ctx context.Context) error {
	if err := t.assemble(ctx); err != nil {
		return err
	}
	if err := t.fits(); err != nil {
		return err
	}
	// Adapters open their stream on this: a client that waits in the queue has its headers. Where memory may refuse the turn they
	// wait for that, since a refusal needs its status.
	begin := func() error { return t.emit(Event{Prompt: len(t.prompt.IDs)}) }
	sure := t.roomy()
	if sure {
		if err := begin(); err != nil {
			return err
		}
	}
	leave, err := t.admit(ctx)
	if err != nil {
		return err
	}
	defer leave()
	defer t.commit()
	if !sure {
		if err := begin(); err != nil {
			return err
		}
	}
	if err := t.restore(ctx); err != nil {
		return err
	}
	if err := t.prefill(ctx); err != nil {
		return err
	}
	defer t.remember()
	return t.decode(ctx)
}

// assemble makes ids of the request and checks them against the limits.
func (t *turn) assemble(ctx context.Context) error {
	if err := errors.Join(t.req.Params.Validate(), t.req.Params.Within(t.model.Info().Vocab)); err != nil {
		var p *sample.ParamError
		errors.As(err, &p)
		return &RequestError{Code: "invalid_value", Param: p.Param, Message: p.Error()}
	}
	if l := t.engine.lower; t.req.PD != "" && (l == nil || l.tiers.Remote == nil) {
		return &RequestError{Code: "unsupported", Param: "reprise.pd", Message: "reprise.pd hands a prompt's state to another process through a shared store, and this server has none: start it with --l2"}
	}
	p, err := t.engine.assemble(ctx, t.req.Prompt)
	if err != nil {
		return promptError(err)
	}
	t.prompt, t.result.Prompt, t.result.Static = p, p.IDs, p.StaticEnd
	room := t.model.Context - len(p.IDs)
	if room < 1 {
		return tooLong(len(p.IDs), t.model.Context)
	}
	t.maxTokens = room
	for _, limit := range []int{t.req.MaxTokens, t.engine.opts.MaxOutput} {
		if limit > 0 {
			t.maxTokens = min(t.maxTokens, limit)
		}
	}
	if t.req.PD == PDPrefill {
		t.maxTokens = 1
	}
	return t.bind()
}

// promptError says whose mistake a failed assembly is.
func promptError(err error) error {
	code, param := "invalid_value", "messages"
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, prompt.ErrNoTools):
		code, param = "unsupported", "tools"
	case errors.Is(err, prompt.ErrNoTemplate):
		code = "unsupported"
	case errors.Is(err, prompt.ErrEmpty):
		param = "prompt"
	}
	if said, ok := chat.Refusal(err); ok {
		err = fmt.Errorf("the model's chat template refuses this conversation: %s", said)
	}
	return &RequestError{Code: code, Param: param, Message: err.Error()}
}

// admit waits for the turn's place in the queue and makes its plan. A turn that needs what another one is computing gives
// its place up until that is there.
func (t *turn) admit(ctx context.Context) (leave func(), err error) {
	var waited time.Duration
	t.side = t.engine.lines.side(t.req)
	defer func() { t.row.QueueMs = ledger.Ms(waited) }()
	wish := t.wish()
	t.loan = t.engine.lower.look(ctx, t, wish)
	given, looked := false, false
	for {
		start := time.Now()
		_, leave, err = t.engine.queue.Admit(ctx)
		waited += time.Since(start)
		if err != nil {
			return nil, err
		}
		if !looked && t.outdated(wish) {
			leave()
			looked = true
			before := t.loan
			t.loan = t.engine.lower.look(ctx, t, wish)
			t.loan.after(before)
			continue
		}
		if err = t.lift(ctx); err != nil {
			leave()
			return nil, err
		}
		start = time.Now()
		plan, other, err := t.engine.cache.Begin(wish)
		t.row.LookupMs = ledger.Ms(time.Since(start))
		found := wait
		if err == nil && other == nil {
			if found, err = t.claim(ctx, plan, &given); err == nil && found == goOn {
				return leave, nil
			}
		}
		leave()
		start = time.Now()
		switch {
		case err != nil || found == again:
		case other == nil:
			err = t.pause(ctx)
		default:
			select {
			case <-other.Done:
			case <-ctx.Done():
			}
		}
		if waited += time.Since(start); err != nil {
			return nil, err
		}
	}
}

// wish is what the turn asks of the cache.
func (t *turn) wish() kvcache.Request {
	p := t.prompt
	wants := p.Wanted
	if t.req.PD == PDPrefill {
		wants = append(slices.Clone(wants), len(p.IDs)-1)
	}
	return kvcache.Request{
		Model: t.model.Fingerprint, Turn: t.row.TurnID, Session: t.req.Session, NewSession: newSession(), Purpose: string(t.req.Purpose),
		Prompt: kvcache.Prompt{Sequence: kvcache.Sequence{IDs: p.IDs}, Static: p.StaticEnd, FirstUser: p.FirstUserEnd, Wants: wants},
		Side:   t.side,
		Expect: t.expected(), NoReuse: t.req.NoReuse || t.engine.opts.NoReuse,
	}
}

// expected is how many tokens room is made for behind the prompt.
func (t *turn) expected() int { return min(t.maxTokens, 256) }

// restore brings a state to the offset of the hit.
func (t *turn) restore(ctx context.Context) error {
	start := time.Now()
	defer func() { t.row.RestoreMs = ledger.Ms(time.Since(start)) }()
	room := len(t.prompt.IDs) + t.expected()
	t.rows = room
	return t.step(ctx, func(s *mlx.Scope) error {
		got, err := t.plan.Restore(func() kvcache.State {
			fresh := t.model.net.NewState()
			fresh.Reserve(room)
			return fresh
		})
		if err != nil {
			return err
		}
		t.state = got.(*state.State)
		t.state.Reserve(room)
		if t.hold != nil || !t.req.Params.Stateless() {
			t.sampler = t.req.Params.Start(s, t.prompt.IDs, t.model.Info().Vocab)
		}
		return nil
	})
}

// emit delivers an event; a client that is gone cancels the turn.
func (t *turn) emit(ev Event) error {
	if t.out == nil {
		return nil
	}
	if err := t.out(ev); err != nil {
		return fmt.Errorf("%w: %w", context.Canceled, err)
	}
	return nil
}

// remember notes the answer, so that a client that sends it back gets its ids. The client must not have the end of the
// answer before that. The token behind a prefill for another process is no answer: its text may be that of one of more tokens.
func (t *turn) remember() {
	if t.remembered || len(t.result.IDs) == 0 {
		return
	}
	t.remembered = true
	answer := t.result.Message(func(int) string { return "" })
	if !t.result.Truncated && t.req.PD != PDPrefill { // half a call is rendered, not put back: what it would open stays open in the prompt
		t.model.assembler.Remember(t.prompt, t.result.IDs, answer)
	}
	t.repaired()
	t.engine.kept.put(t.row.TurnID, t.model.assembler.Answered(t.prompt, t.result.IDs, answer))
}

// repaired logs what was malformed in the answer, by name.
func (t *turn) repaired() {
	var flaws []string
	for _, r := range t.result.Repairs {
		if !slices.Contains(flaws, string(r.What)) {
			flaws = append(flaws, string(r.What))
		}
	}
	if len(flaws) > 0 {
		t.engine.opts.Logger.Info("answer repaired", "turn", t.row.TurnID, "flaws", flaws)
	}
}

// commit gives the state back, with everything that was computed: what a cancelled turn prefilled and what was sampled
// but not delivered serve the next one.
func (t *turn) commit() {
	e := t.engine
	if !t.broken && t.state != nil {
		if err := t.keep(); err != nil {
			e.opts.Logger.Error("state dropped", "turn", t.row.TurnID, "err", err)
			t.broken = true
		}
	}
	switch {
	case t.broken:
		t.plan.Abort()
		t.computed = 0
	case t.state != nil && e.lower != nil:
		trace := t.plan.Trace()
		trace.Hold(e.lower.newest())
		t.plan.Close()
		e.lower.writer.offer(trace)
	default:
		t.plan.Close()
	}
	t.result.Computed = t.computed
	t.row.StoredTokens = ledger.Some(max(0, t.computed-t.plan.Hit))
	next, logits, orphans := t.next, t.logits, t.made.Snapshots
	t.next, t.logits = sample.Choice{}, mlx.Array{}
	// Not the request's context: what is freed here must be freed also when the client is gone.
	_ = e.worker.Do(context.Background(), func(*mlx.Scope) error {
		next.Free()
		logits.Free()
		t.sampler.Free()
		for _, s := range orphans {
			s.Free()
		}
		swept := e.cache.Sweep()
		t.row.KVLiveBytes, t.row.EvictedTokens = ledger.Some(swept.Bytes), ledger.Some(swept.Evicted)
		return nil
	})
}

// keep commits what entered the model since the last time.
func (t *turn) keep() error {
	made := t.made
	t.made = kvcache.Made{}
	if err := t.plan.Commit(made); err != nil {
		return err
	}
	t.computed += len(made.IDs)
	return nil
}
