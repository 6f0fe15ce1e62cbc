// Package wiretest has an engine that plays a script, for tests of the server without a model. Its rows keep the
// ledger's identities.
package wiretest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"reprise/kvcache/ledger"
	"reprise/model/hub"
	"reprise/server/engine"
)

// Script plays a turn. It reports through emit and ends with a result that Finish made, or an error.
type Script func(ctx context.Context, e *Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error)

// Engine is a scripted wire.Engine. Set its fields before it is used.
type Engine struct {
	Loaded *engine.Model
	Play   Script // nil: Words("Hello", " world")
	Cache  engine.CacheStats
	Audits engine.AuditStats
	Whys   []engine.Why
	Broken error // what VerifyCache finds

	DisksCleared, RemotesCleared int

	ledger *ledger.Ledger

	mu       sync.Mutex
	requests []engine.Request
	cleared  int
}

// New makes an engine whose model is called "tiny", with a context of 1,024 tokens.
func New(play Script) *Engine {
	rows, err := ledger.Open(ledger.Options{Recent: 16}) // in memory: cannot fail
	if err != nil {
		panic(err)
	}
	return &Engine{
		Loaded: &engine.Model{Name: "tiny", Config: &hub.Config{}, Context: 1024, Trained: 1024, TemplateName: "gemma4"},
		Play:   play, ledger: rows,
	}
}

// Turn plays the script.
func (e *Engine) Turn(ctx context.Context, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
	e.mu.Lock()
	e.requests = append(e.requests, req)
	e.mu.Unlock()
	if emit == nil {
		emit = func(engine.Event) error { return nil }
	}
	play := e.Play
	if play == nil {
		play = Words("Hello", " world")
	}
	return play(ctx, e, req, emit)
}

// Tokenize makes an id of every byte of a raw text, behind id 2; of a conversation, of its messages' roles.
func (e *Engine) Tokenize(_ context.Context, req engine.Request) ([]int32, error) {
	text := req.Prompt.Raw
	for _, m := range req.Prompt.Messages {
		text += m.Role()
	}
	ids, err := e.Encode(text)
	return append(append([]int32{2}, req.Prompt.IDs...), ids...), err
}

// Encode makes an id of every byte.
func (e *Engine) Encode(text string) ([]int32, error) {
	ids := make([]int32, len(text))
	for i, b := range []byte(text) {
		ids[i] = int32(b)
	}
	return ids, nil
}

// Decode undoes Encode.
func (e *Engine) Decode(ids []int32) (string, error) {
	var text []byte
	for i, id := range ids {
		if id < 0 || id > 255 {
			return "", &engine.RequestError{Code: "invalid_value", Param: "tokens", Message: fmt.Sprintf("tokens[%d] is %d", i, id)}
		}
		text = append(text, byte(id))
	}
	return string(text), nil
}

// Model is the model that the test set.
func (e *Engine) Model() *engine.Model { return e.Loaded }

// Ledger has the rows of the turns that ended with Finish.
func (e *Engine) Ledger() *ledger.Ledger { return e.ledger }

// Waiting is 0: scripts do not queue.
func (e *Engine) Waiting() int { return 0 }

// CacheStats are those that the test set.
func (e *Engine) CacheStats() engine.CacheStats { return e.Cache }

// AuditStats are those that the test set.
func (e *Engine) AuditStats() engine.AuditStats { return e.Audits }

// Why has the divergences that the test set.
func (e *Engine) Why(turn string) (engine.Why, bool) {
	for _, w := range e.Whys {
		if w.TurnID == turn {
			return w, true
		}
	}
	return engine.Why{}, false
}

// VerifyCache finds what the test set.
func (e *Engine) VerifyCache(context.Context) error { return e.Broken }

// Count is 10 tokens for each message.
func (e *Engine) Count(_ context.Context, req engine.Request) (int, error) {
	return 10 * len(req.Prompt.Messages), nil
}

// TierStats are made up.
func (e *Engine) TierStats() engine.TierStats {
	return engine.TierStats{
		L1: &engine.DiskStats{Dir: "/kv", Blocks: 7, Bytes: 3e6, Limit: 20e9, WrittenToday: 4e6, Daily: 50e9, Loads: 2, ReadBytes: 1e6, LoadMs: 2, Stores: 3, WriteBytes: 4e6, StoreMs: 8},
		L2: &engine.RemoteStats{Addr: "127.0.0.1:6379", Loads: 1, ReadBytes: 2e6, LoadMs: 4, Stores: 5, WriteBytes: 6e6, StoreMs: 12, StoreBytes: 8e6, Compressed: 0.9, Off: true},
	}
}

// MemoryStats are made up.
func (e *Engine) MemoryStats() engine.MemoryStats {
	return engine.MemoryStats{Limit: 4e9, Base: 1e9, Reserve: 3e8, Room: 2e9, Row: 6144, Fixed: 5e6, Call: 7e6, Waited: 8, RefusedLater: 3, RefusedNever: 2, Cut: 1,
		Yielded: 9e6, Pressed: 4, PressEvicted: 1234, Budget: 6e6}
}

// ClearTiers counts what was cleared.
func (e *Engine) ClearTiers(_ context.Context, disk, remote bool) error {
	e.DisksCleared, e.RemotesCleared = e.DisksCleared+count(disk), e.RemotesCleared+count(remote)
	return nil
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// ClearCache counts.
func (e *Engine) ClearCache(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cleared++
	return nil
}

// Cleared is how often the cache was cleared.
func (e *Engine) Cleared() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cleared
}

// Requests are those that turns were run for.
func (e *Engine) Requests() []engine.Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]engine.Request(nil), e.requests...)
}

// Words is the script of an answer in pieces: a prompt of 10 tokens, 5 of them known and 4 reused, and a token for
// each word and the end.
func Words(words ...string) Script {
	return func(_ context.Context, e *Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
		if err := emit(engine.Event{Prefilled: 10, Prompt: 10}); err != nil {
			return nil, err
		}
		for i, w := range words {
			if err := emit(engine.Event{Text: w, IDs: []int32{int32(i)}, Prefilled: 10, Prompt: 10}); err != nil {
				return nil, err
			}
		}
		return e.Finish(req, strings.Join(words, ""), len(words)+1), nil
	}
}

// Finish records the row of a completed turn as in Words.
func (e *Engine) Finish(req engine.Request, text string, generated int) *engine.Result {
	some := ledger.Some[int]
	session := req.Session
	if session == "" {
		session = "session_test"
	}
	purpose := req.Purpose
	if purpose == "" {
		purpose = ledger.PurposeTurn
	}
	row := ledger.Row{
		TurnID: req.TurnID, SessionID: session, Time: time.Now().UTC(), Model: e.Loaded.Name, Purpose: purpose,
		PromptTokens: some(10), LookupRequestedTokens: some(10), MatchedTokens: some(5), LookupHitTokens: some(4),
		L0HitTokens: some(4), L1HitTokens: some(0), L2HitTokens: some(0), LowerHitTokens: some(0), RecomputeTokens: some(1),
		NewTokens: some(5), PrefillTokens: some(6), UnprefilledTokens: some(0), GeneratedTokens: some(generated),
		LimitedBy: ledger.Some(ledger.LimitSliding), MissReason: ledger.Some(ledger.MissNoSnapshot),
		FinishReason: ledger.Some(ledger.FinishStop),
	}
	row = e.ledger.Record(row)
	said := req.Prompt.Raw
	for _, m := range req.Prompt.Messages {
		content, _ := m.Text()
		said += m.Role() + content
	}
	prompt, _ := e.Encode(said) // fails never
	ids, _ := e.Encode(text)
	return &engine.Result{Text: text, Finish: ledger.FinishStop, Row: row, Prompt: prompt, IDs: ids}
}
