package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
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
	match     kvcache.LiveMatch
	hit       int          // tokens of the prompt whose state was reused
	state     *state.State // owned by this turn from restore to commit
	fed       []int32      // what entered the model, behind the hit
	reached   int          // offset in the prompt that the prefill has got to
	prefilled int          // counted in feed
	broken    bool         // a forward call failed: the state is worthless
	next      mlx.Array    // the token under way
	times     []time.Time  // of the tokens

	prefillStart time.Time
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
			err = fmt.Errorf("panic in turn %s: %v\n%s", t.row.TurnID, p, debug.Stack())
		}
	}()
	return t.run(ctx)
}

func (t *turn) run(ctx context.Context) error {
	if err := t.assemble(ctx); err != nil {
		return err
	}
	// Adapters open their stream on this: a client that waits in the queue has its headers.
	if err := t.emit(Event{Prompt: len(t.prompt.IDs)}); err != nil {
		return err
	}
	leave, err := t.admit(ctx)
	if err != nil {
		return err
	}
	defer leave()
	t.plan()
	defer t.commit()
	if err := t.restore(ctx); err != nil {
		return err
	}
	if err := t.prefill(ctx); err != nil {
		return err
	}
	return t.decode(ctx)
}

// assemble makes ids of the request and checks them against the limits.
func (t *turn) assemble(ctx context.Context) error {
	if err := t.req.Params.Validate(); err != nil {
		var p *sample.ParamError
		errors.As(err, &p)
		return &RequestError{Code: "invalid_value", Param: p.Param, Message: err.Error()}
	}
	p, err := t.model.assembler.Assemble(ctx, t.req.Prompt)
	if err != nil {
		return promptError(err)
	}
	t.prompt, t.result.Prompt = p, p.IDs
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
	return nil
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

// admit waits for the turn's place in the queue.
func (t *turn) admit(ctx context.Context) (leave func(), err error) {
	waited, leave, err := t.engine.queue.Admit(ctx)
	t.row.QueueMs = ledger.Ms(waited)
	return leave, err
}

// plan looks the prompt up and takes the state that serves it.
func (t *turn) plan() {
	start := time.Now()
	e := t.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	t.match = t.model.live.Lookup(t.prompt.IDs)
	if t.req.NoReuse || e.opts.NoReuse {
		t.match.Entry, t.match.Hit, t.match.LimitedBy, t.match.Miss = nil, 0, "none", kvcache.MissReuse
	}
	t.hit = t.match.Hit
	t.reached = t.hit
	if t.match.Entry != nil {
		t.model.live.Take(t.match.Entry)
		t.state = t.match.Entry.State.(*state.State)
	} else {
		t.state = t.model.net.NewState()
	}
	t.row.LookupMs = ledger.Ms(time.Since(start))
}

// restore brings the state to the offset of the hit.
func (t *turn) restore(ctx context.Context) error {
	start := time.Now()
	defer func() { t.row.RestoreMs = ledger.Ms(time.Since(start)) }()
	if t.state.Offset() == t.hit {
		return nil
	}
	return t.engine.queue.Step(ctx, func(*mlx.Scope) error { return t.state.Trim(t.hit) })
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

// commit puts the state back, with everything that was computed: what a cancelled turn prefilled and what was
// sampled but not delivered serve the next one.
func (t *turn) commit() {
	e := t.engine
	ids := append(append([]int32(nil), t.prompt.IDs[:t.hit]...), t.fed...)
	var unused []*kvcache.Entry
	if at := t.state.Offset(); t.broken || at != len(ids) || at == 0 {
		if !t.broken && at != len(ids) {
			e.opts.Logger.Error("state dropped: its offset is not that of the ids fed", "turn", t.row.TurnID, "offset", at, "ids", len(ids))
		}
		unused = append(unused, &kvcache.Entry{State: t.state})
	} else {
		entry := &kvcache.Entry{IDs: ids, State: t.state, Session: t.session(), Turn: t.row.TurnID, Prompt: len(t.prompt.IDs)}
		t.row.StoredTokens = ledger.Some(len(t.fed))
		t.result.Computed = len(ids)
		e.mu.Lock()
		unused = t.model.live.Put(entry)
		e.mu.Unlock()
	}
	e.mu.Lock()
	t.row.KVLiveBytes = ledger.Some(t.model.live.Bytes())
	e.mu.Unlock()
	evicted := 0
	for _, x := range unused {
		evicted += len(x.IDs)
	}
	t.row.EvictedTokens = ledger.Some(evicted)
	next := t.next
	t.next = mlx.Array{}
	// Not the request's context: what is freed here must be freed also when the client is gone.
	_ = e.worker.Do(context.Background(), func(*mlx.Scope) error { next.Free(); free(unused); return nil })
}

// session names the chain that this turn belongs to: that of the turn whose whole prompt it continues, or whose
// prompt begins with all of this one.
func (t *turn) session() string {
	if p := t.match.Parent; p != nil && (t.match.Matched >= p.Prompt || t.match.Matched == len(t.prompt.IDs)) {
		t.row.ParentTurnID = ledger.Some(p.Turn)
		t.row.SessionID = p.Session
	}
	if t.row.SessionID == "" {
		t.row.SessionID = newID("session_")
	}
	return t.row.SessionID
}
