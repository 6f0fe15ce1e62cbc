package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/kvcache/ledger"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model"
	"reprise/model/chat"
	"reprise/server/prompt"
)

// auditing is an engine that audits every turn that reuses state, and what its audits saw.
type auditing struct {
	*Engine
	t    *testing.T
	mu   sync.Mutex
	seen map[string][2][]float32 // the turn's logits, and the replay's
	// near is how far logits may lie from a cold run's, of the largest: its calls are others.
	near float64
}

// open starts one on a checkpoint; "" is the small real model.
func open(t *testing.T, dir string) *auditing {
	t.Helper()
	return openWith(t, Options{Model: dir})
}

// openWith starts one with more options.
func openWith(t *testing.T, o Options) *auditing {
	t.Helper()
	o.Device, o.Audit = mlx.CPU, Audit{Share: 1, Max: time.Hour}
	if tiersOn && o.CacheDisk == "" && o.L2 == "" { // a test of one of them has its own
		disk, url, ended, err := tiersFor()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ended)
		o.CacheDisk, o.L2 = disk, url
	}
	e, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	a := &auditing{Engine: e, t: t, seen: map[string][2][]float32{}, near: auditTolerance}
	e.audits.observe = func(turn string, first, again []float32) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen[turn] = [2][]float32{first, again}
	}
	return a
}

// tinyHybrid is the tiny qwen3_5 checkpoint.
func tinyHybrid(t *testing.T) string { return tiny(t, "qwen35/testdata/tiny-f32") }

// tiny is a copy of a tiny checkpoint of 96 ids with a vocabulary of one character a token, that never samples the
// suppressed ids.
func tiny(t *testing.T, checkpoint string, suppressed ...int32) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tiny")
	if err := os.CopyFS(dir, os.DirFS("../../model/"+checkpoint)); err != nil {
		t.Fatal(err)
	}
	vocab := map[string]int{}
	for i := range 96 {
		vocab[string(rune('0'+i))] = i
	}
	for name, content := range map[string]any{
		"tokenizer.json": map[string]any{"version": "1.0", "added_tokens": []any{}, "normalizer": nil, "pre_tokenizer": nil, "post_processor": nil, "decoder": map[string]any{"type": "Fuse"},
			"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": []any{}}},
		"generation_config.json": map[string]any{"bos_token_id": 2, "eos_token_id": 1, "suppress_tokens": suppressed},
	} {
		raw, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ask runs a turn on ids and waits for its audit.
func (a *auditing) ask(ids []int32, n int) *Result {
	a.t.Helper()
	before := a.audited()
	res, err := a.Turn(context.Background(), Request{Prompt: prompt.Input{IDs: ids}, MaxTokens: n}, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	if e := res.Row.IdentityError; e.Known() {
		a.t.Fatalf("identity broken: %s", e.Or(""))
	}
	for end := time.Now().Add(time.Minute); res.Row.LookupHitTokens.Or(0) > 0 && a.audited() == before; {
		if time.Now().After(end) {
			a.t.Fatal("the audit did not end")
		}
		time.Sleep(time.Millisecond)
	}
	return res
}

func (a *auditing) audited() int64 {
	s := a.AuditStats()
	return s.Matches + s.Within + s.Mismatches + s.Skipped + s.Failed
}

// cold computes the logits behind ids without any cache, on the model's grid.
func (a *auditing) cold(ids []int32) []float32 {
	a.t.Helper()
	var out []float32
	err := a.worker.Do(context.Background(), func(s *mlx.Scope) error {
		st := a.model.net.NewState()
		defer st.Free()
		for at := 0; at < len(ids); {
			to := min(len(ids), (at/a.model.grid+1)*a.model.grid)
			hidden := a.model.net.Forward(s, mlx.New(s, ids[at:to], 1, to-at), st)
			if at = to; at < len(ids) {
				if err := s.Eval(st.Arrays()...); err != nil {
					return err
				}
				continue
			}
			var err error
			out, err = s.Float32s(s.AsType(a.model.net.Logits(s, model.LastRow(s, hidden)), mlx.Float32))
			return err
		}
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

// check compares a turn's logits with its replay's, to the bit, and with a cold run's, within 1e-3 of the largest.
func (a *auditing) check(what string, res *Result, least int) {
	a.t.Helper()
	hit := res.Row.LookupHitTokens.Or(0)
	if hit < least {
		a.t.Errorf("%s: %d tokens were reused, %d could be (miss %s, limited by %s)", what, hit, least, res.Row.MissReason.Or(""), res.Row.LimitedBy.Or(""))
	}
	if hit == 0 {
		return
	}
	a.mu.Lock()
	pair := a.seen[res.Row.TurnID]
	a.mu.Unlock()
	if len(pair[0]) == 0 || !slices.EqualFunc(pair[0], pair[1], func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) {
		a.t.Errorf("%s: the logits behind %d reused tokens are not those of the replay", what, hit)
	}
	var diff, largest float64
	for i, want := range a.cold(res.Prompt) {
		diff, largest = max(diff, math.Abs(float64(want-pair[0][i]))), max(largest, math.Abs(float64(want)))
	}
	a.t.Logf("%s: hit %d of %d, %.1e of the largest logit from a cold run", what, hit, len(res.Prompt), diff/largest)
	if diff > a.near*largest {
		a.t.Errorf("%s: logits lie %g from a cold run's, the largest is %g", what, diff, largest)
	}
}

// Acceptance 2.4: whatever way state is reused, logits are those of a replay of its provenance, to the bit.
func TestReusedStateIsItsReplay(t *testing.T) {
	for name, c := range map[string]struct {
		dir  string
		long int
	}{"gemma-3-270m": {"", 700}, "qwen3_5": {tinyHybrid(t), 400}, "gemma4": {tiny(t, "gemma4/testdata/tiny-e4b-f32"), 400}} {
		t.Run(name, func(t *testing.T) {
			a := open(t, c.dir)
			rng := rand.New(rand.NewPCG(1, 2))
			ids := func(n int) []int32 {
				out := make([]int32, n)
				for i := range out {
					out[i] = int32(3 + rng.IntN(90))
				}
				return out
			}
			first := ids(c.long)
			one := a.ask(first, 8)
			whole := slices.Concat(first, one.IDs)
			a.check("cold", one, 0)
			a.check("retry", a.ask(first, 4), c.long-1)
			two := a.ask(slices.Concat(whole, ids(30)), 6)
			a.check("append", two, c.long)
			a.check("tail dropped", a.ask(slices.Concat(whole, ids(12)), 3), 0)
			edited := slices.Clone(two.Prompt)
			edited[c.long/2] = 3 + (edited[c.long/2]+1)%90
			three := a.ask(edited, 5)
			a.check("edit in the middle", three, 0)
			a.check("behind the edit", a.ask(slices.Concat(edited, three.IDs, ids(9)), 3), len(edited)-1)
			a.check("back to the branch", a.ask(slices.Concat(two.Prompt, two.IDs, ids(5)), 4), 0)
			if s := a.AuditStats(); s.Mismatches+s.Within+s.Failed+s.Skipped > 0 || s.Matches < 4 {
				t.Errorf("audits: %+v", s)
			}
		})
	}
}

// The ids that a checkpoint suppresses are never sampled; others beyond its vocabulary do no harm.
func TestSuppressedTokensAreNotSampled(t *testing.T) {
	const checkpoint = "gemma4/testdata/tiny-e4b-f32"
	ids := []int32{2, 17, 40, 63}
	plain := open(t, tiny(t, checkpoint)).ask(ids, 12)
	chosen := plain.IDs[0]
	without := open(t, tiny(t, checkpoint, chosen, 90, 1_000_000)).ask(ids, 12)
	if len(without.IDs) == 0 || slices.Contains(without.IDs, chosen) {
		t.Errorf("%v with %d suppressed; without: %v", without.IDs, chosen, plain.IDs)
	}
}

// Parts of a checkpoint that text has no use for are named when it is loaded.
func TestUnusedPartsAreNamed(t *testing.T) {
	var log strings.Builder
	e, err := Open(context.Background(), Options{Model: tiny(t, "gemma4/testdata/tiny-q4"), Device: mlx.CPU, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, part := range []string{"part=vision_tower bytes=96", "part=embed_vision bytes=48"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("%q is not in %q", part, log.String())
		}
	}
}

// network stands between the engine and its model.
type network struct {
	model.Model
	forward func(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array
}

func (n *network) Forward(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array {
	if f := n.forward; f != nil {
		n.forward = nil
		return f(s, ids, st)
	}
	return n.Model.Forward(s, ids, st)
}

// wrap puts one in place; what arm gives to it happens instead of the next forward call.
func (e *Engine) wrap() (arm func(func(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array), undo func()) {
	n := &network{Model: e.model.net}
	e.model.net = n
	return func(f func(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array) { n.forward = f }, func() { e.model.net = n.Model }
}

// flip turns one bit of one key in a layer's buffer.
func flip(s *mlx.Scope, kv state.KV, row int) {
	slot := kv.Open(s, [4]int{1, 1, 0, 0}, mlx.Float32)
	values, err := s.Float32s(slot.Keys)
	if err != nil {
		s.Fail(err)
		return
	}
	shape := slot.Keys.Shape()
	at := row*shape[3] + shape[3]/2
	values[at] = math.Float32frombits(math.Float32bits(values[at]) ^ 1<<22)
	keys := s.Copy(mlx.New(s, values, shape...))
	kv.Put(s, keys, s.Copy(slot.Values), 0)
}

// Acceptance 2.5: state that is not what its provenance says is found within one turn.
func TestAuditFindsWrongState(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	text := make([]int32, 120)
	for i := range text {
		text[i] = int32(3 + rng.IntN(90))
	}
	for name, c := range map[string]struct {
		dir   string
		spoil func(m model.Model) func(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array
	}{
		"a bit flipped in a key of a middle layer": {"", func(m model.Model) func(*mlx.Scope, mlx.Array, *state.State) mlx.Array {
			return func(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array {
				flip(s, st.KV(st.Len()/2), 60)
				return m.Forward(s, ids, st)
			}
		}},
		"a snapshot one token off": {tinyHybrid(t), func(m model.Model) func(*mlx.Scope, mlx.Array, *state.State) mlx.Array {
			return func(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array {
				at := st.Offset()
				other := m.NewState()
				defer other.Free()
				m.Forward(s, mlx.New(s, text[1:at+1], 1, at), other)
				s.Fail(s.Eval(other.Arrays()...))
				snap, err := other.Snapshot()
				if err == nil {
					err = st.MoveTo(at, at, nil, snap)
					snap.Free()
				}
				if err != nil {
					s.Fail(err)
				}
				return m.Forward(s, ids, st)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := openWith(t, Options{Model: c.dir, CacheDisk: filepath.Join(t.TempDir(), "kv")}) // where the wrong state lands, too
			a.ask(text[:100], 1)
			a.ask(text[:100], 1)
			if s := a.AuditStats(); s.Matches != 1 {
				t.Fatalf("before: %+v", s)
			}
			arm, undo := a.wrap()
			defer undo()
			arm(c.spoil(a.model.net.(*network).Model))
			bad := a.ask(text[:110], 1)
			if s := a.AuditStats(); s.Mismatches != 1 {
				t.Fatalf("the audit found %+v behind a hit of %d", s, bad.Row.LookupHitTokens.Or(0))
			}
			rows := a.Ledger().Recent().Rows()
			last := rows[len(rows)-1]
			if last.Purpose != ledger.PurposeAudit || last.Audit.Or("") != ledger.AuditMismatch || last.ParentTurnID.Or("") != bad.Row.TurnID || last.IdentityError.Known() {
				t.Errorf("the audit's row: %+v", last)
			}
			if again := a.ask(text[:110], 1); again.Row.LookupHitTokens.Or(-1) != 0 {
				t.Errorf("of the wrong state %d tokens were reused", again.Row.LookupHitTokens.Or(0))
			}
		})
	}
}

// A replay that would take too long is skipped and counted.
func TestLongAuditsAreSkipped(t *testing.T) {
	a := open(t, "")
	a.opts.Audit.Max = time.Millisecond
	ids := a.encode(t, strings.Repeat("The tide comes in and goes out again. ", 40))
	a.ask(ids, 1)
	if a.ask(ids, 1); a.AuditStats() != (AuditStats{Skipped: 1}) {
		t.Errorf("%+v", a.AuditStats())
	}
}

// Acceptance 2.9: prefill_tokens is counted where ids enter the model, so a call that never happened shows.
func TestADroppedCallBreaksTheRow(t *testing.T) {
	fresh(t)
	arm, undo := real.wrap()
	defer undo()
	arm(func(s *mlx.Scope, ids mlx.Array, _ *state.State) mlx.Array {
		return s.Zeros([]int{1, ids.Dim(1), 640}, mlx.Float32)
	})
	res, err := real.Turn(context.Background(), raw("The capital of France is", 2), nil)
	if e := res.Row.IdentityError.Or(""); !strings.Contains(e, "prefill") {
		t.Errorf("error %v, identity error %q, prefill %v", err, e, res.Row.PrefillTokens)
	}
	if next := ask(t, raw("The capital of France is", 2)); next.Row.LookupHitTokens.Or(-1) != 0 {
		t.Errorf("%d tokens of it were reused", next.Row.LookupHitTokens.Or(0))
	}
}

// Acceptance 2.8: ids do not depend on what the cache holds, and answers come back as they were generated.
func TestAnAnswerSentBackIsReused(t *testing.T) {
	fresh(t)
	user := func(text string) chat.Message { return chat.NewMessage("user", text) }
	talk := func(messages []chat.Message, noReuse bool) *Result {
		return ask(t, Request{Prompt: prompt.Input{Messages: messages}, MaxTokens: 12, NoReuse: noReuse})
	}
	first := talk([]chat.Message{user("Name three rivers of Europe.")}, false)
	echo := chat.NewMessage("assistant", strings.TrimSpace(first.Text)).With("id", "msg_123").With("reasoning_content", nil)
	then := []chat.Message{user("Name three rivers of Europe."), echo, user("And one of Asia?")}
	warm := talk(then, false)
	want := first.Row.PromptTokens.Or(0) + len(first.IDs) - 1
	if hit := warm.Row.LookupHitTokens.Or(0); hit < want || warm.Row.SplicedTokens.Or(0) < len(first.IDs)-1 || warm.Row.ParentTurnID.Or("") != first.Row.TurnID {
		t.Errorf("hit %d of %d, %d spliced, parent %s (diverged in %s)", hit, want, warm.Row.SplicedTokens.Or(0), warm.Row.ParentTurnID.Or("none"), warm.Row.DivergedIn.Or("nothing"))
	}
	fresh(t)
	for what, res := range map[string]*Result{"cleared": talk(then, false), "warm": talk(then, false), "reuse off": talk(then, true)} {
		if res.Row.PromptSHA256 != warm.Row.PromptSHA256 || res.Text != warm.Text {
			t.Errorf("%s: another prompt or answer", what)
		}
	}
}

// Acceptance 2.10: turns that need the same missing prefix compute it once, also when the first one is cancelled.
func TestAMissingPrefixIsComputedOnce(t *testing.T) {
	fresh(t)
	text := strings.Repeat("A lighthouse keeper writes down the weather every evening. ", 50)
	rows := make([]ledger.Row, 3)
	var wg sync.WaitGroup
	for i := range rows {
		wg.Go(func() {
			res, err := real.Turn(context.Background(), raw(fmt.Sprintf("%sEvening %d.", text, i), 2), nil)
			if err != nil {
				t.Error(err)
			}
			rows[i] = res.Row
		})
	}
	wg.Wait()
	sum, prompt := 0, rows[0].PromptTokens.Or(0)
	for _, r := range rows {
		sum += r.PrefillTokens.Or(0)
	}
	// Behind a capture: sliding layers go on from snapshots.
	if sum > prompt+2*real.Model().Grid() {
		t.Errorf("%d tokens were computed for three prompts of %d that share all but the end", sum, prompt)
	}
}

// A divergence is named, with the text on both sides.
func TestWhyATurnDiverged(t *testing.T) {
	fresh(t)
	talk := func(system string) *Result {
		return ask(t, Request{Prompt: prompt.Input{Messages: []chat.Message{chat.NewMessage("system", system), chat.NewMessage("user", "Which way is north?")}}, MaxTokens: 4})
	}
	first := talk("You are a careful navigator. Today is Monday.")
	next := talk("You are a careful navigator. Today is Tuesday.")
	why, ok := real.Why(next.Row.TurnID)
	if !ok || next.Row.DivergedIn.Or("") != "system" || why.Other != first.Row.TurnID || !strings.Contains(why.Old, "Monday") || !strings.Contains(why.New, "Tuesday") {
		t.Errorf("%+v, row says %s", why, next.Row.DivergedIn.Or("nothing"))
	}
	if _, ok := real.Why(first.Row.TurnID); ok {
		t.Error("the first turn diverged from nothing")
	}
}

// A cancelled prefill stays, and what is under way when the engine closes is freed.
func TestCancelledTurnsAreNotAudited(t *testing.T) {
	a := open(t, "")
	ids := a.encode(t, strings.Repeat("Rain on the roof, wind in the reeds. ", 40))
	a.ask(ids, 1)
	_, err := a.Turn(context.Background(), Request{Prompt: prompt.Input{IDs: ids}, MaxTokens: 9}, func(ev Event) error {
		if len(ev.IDs) > 0 {
			return errors.New("client gone")
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
