package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"reprise/kvcache/ledger"
	"reprise/kvcache/ledger/footprint"
	"reprise/mlx"
	"reprise/model/chat"
	"reprise/server/prompt"
)

// room lets the real engine have so much memory beside the model: what it takes is what MLX's arrays take, so that a test does
// not hang on the heap's garbage. host is what the host has left; nil: plenty.
func room(t *testing.T, bytes int64, host func() footprint.Host) *memory {
	t.Helper()
	fresh(t)
	old := real.memory
	row, fixed := old.sizes()
	idle := mlx.ReadMemory().Active
	m := &memory{limit: 1e9 + bytes + ownSlack, base: 1e9, reserve: 1e8, grid: old.grid, row: row, fixed: fixed, firstCall: old.firstCall, patience: 300 * time.Millisecond,
		readMLX: func() mlx.Memory { return mlx.Memory{Active: mlx.ReadMemory().Active} }, readOwn: func() (int64, error) { return 1e9 + mlx.ReadMemory().Active - idle, nil },
		readHost: func() (footprint.Host, error) {
			if host == nil {
				return footprint.Host{TotalBytes: 1e12, AvailableBytes: 1e12}, nil
			}
			return host(), nil
		}}
	real.memory = m
	t.Cleanup(func() { real.memory = old; fresh(t) })
	return m
}

// long is a prompt of about so many tokens that begins like no other.
func long(name string, tokens int) string { return name + strings.Repeat(" word", tokens) }

func TestAPromptThatNeverFitsIsRefusedWithFigures(t *testing.T) {
	m := room(t, 60e6, nil)
	if _, err := real.Turn(t.Context(), raw(long("Kept", 300), 1), nil); err != nil { // nothing was measured before
		t.Fatal(err)
	}
	kept := real.CacheStats()
	began := false
	res, err := real.Turn(t.Context(), raw(long("Large", 12000), 4), func(Event) error { began = true; return nil })
	var refused *MemoryError
	if !errors.As(err, &refused) || !refused.Never || began {
		t.Fatalf("12,000 tokens in 60 MB: %v; its stream began: %v", err, began)
	}
	for _, figure := range []string{"maximum context length is ", "12002 tokens", "6144 bytes a token", "--memory-limit"} {
		if !strings.Contains(refused.Message, figure) {
			t.Errorf("the refusal says no %q: %s", figure, refused.Message)
		}
	}
	row := res.Row
	if row.IdentityError.Known() || row.FinishReason.Or("") != ledger.FinishRefused || row.LimitedBy.Or("") != ledger.LimitMemory ||
		row.UnprefilledTokens.Or(0) != row.PromptTokens.Or(1)-row.LookupHitTokens.Or(0) || row.PrefillTokens.Or(1) != 0 {
		t.Errorf("its row is %+v", row)
	}
	if now := real.CacheStats(); now.LiveBytes != kept.LiveBytes || m.stats.Yielded != 0 || m.stats.RefusedNever != 1 {
		t.Errorf("what was kept is %d bytes, was %d; %+v", now.LiveBytes, kept.LiveBytes, m.stats)
	}
	longest := m.longest(real.model.Context, 4)
	if longest < 1000 || longest > 11000 {
		t.Errorf("the longest prompt for 60 MB is said to be %d tokens", longest)
	}
	if res := ask(t, raw(long("Fits", longest/2), 4)); res.Row.PrefillTokens.Or(0) < longest/2 {
		t.Errorf("%d tokens are said to fit, and of half as many %d were computed", longest, res.Row.PrefillTokens.Or(0))
	}
}

func TestTheCacheYieldsToATurn(t *testing.T) {
	m := room(t, 110e6, nil)
	for _, name := range []string{"One", "Two", "Three"} {
		ask(t, raw(long(name, 1500), 2))
	}
	if m.stats.Yielded == 0 {
		ask(t, raw(long("Four", 3000), 2))
	}
	if held := mlx.ReadMemory(); m.stats.Yielded == 0 || m.stats.Waited+m.stats.RefusedLater+m.stats.RefusedNever > 0 {
		t.Errorf("four prompts in 110 MB: %+v, MLX holds %+v", m.stats, held)
	}
}

// Outside the process somebody takes the memory: a turn waits, and goes on when it comes back; in vain, it is refused, and told
// when to come again.
func TestATurnWaitsForMemory(t *testing.T) {
	var m *memory
	short := false
	m = room(t, 1e9, func() footprint.Host {
		if short || m.stats.Waited == 0 {
			return footprint.Host{TotalBytes: 1e12, AvailableBytes: 1e8 + 1e6}
		}
		return footprint.Host{TotalBytes: 1e12, AvailableBytes: 1e12}
	})
	res := ask(t, raw(long("Wait", 300), 2))
	if m.stats.Waited != 1 || m.stats.RefusedLater != 0 || res.Row.QueueMs.Or(0) < 50 {
		t.Errorf("it waited %v ms: %+v", res.Row.QueueMs, m.stats)
	}
	turns := real.CacheStats().Turns
	short = true
	began := false
	res, err := real.Turn(context.Background(), raw(long("Vain", 300), 2), func(Event) error { began = true; return nil })
	var refused *MemoryError
	if began {
		t.Error("its stream began: the refusal has no status")
	}
	if !errors.As(err, &refused) || refused.Never || refused.RetryAfter <= 0 || !strings.Contains(refused.Message, "other programs") {
		t.Fatalf("without memory: %v", err)
	}
	row := res.Row
	if row.IdentityError.Known() || row.FinishReason.Or("") != ledger.FinishRefused || row.LimitedBy.Or("") != ledger.LimitMemory || row.UnprefilledTokens.Or(0) < 300 {
		t.Errorf("its row is %+v", row)
	}
	if now := real.CacheStats().Turns; now != turns || m.stats.RefusedLater != 1 {
		t.Errorf("the cache counts %d turns, %d before one that was withdrawn; %+v", now, turns, m.stats)
	}
	if waiting := real.Waiting(); waiting != 0 {
		t.Errorf("%d turns are left in the queue", waiting)
	}
}

// An answer that grows out of the memory is cut, as by the context; it is no error.
// A turn that is alone gives its own snapshots up before it is refused, and is never told that others hold the memory: it would
// come again for ever.
func TestATurnAloneIsNotToldToComeAgain(t *testing.T) {
	served, stripped := 0, 0
	for mb := 40; mb <= 80; mb += 3 {
		m := room(t, int64(mb)*1e6, nil)
		m.row, m.fixed = real.model.Info().RowBytes, real.model.Info().SnapshotBytes // as before any state was seen
		m.firstCall = 8 << 20
		res, err := real.Turn(t.Context(), Request{MaxTokens: 2, Prompt: prompt.Input{Messages: []chat.Message{
			chat.NewMessage("system", long(fmt.Sprintf("Alone%d", mb), 300)), chat.NewMessage("user", long("Say", 600))}}}, nil)
		var refused *MemoryError
		switch {
		case err == nil:
			served++
			if res.Row.IdentityError.Known() {
				t.Errorf("%d MB: %s", mb, res.Row.IdentityError.Or(""))
			}
			if real.CacheStats().Snapshots == 0 {
				stripped++
			}
		case !errors.As(err, &refused) || !refused.Never:
			t.Errorf("%d MB: %v", mb, err)
		}
		if err := real.VerifyCache(t.Context()); err != nil {
			t.Errorf("%d MB: %v", mb, err)
		}
	}
	t.Logf("%d served, %d without snapshots", served, stripped)
	if served == 0 {
		t.Error("none was served")
	}
}

// The garbage of a turn under way is what the slack was left for: it does not take the room of its next call, too.
func TestATurnsGarbageIsItsSlack(t *testing.T) {
	m := room(t, 64e6, nil)
	own, begun := m.readOwn, atomic.Bool{}
	garbage := int64(30e6)
	m.readOwn = func() (int64, error) {
		n, err := own()
		if begun.Load() {
			n += garbage
		}
		return n, err
	}
	for _, garbage = range []int64{30e6, 2 * ownSlack} {
		begun.Store(false)
		_, err := real.Turn(t.Context(), raw(long(fmt.Sprintf("Garbage%d", garbage), 1000), 2), func(ev Event) error {
			begun.Store(ev.Prefilled > 0)
			return nil
		})
		var refused *MemoryError
		if fits := garbage < ownSlack; fits && err != nil || !fits && !errors.As(err, &refused) {
			t.Errorf("%d bytes of garbage: %v", garbage, err)
		} else if !fits && !strings.Contains(refused.Message, "no other request holds the rest") {
			t.Error(refused.Message)
		}
	}
}

func TestAnAnswerEndsWhereMemoryDoes(t *testing.T) {
	full := false
	m := room(t, 1e9, func() footprint.Host {
		if full {
			return footprint.Host{TotalBytes: 1e12, AvailableBytes: 1e8}
		}
		return footprint.Host{TotalBytes: 1e12, AvailableBytes: 1e12}
	})
	req := raw("Once upon a time", 600)
	Say(real, slicesOf(1000, 600))
	defer Say(real, nil)
	res, err := real.Turn(t.Context(), req, func(ev Event) error { full = len(ev.IDs) > 0; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if n := len(res.IDs); n < 200 || n > 300 || res.Finish != ledger.FinishLength || res.Row.LimitedBy.Or("") != ledger.LimitMemory || m.stats.Cut != 1 {
		t.Errorf("%d of 600 tokens, %s, limited by %v; %+v", n, res.Finish, res.Row.LimitedBy, m.stats)
	}
}

func slicesOf(id int32, n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = id
	}
	return out
}

// The host runs short: the cache gives up what is missing, the tokens are counted, and the budget comes back when the memory
// does.
func TestPressureShrinksTheCache(t *testing.T) {
	left := int64(1e12)
	m := room(t, 1e9, func() footprint.Host { return footprint.Host{TotalBytes: 1e12, AvailableBytes: left} })
	for _, name := range []string{"One", "Two", "Three"} {
		ask(t, raw(long(name, 500), 2))
	}
	before := real.CacheStats()
	held := before.LiveBytes + before.PieceBytes + before.SnapBytes
	p := &pressure{engine: real, own: before.Budget}
	t.Cleanup(func() { real.cache.SetBudget(p.own) })
	p.look(t.Context())
	if m.stats.Pressed != 0 {
		t.Fatalf("pressed with plenty left: %+v", m.stats)
	}
	left = m.reserve - held/2
	p.look(t.Context())
	now := real.CacheStats()
	if total := now.LiveBytes + now.PieceBytes + now.SnapBytes; m.stats.Pressed != 1 || total > held/2+1 || total == 0 || now.Budget > held/2+1 ||
		m.stats.PressEvicted < 500 || m.stats.PressEvicted != now.EvictedTokens-before.EvictedTokens {
		t.Fatalf("of %d bytes %d are left, of a budget of %d; %+v", held, total, now.Budget, m.stats)
	}
	left = 3 * m.reserve
	for range calmLooks - 1 {
		p.look(t.Context())
	}
	if b := real.CacheStats().Budget; b != now.Budget {
		t.Errorf("the budget is %d after %d looks", b, calmLooks-1)
	}
	p.look(t.Context())
	if b := real.CacheStats().Budget; b != p.own || m.stats.Budget != 0 {
		t.Errorf("the budget is %d, its own is %d", b, p.own)
	}
}

func TestAppetiteFollowsWhatWasSeen(t *testing.T) {
	var a appetite
	if _, ok := a.of(256, 256); ok {
		t.Error("it knows something of nothing")
	}
	a.note(8, 100, 1e9) // says nothing about wide ones
	for end := 256; end <= 2048; end += 256 {
		a.note(256, end, int64(10e6+1000*end)) // 10 MB, and 1,000 bytes for each token before
	}
	for _, c := range []struct{ width, end, want int }{
		{256, 2048, 10e6 + 2048e3}, {128, 2048, 5e6 + 1024e3}, {256, 60000, 10e6 + 60000e3},
	} {
		if got, ok := a.of(c.width, c.end); !ok || got < int64(c.want)*99/100 || got > int64(c.want)*101/100 {
			t.Errorf("%d tokens to %d: %d bytes, want %d", c.width, c.end, got, c.want)
		}
	}
	if got, _ := a.of(256, 300); got < 10e6+300e3 || got > 10e6+2048e3 {
		t.Errorf("between what was seen: %d bytes", got)
	}
}

// A cache that could never be had is refused at the start, with the figures.
func TestACacheBeyondTheLimitIsRefused(t *testing.T) {
	e, err := Open(t.Context(), Options{Model: tiny(t, "qwen35/testdata/tiny-f32"), CacheMem: 1e15})
	if err == nil {
		e.Close()
		t.Fatal("1,000 TB of state are kept on this machine")
	}
	for _, word := range []string{"--cache-mem 1000", "leaves", "--memory-limit"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the refusal says no %q: %v", word, err)
		}
	}
}
