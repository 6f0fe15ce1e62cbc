package loop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/kvcache/ledger"
	"reprise/model/chat"
	"reprise/server/api"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// cache is a server that needs no model: ids are characters, and it reuses the longest prefix that it has seen. It sits
// behind the real HTTP server.
type cache struct {
	mu       sync.Mutex
	seen     []memory
	turns    int
	answer   func(turn int) string
	fail     int                // the turn that fails; 0: none
	change   func(*ledger.Row)  // a bug
	shorten  int                // ids that a hit falls short of what matched
	sessions map[string]string  // by what the first user message is
	stop     context.CancelFunc // called in the turn that fails, instead of failing
}

type memory struct {
	text    string
	session string
}

const endID = 1

// serve puts the cache behind a server on a socket.
func (c *cache) serve(t *testing.T) *Reprise {
	t.Helper()
	e := wiretest.New(c.play)
	s, err := api.NewServer(api.Options{Engine: e, Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	client, err := Dial(t.Context(), s.URL()+"/v1/", "")
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (c *cache) play(ctx context.Context, e *wiretest.Engine, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns++
	if c.turns == c.fail {
		if c.stop != nil {
			c.stop()
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, errors.New("the gauge is silent")
	}
	text, first := c.render(req)
	answer := fmt.Sprintf("answer %d of %d", c.turns, c.turns*7919%1009)
	if c.answer != nil {
		answer = c.answer(c.turns)
	}
	if err := emit(engine.Event{Text: answer}); err != nil {
		return nil, err
	}
	n, matched := len([]rune(text)), 0
	for _, m := range c.seen {
		matched = max(matched, sharedPrefix(m.text, text))
	}
	if c.sessions == nil {
		c.sessions = map[string]string{}
	}
	session := c.sessions[first]
	if session == "" {
		session = fmt.Sprintf("session_%d", len(c.sessions))
		c.sessions[first] = session
	}
	res := &engine.Result{Text: answer, Finish: ledger.FinishLength, Prompt: ids(text), IDs: ids(answer)}
	if c.turns%3 == 0 {
		res.IDs = append(res.IDs, endID) // an end token, and the step behind it on its way
		res.Finish, res.Computed = ledger.FinishStop, n+len(res.IDs)
	} else {
		res.Computed = n + max(0, len(res.IDs)-1)
	}
	all := []rune(text + string([]rune(answer)))
	if c.turns%3 == 0 {
		all = append(all, endID)
	}
	res.Row = c.row(req, n, matched, c.displaced(session, text, matched), len(res.IDs))
	res.Row.SessionID, res.Row.TurnID, res.Row.FinishReason = session, req.TurnID, ledger.Some(res.Finish)
	c.seen = append(c.seen, memory{string(all[:res.Computed]), session})
	if c.change != nil {
		c.change(&res.Row)
	}
	res.Row = e.Ledger().Record(res.Row)
	return res, nil
}

// render is the prompt as text, and its first user message.
func (c *cache) render(req engine.Request) (text, first string) {
	var b strings.Builder
	for _, tool := range req.Prompt.Tools {
		function, _ := tool.(*chat.Dict).Get("function")
		name, _ := function.(*chat.Dict).Get("name")
		about, _ := function.(*chat.Dict).Get("description")
		fmt.Fprintf(&b, "<tool %s: %s>", name, about)
	}
	for _, m := range req.Prompt.Messages {
		content, _ := m.Get("content")
		fmt.Fprintf(&b, "<%s>%s\n", m.Role(), content)
		if first == "" && m.Role() == "user" {
			first = content.(string)
		}
	}
	b.WriteString("<assistant>")
	return b.String(), first
}

func (c *cache) row(req engine.Request, prompt, matched, displaced, generated int) ledger.Row {
	some := ledger.Some[int]
	hit := max(0, min(matched, prompt-1)-c.shorten)
	miss := ledger.MissPrefixChanged
	if req.NoReuse {
		hit, miss = 0, ledger.MissReuseOff
	}
	return ledger.Row{
		Time: time.Now().UTC(), Model: "tiny", Purpose: ledger.PurposeTurn,
		PromptTokens: some(prompt), LookupRequestedTokens: some(prompt), MatchedTokens: some(matched), LookupHitTokens: some(hit),
		L0HitTokens: some(hit), L1HitTokens: some(0), L2HitTokens: some(0), LowerHitTokens: some(0), RecomputeTokens: some(matched - hit),
		NewTokens: some(prompt - matched), DisplacedTokens: some(displaced), PaidAgainTokens: some(matched - hit + displaced),
		PrefillTokens: some(prompt - hit), UnprefilledTokens: some(0), GeneratedTokens: some(generated), MissReason: ledger.Some(miss),
		TTFTMs: ledger.Some(float64(prompt - hit)), PrefillMs: ledger.Some(float64(prompt - hit)), DecodeMs: ledger.Some(10.0),
		MLXPeakBytes: ledger.Some(int64(1000 + c.turns)),
	}
}

// displaced counts the new characters in runs of 32 that the session had before.
func (c *cache) displaced(session, text string, matched int) int {
	var before strings.Builder
	for _, m := range c.seen {
		if m.session == session {
			before.WriteString(m.text + "\x00")
		}
	}
	had, r := before.String(), []rune(text)
	n, end := 0, matched
	for i := matched; i+32 <= len(r); i++ {
		if strings.Contains(had, string(r[i:i+32])) {
			n += i + 32 - max(i, end)
			end = i + 32
		}
	}
	return n
}

func ids(text string) []int32 {
	out := []int32{}
	for _, r := range text {
		out = append(out, r)
	}
	return out
}

func sharedPrefix(a, b string) int {
	x, y := []rune(a), []rune(b)
	n := 0
	for n < min(len(x), len(y)) && x[n] == y[n] {
		n++
	}
	return n
}
