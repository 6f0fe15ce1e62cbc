package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"reprise/kvcache/ledger"
	"reprise/kvcache/tier"
	"reprise/kvcache/tier/valkeytest"
	"reprise/model/chat"
	"reprise/server/prompt"
)

// ids are random ones that every test checkpoint has.
func randomIDs(rng *rand.Rand, n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(3 + rng.IntN(90))
	}
	return out
}

// flushed waits until everything is stored.
func (a *auditing) flushed() {
	a.t.Helper()
	if err := a.Flush(context.Background()); err != nil {
		a.t.Fatal(err)
	}
}

// Acceptance 2.4 and 5.3: what comes back from the disk after a restart is what its calls computed, to the bit, whatever the mix
// of layers; and the first turn hits it.
func TestRestoredFromDiskIsItsReplay(t *testing.T) {
	for name, dir := range map[string]string{"gemma-3-270m": "", "qwen3_5": tinyHybrid(t), "gemma4": tiny(t, "gemma4/testdata/tiny-e4b-f32")} {
		t.Run(name, func(t *testing.T) {
			kv := t.TempDir()
			o := Options{Model: dir, CacheDisk: kv}
			rng := rand.New(rand.NewPCG(7, 8))
			first := openWith(t, o)
			talk := randomIDs(rng, 600)
			one := first.ask(talk, 40)
			first.flushed()
			again := openWith(t, o) // the first one is still there: a second process, as far as the folder is concerned
			retry := again.ask(talk, 4)
			again.check("retry after a restart", retry, 512)
			r := &retry.Row
			if l1 := r.L1HitTokens.Or(0); l1 != r.LookupHitTokens.Or(0) || r.L1ReadBytes.Or(0) == 0 || r.L1Blocks.Or(0) == 0 || !r.L1LoadMs.Known() {
				t.Errorf("l1 %d of hit %d, %d bytes, %d blocks", l1, r.LookupHitTokens.Or(0), r.L1ReadBytes.Or(0), r.L1Blocks.Or(0))
			}
			if !slices.Equal(retry.IDs, one.IDs[:4]) {
				t.Errorf("the answer was %v, is %v", one.IDs[:4], retry.IDs)
			}
			next := again.ask(slices.Concat(talk, one.IDs, randomIDs(rng, 30)), 4)
			again.check("the conversation goes on", next, 512)
			again.flushed()
			third := openWith(t, o)
			last := third.ask(slices.Concat(next.Prompt, next.IDs, randomIDs(rng, 20)), 3)
			third.check("after another restart", last, 600)
			if l1 := last.Row.L1HitTokens.Or(0); l1 < 512 {
				t.Errorf("l1 %d", l1)
			}
			if v, err := tier.VerifyDir(kv); err != nil || len(v.Problems) > 0 || v.Blocks < 3 {
				t.Errorf("%+v, %v", v, err)
			}
			for _, e := range []*auditing{again, third} {
				if s := e.AuditStats(); s.Mismatches+s.Within+s.Failed+s.Skipped > 0 || s.Matches == 0 {
					t.Errorf("audits: %+v", s)
				}
				if err := e.VerifyCache(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Acceptance 5.2: a block with a wrong byte is a miss with a reason, and the answer is the same.
func TestDamagedBlockOfATurn(t *testing.T) {
	kv := t.TempDir()
	o := Options{Model: tinyHybrid(t), CacheDisk: kv}
	first := openWith(t, o)
	talk := randomIDs(rand.New(rand.NewPCG(9, 9)), 600)
	one := first.ask(talk, 8)
	first.flushed()
	files, err := filepath.Glob(filepath.Join(kv, "*", "*.blk"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err == nil {
			data[len(data)-1] ^= 1
			err = os.WriteFile(f, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	again := openWith(t, o)
	res := again.ask(talk, 8)
	if r := &res.Row; r.MissReason.Or("") != ledger.MissBadBlock || r.LookupHitTokens.Or(-1) != 0 || r.MatchedTokens.Or(0) < 512 {
		t.Errorf("miss %s, hit %d, matched %d", r.MissReason.Or(""), r.LookupHitTokens.Or(-1), r.MatchedTokens.Or(0))
	}
	if !slices.Equal(res.IDs, one.IDs) {
		t.Errorf("the answer was %v, is %v", one.IDs, res.IDs)
	}
}

// What a shared store evicted between the list and the blocks is a miss that says so: more snapshots would not have helped.
func TestBlocksThatAStoreEvicted(t *testing.T) {
	v := valkeytest.Start(t)
	o := Options{Model: tinyHybrid(t), L2: v.URL("timeout=5s")}
	first, second := openWith(t, o), openWith(t, o)
	talk := randomIDs(rand.New(rand.NewPCG(21, 22)), 600)
	one := first.ask(talk, 8)
	first.flushed()
	client := redis.NewClient(&redis.Options{Addr: v.Addr()})
	defer client.Close()
	parts, err := client.Keys(t.Context(), "reprise:1:p:*").Result()
	if err != nil || len(parts) < 3 || client.Del(t.Context(), parts...).Err() != nil {
		t.Fatal(parts, err)
	}
	res := second.ask(talk, 8)
	if r := &res.Row; r.MissReason.Or("") != ledger.MissEvicted || r.LookupHitTokens.Or(-1) != 0 || r.MatchedTokens.Or(0) < 512 || r.RecomputeTokens.Or(0) != r.MatchedTokens.Or(-1) {
		t.Errorf("miss %s, hit %d, matched %d", r.MissReason.Or(""), r.LookupHitTokens.Or(-1), r.MatchedTokens.Or(0))
	}
	if !slices.Equal(res.IDs, one.IDs) {
		t.Errorf("the answer was %v, is %v", one.IDs, res.IDs)
	}
}

// A folder that takes nothing costs a reason and nothing else.
func TestDiskThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := openWith(t, Options{Model: tinyHybrid(t), CacheDisk: filepath.Join(file, "kv")})
	res := e.ask(randomIDs(rand.New(rand.NewPCG(1, 1)), 300), 3)
	e.flushed()
	if res.Row.MissReason.Or("") != ledger.MissStoreOff || !e.TierStats().L1.Off {
		t.Errorf("miss %s, %+v", res.Row.MissReason.Or(""), e.TierStats().L1)
	}
}

// The static prefix of the last conversation is there before the first request.
func TestStaticPrefixComesBackAtTheStart(t *testing.T) {
	o := Options{CacheDisk: t.TempDir()}
	system := chat.NewMessage("system", "You are terse. "+strings.Repeat("Answer in one word, whatever comes. ", 60))
	say := func(a *auditing, text string) *Result {
		t.Helper()
		res, err := a.Turn(context.Background(), Request{Prompt: prompt.Input{Messages: []chat.Message{system, chat.NewMessage("user", text)}}, MaxTokens: 2}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first := openWith(t, o)
	say(first, "What is the capital of France?")
	first.flushed()
	again := openWith(t, o)
	again.flushed()
	held := again.CacheStats()
	if held.Tokens < 400 || held.Snapshots == 0 {
		t.Fatalf("%+v", held)
	}
	res := say(again, "And of Italy?")
	if r := &res.Row; r.LookupHitTokens.Or(0) < 400 || r.L0HitTokens.Or(0) != r.LookupHitTokens.Or(0) {
		t.Errorf("hit %d, of that %d in memory; %s", r.LookupHitTokens.Or(0), r.L0HitTokens.Or(0), r.MissReason.Or(""))
	}
}

// One process computes a prompt, another one answers: it computes one token of the prompt, whatever little the turn adds, and both
// say what passing the state on took.
func TestPrefillForAnotherProcess(t *testing.T) {
	v := valkeytest.Start(t)
	for name, model := range map[string]string{"a hybrid": tinyHybrid(t), "gemma": ""} {
		t.Run(name, func(t *testing.T) {
			o := Options{Model: model, L2: v.URL("timeout=5s")}
			first, second := openWith(t, o), openWith(t, o)
			talk := randomIDs(rand.New(rand.NewPCG(17, 18)), 300)
			session := ""
			for range 3 {
				half := func(e *auditing, part PD, n int) *Result {
					t.Helper()
					res, err := e.Turn(context.Background(), Request{Prompt: prompt.Input{IDs: talk}, MaxTokens: n, PD: part}, nil)
					if err != nil || res.Row.IdentityError.Known() {
						t.Fatalf("%s: %v, %s", part, err, res.Row.IdentityError.Or(""))
					}
					return res
				}
				a := half(first, PDPrefill, 8).Row
				if a.GeneratedTokens.Or(0) != 1 || !(a.PDTransferMs.Or(0) > 0) || a.L2WriteBytes.Or(0) == 0 || !(a.L2StoreMs.Or(0) > 0) {
					t.Errorf("%d generated, handed over in %v ms, %d bytes in %v ms", a.GeneratedTokens.Or(-1), a.PDTransferMs, a.L2WriteBytes.Or(0), a.L2StoreMs)
				}
				b := half(second, PDDecode, 4)
				if r := &b.Row; r.LookupHitTokens.Or(0) != len(talk)-1 || r.PrefillTokens.Or(0) != 1 || r.L2HitTokens.Or(0) == 0 || !(r.L2TransferMs.Or(0) > 0) || r.PDTransferMs.Known() {
					t.Errorf("of %d tokens %d hit, %d in L2 in %v ms; %d computed (%s)", len(talk), r.LookupHitTokens.Or(0), r.L2HitTokens.Or(0), r.L2TransferMs, r.PrefillTokens.Or(0), r.MissReason.Or(""))
				}
				if session == "" {
					session = b.Row.SessionID
				}
				if b.Row.SessionID != session { // what was lent leads beyond where its turns were
					t.Errorf("session %s, but the conversation was %s before", b.Row.SessionID, session)
				}
				talk = slices.Concat(talk, b.IDs, randomIDs(rand.New(rand.NewPCG(19, uint64(len(talk)))), 12))
			}
		})
	}
	if tiersOn { // this engine would have one
		return
	}
	alone := openWith(t, Options{Model: tinyHybrid(t)})
	_, err := alone.Turn(context.Background(), Request{Prompt: prompt.Input{IDs: []int32{1, 2}}, PD: PDDecode}, nil)
	var refused *RequestError
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, "--l2") {
		t.Errorf("without a shared store: %v", err)
	}
	if res, err := alone.Turn(context.Background(), Request{Prompt: prompt.Input{IDs: []int32{1, 2}}, MaxTokens: 1, Stored: true}, nil); err != nil || res.Row.PDTransferMs.Known() {
		t.Errorf("stored where nothing is: %v, %v", err, res.Row.PDTransferMs)
	}
}

// The token that nobody reads behind a prefill is not put back in place of the answer, though both are of the same words.
func TestPrefillForAnotherProcessRemembersNoAnswer(t *testing.T) {
	v := valkeytest.Start(t)
	o := Options{L2: v.URL("timeout=5s")}
	first, second := openWith(t, o), openWith(t, o)
	ids := func(text string) []int32 {
		t.Helper()
		ids, err := first.model.Tokenizer.Encode(text, false)
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	word, space := ids("Paris")[:1], ids("\n")[:1]
	question := []chat.Message{chat.NewMessage("user", "What is the capital of France?")}
	half := func(e *auditing, part PD, messages []chat.Message, says ...int32) *Result {
		t.Helper()
		Say(e.Engine, says)
		res, err := e.Turn(context.Background(), Request{Prompt: prompt.Input{Messages: messages}, MaxTokens: 2, PD: part, Stored: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	half(first, PDPrefill, question, word...)
	answer := half(second, PDDecode, question, word[0], space[0]).Message(func(int) string { return "" })
	next := append(question, answer, chat.NewMessage("user", "And of Italy?"))
	if a, b := half(first, PDPrefill, next), half(second, PDDecode, next); !slices.Equal(a.Prompt, b.Prompt) {
		t.Errorf("after %v the prompt is %v in one process and %v in the other", answer, a.Prompt, b.Prompt)
	}
}

// Acceptance 5.2 and 5.3: a second process goes on from what the first one shared, to the bit; and whatever happens to the store,
// also in the middle of a turn, the turn answers, with a reason.
func TestSharedStore(t *testing.T) {
	v := valkeytest.Start(t)
	o := Options{Model: tinyHybrid(t), L2: v.URL("timeout=2s")}
	rng := rand.New(rand.NewPCG(11, 12))
	one := openWith(t, o)
	talk := randomIDs(rng, 600)
	want := one.ask(talk, 8)
	one.flushed()
	two := openWith(t, o)
	res := two.ask(talk, 8)
	two.check("a second process", res, 512)
	r := &res.Row
	if l2 := r.L2HitTokens.Or(0); l2 != r.LookupHitTokens.Or(0) || r.L2ReadBytes.Or(0) == 0 || r.L2Blocks.Or(0) == 0 || r.L2TransferMs.Or(0) == 0 || r.L1HitTokens.Or(-1) != 0 {
		t.Errorf("l2 %d of hit %d, %d bytes, %d blocks", l2, r.LookupHitTokens.Or(0), r.L2ReadBytes.Or(0), r.L2Blocks.Or(0))
	}
	if !slices.Equal(res.IDs, want.IDs) {
		t.Errorf("the answer was %v, is %v", want.IDs, res.IDs)
	}
	// In the middle of the next turns the store is paused, goes on, and is killed.
	for i, act := range []func(){v.Pause, v.Continue, v.Kill} {
		done := false
		res, err := two.Turn(context.Background(), Request{Prompt: prompt.Input{IDs: randomIDs(rng, 300)}, MaxTokens: 4}, func(ev Event) error {
			if len(ev.IDs) > 0 && !done {
				done = true
				act()
			}
			return nil
		})
		if err != nil || len(res.IDs) == 0 || res.Row.IdentityError.Known() {
			t.Errorf("turn %d: %v", i, err)
		}
		switch why := res.Row.MissReason.Or(""); {
		case i == 1 && why != ledger.MissTierTimeout, i == 2 && why != ledger.MissTierDown: // left alone after the time-out
			t.Errorf("turn %d: %s", i, why)
		}
	}
	if s := two.TierStats().L2; !s.Off || s.Failures == 0 {
		t.Errorf("%+v", s)
	}
}
