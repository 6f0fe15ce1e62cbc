package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"reprise/kvcache/ledger"
	"reprise/server/engine"
)

// Engine is what the server needs of an engine; *engine.Engine is one. Of the Model only plain fields are read,
// so that tests can make one without weights.
type Engine interface {
	Turn(ctx context.Context, req engine.Request, emit func(engine.Event) error) (*engine.Result, error)
	Tokenize(ctx context.Context, req engine.Request) ([]int32, error)
	Encode(text string) ([]int32, error)
	Decode(ids []int32) (string, error)
	Model() *engine.Model
	Ledger() *ledger.Ledger
	Waiting() int
	CacheStats() engine.CacheStats
	AuditStats() engine.AuditStats
	Why(turn string) (engine.Why, bool)
	ClearCache(ctx context.Context) error
	TierStats() engine.TierStats
	MemoryStats() engine.MemoryStats
	ClearTiers(ctx context.Context, disk, remote bool) error
	VerifyCache(ctx context.Context) error
	Count(ctx context.Context, req engine.Request) (int, error)
}

var _ Engine = (*engine.Engine)(nil)

// Route is one endpoint.
type Route struct {
	Method string
	Path   string // a pattern of net/http's mux, without the method
	Handle func(w http.ResponseWriter, r *http.Request) error
}

// TurnHeader names the turn's row in the ledger. It is set before the turn runs, since a stream's headers leave early.
const TurnHeader = "X-Reprise-Turn"

// Turns runs turns for the adapters: so many at a time, each with a line in the log.
type Turns struct {
	opts   TurnOptions
	places chan struct{}
}

// TurnOptions say whose turns are run, and how.
type TurnOptions struct {
	Engine Engine
	Log    *slog.Logger
	Open   int  // that may run and wait; further ones are refused
	Texts  bool // prompts and answers are logged as well
}

// NewTurns makes the places.
func NewTurns(o TurnOptions) *Turns { return &Turns{opts: o, places: make(chan struct{}, o.Open)} }

// Engine is the engine that runs them.
func (t *Turns) Engine() Engine { return t.opts.Engine }

// Enter takes a place for a turn, before its body is read: what waits costs memory. leave gives it back.
func (t *Turns) Enter() (leave func(), err error) {
	select {
	case t.places <- struct{}{}:
		return func() { <-t.places }, nil
	default:
		return nil, &Error{Status: http.StatusTooManyRequests, Code: CodeBusy, RetryAfter: 2 * time.Second,
			Message: "too many requests are waiting; try again in a moment"}
	}
}

// Run runs one turn, logs it, and tells who listens (see Listen). Unless texts are wanted, the log has counts and times alone:
// also a refusal's message, or what a panic says, may quote a prompt.
func (t *Turns) Run(ctx context.Context, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
	start := time.Now()
	res, err := t.opts.Engine.Turn(ctx, req, emit)
	if res == nil {
		res = &engine.Result{}
	}
	heard(ctx, res)
	row := &res.Row
	level, attrs := slog.LevelInfo, []slog.Attr{
		slog.String("turn", req.TurnID), slog.String("session", row.SessionID), slog.String("finish", string(res.Finish)),
		count("prompt", row.PromptTokens), count("hit", row.LookupHitTokens), count("recompute", row.RecomputeTokens),
		count("new", row.NewTokens), count("generated", row.GeneratedTokens),
		measured("ttft_ms", row.TTFTMs), measured("prefill_tps", row.PrefillTPS), measured("decode_tps", row.DecodeTPS),
		slog.Duration("took", time.Since(start).Round(time.Millisecond)),
	}
	var refused *engine.RequestError
	var panicked *engine.PanicError
	var memory *engine.MemoryError
	switch {
	case err == nil, ctx.Err() != nil:
	case errors.As(err, &refused):
		attrs = append(attrs, slog.String("code", refused.Code), slog.String("param", refused.Param))
	case errors.As(err, &panicked):
		level, attrs = slog.LevelError, append(attrs, slog.String("panic", t.opts.panicked(panicked.Value)), slog.String("stack", panicked.Stack))
	case errors.As(err, &memory): // its words are counts
		level, attrs = slog.LevelWarn, append(attrs, slog.String("memory", memory.Message))
	default:
		level, attrs = slog.LevelError, append(attrs, slog.Any("err", err))
	}
	if t.opts.Texts {
		attrs = append(attrs, t.texts(res, err)...)
	}
	t.opts.Log.LogAttrs(context.WithoutCancel(ctx), level, "turn", attrs...)
	return res, err
}

// texts are the prompt as the model read it, and the answer.
func (t *Turns) texts(res *engine.Result, failed error) []slog.Attr {
	prompt, err := t.opts.Engine.Decode(res.Prompt)
	if err != nil {
		prompt = err.Error()
	}
	attrs := []slog.Attr{slog.String("prompt_text", prompt), slog.String("answer_text", res.Text)}
	if res.Reasoning != "" {
		attrs = append(attrs, slog.String("reasoning_text", res.Reasoning))
	}
	for _, c := range res.Calls {
		attrs = append(attrs, slog.String("call_"+c.Name, c.Arguments))
	}
	if failed != nil {
		attrs = append(attrs, slog.String("refusal_text", failed.Error()))
	}
	return attrs
}

func (o *TurnOptions) panicked(value any) string { return Panicked(value, o.Texts) }

// Panicked is what the log says of a panic: the runtime's own words name types and numbers alone, any other's may quote a
// request.
func Panicked(value any, texts bool) string {
	var own runtime.Error
	if err, is := value.(error); texts || is && errors.As(err, &own) {
		return fmt.Sprint(value)
	}
	return fmt.Sprintf("a %T, whose words may quote a request: --log-prompts shows them", value)
}

func count(name string, n ledger.Opt[int]) slog.Attr {
	if v, ok := n.Get(); ok {
		return slog.Int(name, v)
	}
	return slog.Any(name, nil)
}

// measured rounds to a tenth, which is what a log is read for.
func measured(name string, x ledger.Opt[float64]) slog.Attr {
	if v, ok := x.Get(); ok {
		return slog.Float64(name, float64(int64(v*10+0.5))/10)
	}
	return slog.Any(name, nil)
}
