package engines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"reprise/cmd/internal/client"
	"reprise/cmd/internal/loop"
	"reprise/kvcache/ledger"
)

// Config says which server.
type Config struct {
	Engine string // one of Names
	URL    string // of the server, with or without /v1
	Key    string // "": none
	// LMCache is the URL of LMCache MP's own HTTP server, for that engine.
	LMCache string
}

// Engine is another make's server. It is a loop.Server.
type Engine struct {
	Config
	Model   string
	Version string // "": it does not say
	kind    *kind
	metrics bool // it has a /metrics
	// settling is how long counters may move behind an answer's end.
	settling time.Duration
}

const (
	settleStep = 50 * time.Millisecond // between readings of counters that still move
	settleMost = 5 * time.Second
)

// Dial asks a server for its model, and reads its counters once.
func Dial(ctx context.Context, c Config) (*Engine, error) {
	k, err := find(c.Engine)
	if err != nil {
		return nil, err
	}
	c.URL, c.LMCache = base(c.URL), base(c.LMCache)
	e := &Engine{Config: c, kind: k, settling: settleMost}
	if err := e.find(ctx); err != nil {
		return nil, err
	}
	e.Version = k.version(func(path string, into any) error { return e.server().Get(ctx, path, into) })
	return e, e.probe(ctx)
}

// find asks for the model's name, where that is the name of what is served.
func (e *Engine) find(ctx context.Context) error {
	if e.kind.model != "" {
		e.Model = e.kind.model
		return e.server().Get(ctx, "/health", &struct{}{})
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := e.server().Get(ctx, "/v1/models", &list); err != nil {
		return fmt.Errorf("%w: is it an OpenAI-compatible server?", err)
	}
	if len(list.Data) == 0 {
		return fmt.Errorf("%s names no model in /v1/models", e.server())
	}
	e.Model = list.Data[0].ID
	return nil
}

// base is a URL without what the paths bring.
func base(url string) string {
	return strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(strings.TrimRight(url, "/"), "/v1"), "/metrics"), "/")
}

// probe finds out whether there are counters, and whether they are this engine's.
func (e *Engine) probe(ctx context.Context) error {
	if e.kind.metrics == "" {
		return nil
	}
	page, err := scrape(ctx, e.server())
	var none *errNoMetrics
	switch {
	case errors.As(err, &none) && !e.kind.needed:
		return nil // the answers say the same
	case errors.As(err, &none):
		return fmt.Errorf("%w; %s", err, e.kind.metrics)
	case err != nil:
		return err
	}
	witness := e.kind.rose[0][0]
	if _, ok := witness.read(&observed{before: page, after: page}); !ok {
		return fmt.Errorf("%s/metrics has no %s: is this server %s, as --engine says?", e.server(), witness.name, e.kind.about)
	}
	e.metrics = true
	if e.LMCache == "" {
		return nil
	}
	page, err = scrape(ctx, client.Server{URL: e.LMCache, Fresh: true})
	if err != nil {
		return fmt.Errorf("--lmcache-url: %w", err)
	}
	if len(page) == 0 || !hasPrefix(page, "lmcache_mp_") {
		return fmt.Errorf("--lmcache-url: %s/metrics has no counter named lmcache_mp_…: is this LMCache MP's HTTP server?", client.Redacted(e.LMCache))
	}
	return nil
}

func hasPrefix(page exposition, prefix string) bool {
	for name := range page {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Runtime names the server in a recipe.
func (e *Engine) Runtime() string {
	text := e.kind.about
	if e.Version != "" {
		text += " " + e.Version
	}
	return text + " at " + e.server().String()
}

// Turn has one prompt answered between two readings of the counters.
func (e *Engine) Turn(ctx context.Context, p *loop.Prompt, opts *loop.Options) (*loop.Answer, error) {
	o := &observed{}
	if err := e.read(ctx, &o.before, &o.lmcacheBefore); err != nil {
		return nil, err
	}
	body := map[string]any{
		"model": e.Model, "messages": p.Messages, "tools": p.Tools, "max_tokens": opts.MaxTokens, "temperature": 0,
		"stream": true, "stream_options": map[string]bool{"include_usage": true},
	}
	for name, value := range e.kind.extra {
		body[name] = value
	}
	begun := time.Now().UTC()
	a, err := complete(ctx, e.server(), body)
	if err != nil {
		return nil, err
	}
	o.usage, o.timings = a.usage, a.timings
	settled := e.settle(ctx, o)
	if settled != nil && ctx.Err() != nil {
		return nil, settled
	}
	row := e.row(p, a, o)
	row.Time = begun
	if broken := e.kind.check(row, o, settled); broken != "" {
		row.IdentityError = ledger.Some(broken)
	}
	out := &loop.Answer{Text: a.text, Row: *row}
	if len(a.pieces) > 0 {
		out.FirstToken = a.pieces[0]
	}
	return out, nil
}

func (e *Engine) read(ctx context.Context, engine, lmcache *exposition) (err error) {
	if e.metrics {
		if *engine, err = scrape(ctx, e.server()); err != nil {
			return err
		}
	}
	if e.LMCache != "" {
		if *lmcache, err = scrape(ctx, client.Server{URL: e.LMCache, Fresh: true}); err != nil {
			return err
		}
	}
	return nil
}

// settle reads the counters until they have risen by what the answer says, and LMCache's events are all counted.
func (e *Engine) settle(ctx context.Context, o *observed) error {
	limit := time.Now().Add(e.settling)
	for {
		if err := e.read(ctx, &o.after, &o.lmcacheAfter); err != nil {
			return err
		}
		off := differing(o, e.kind.rose)
		waiting, _ := o.lmcacheAfter.value("lmcache_mp_event_bus_queue_depth", "", "")
		if off == "" && waiting == 0 {
			return nil
		}
		if time.Now().After(limit) {
			if off == "" {
				off = fmt.Sprintf("lmcache_mp_event_bus_queue_depth is still %.0f", waiting)
			}
			return fmt.Errorf("%s; does somebody else use this server?", off)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleStep):
		}
	}
}

// row is the turn in the ledger's columns.
func (e *Engine) row(p *loop.Prompt, a *answer, o *observed) *ledger.Row {
	row := &ledger.Row{
		TurnID: a.id, SessionID: p.Conversation, Model: e.Model, Purpose: ledger.PurposeTurn, Worker: e.Engine,
		PromptTokensEst: ledger.Some(p.Estimated()),
	}
	if row.TurnID == "" {
		row.TurnID = fmt.Sprintf("%s_%02d", e.Engine, p.Turn)
	}
	row.Note(ledger.Estimated, "prompt_tokens_est")
	switch reason := ledger.FinishReason(a.finish); reason {
	case ledger.FinishStop, ledger.FinishLength, ledger.FinishToolCalls:
		row.FinishReason = ledger.Some(reason)
	}
	for i := range e.kind.columns {
		e.kind.columns[i].fill(row, o)
	}
	if e.kind.derive != nil {
		e.kind.derive(row, o)
	}
	clock(row, a)
	return row
}

// clock fills what the client's clock says: of times that the engine counts as well, only those that it does not.
func clock(row *ledger.Row, a *answer) {
	if len(a.pieces) == 0 {
		return
	}
	span := a.pieces[len(a.pieces)-1] - a.pieces[0]
	row.TTFTMs = ledger.Ms(a.pieces[0])
	row.Note(ledger.Client, "ttft_ms")
	if !row.DecodeMs.Known() {
		row.DecodeMs = ledger.Ms(span)
		row.Note(ledger.Client, "decode_ms")
	}
	if n, ok := row.GeneratedTokens.Get(); ok && n > 1 && span > 0 {
		row.DecodeTPS = ledger.Some(float64(n-1) / span.Seconds())
		row.Note(ledger.Client, "decode_tps")
	}
	if gaps := between(a.pieces); len(gaps) > 0 {
		row.ITLP50Ms, row.ITLP95Ms = ledger.Ms(gaps[(len(gaps)-1)/2]), ledger.Ms(gaps[(len(gaps)*95+99)/100-1])
		row.Note(ledger.Client, "itl_p50_ms", "itl_p95_ms")
	}
	n, counted := row.PrefillTokens.Get()
	if took, ok := row.PrefillMs.Get(); ok && counted && took > 0 {
		row.PrefillTPS = ledger.Some(float64(n) / took * 1e3)
		row.Note(ledger.Derived, "prefill_tps")
	}
}

// between are the gaps between moments, sorted.
func between(at []time.Duration) []time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(at); i++ {
		gaps = append(gaps, at[i]-at[i-1])
	}
	slices.Sort(gaps)
	return gaps
}
