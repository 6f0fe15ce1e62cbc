package engine

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
	"reprise/kvcache/state"
	"reprise/kvcache/tier/valkeytest"
)

// Acceptance 5.6 with 2.4: with quantized keys and values, too, logits behind reused state are those of a replay of its
// provenance, to the bit: live state, rows and snapshots of L0, blocks of L1 after a restart. A cold run's calls are others, so
// that a value between two steps may fall to the other side: it lies farther off than without.
func TestReusedQuantizedStateIsItsReplay(t *testing.T) {
	for name, c := range map[string]struct {
		dir  string
		kv   state.Quantization
		near float64
	}{
		"gemma3":  {tiny(t, "gemma3/testdata/kv-f32"), state.Quantization{Bits: 4, Group: 32}, 0.3},
		"qwen3_5": {tiny(t, "qwen35/testdata/kv-f32"), state.Quantization{Bits: 8, Group: 32}, 0.05},
		"gemma4":  {tiny(t, "gemma4/testdata/tiny-q4"), state.Quantization{Bits: 4, Group: 32}, 0.3},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Model: c.dir, KV: c.kv, CacheDisk: t.TempDir()}
			a := openWith(t, o)
			a.near = c.near
			rng := rand.New(rand.NewPCG(13, 14))
			talk := randomIDs(rng, 600)
			one := a.ask(talk, 8)
			a.check("retry", a.ask(talk, 4), 599)
			two := a.ask(slices.Concat(talk, one.IDs, randomIDs(rng, 30)), 6)
			a.check("append", two, 600)
			edited := slices.Clone(two.Prompt)
			edited[400] = 3 + (edited[400]+1)%90
			three := a.ask(edited, 5)
			a.check("edit in the middle", three, 0)
			a.check("back to the branch", a.ask(slices.Concat(two.Prompt, two.IDs, randomIDs(rng, 5)), 4), 0)
			a.flushed()
			again := openWith(t, o)
			again.near = c.near
			retry := again.ask(two.Prompt, 4)
			again.check("after a restart", retry, 512)
			if r := &retry.Row; r.L1HitTokens.Or(0) < 512 || !slices.Equal(retry.IDs, two.IDs[:4]) {
				t.Errorf("after a restart: l1 %d, the answer was %v, is %v", r.L1HitTokens.Or(0), two.IDs[:4], retry.IDs)
			}
			for _, e := range []*auditing{a, again} {
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

// Acceptance 5.6: how keys and values are kept is part of the key. What was stored in L1 and L2 in one form is no hit in another,
// and is one in its own. And the row's bytes are what the form predicts: in the growing layers and in L2's blocks of rows.
func TestKVFormIsPartOfTheKey(t *testing.T) {
	v := valkeytest.Start(t)
	talk := randomIDs(rand.New(rand.NewPCG(15, 16)), 600)
	forms := []state.Quantization{{Bits: 8, Group: 32}, {Bits: 4, Group: 32}, {}}
	dir, disk := tiny(t, "qwen35/testdata/kv-f32"), t.TempDir()
	fingerprints, row := map[string]bool{}, map[state.Quantization]int64{}
	var live []int64
	for round, hit := range []int{0, 512} {
		for _, kv := range forms {
			a := openWith(t, Options{Model: dir, KV: kv, CacheDisk: disk, L2: v.URL("timeout=5s")})
			a.near = 1 // of bits, and of hits; the distance from a cold run is another test's
			fingerprints[a.Model().Fingerprint] = true
			row[kv] = a.Model().Info().RowBytes
			res := a.ask(talk, 8)
			r := &res.Row
			if got := r.LookupHitTokens.Or(-1); round == 0 && (got != 0 || r.MissReason.Or("") != ledger.MissFirstRequest) || round == 1 && got < hit {
				t.Errorf("round %d, %s: %d tokens hit, miss %s", round, kv, got, r.MissReason.Or(""))
			}
			a.check(kv.String(), res, hit)
			if round == 0 {
				live = append(live, a.CacheStats().LiveBytes)
			}
			a.flushed()
		}
	}
	if len(fingerprints) != 3 {
		t.Errorf("three forms, fingerprints %v", fingerprints)
	}
	const capacity = 768 // of 608 rows, by 256
	for i, kv := range forms {
		if got, want := live[2]-live[i], capacity*(row[forms[2]]-row[kv]); got != want {
			t.Errorf("%s: the live state is %d bytes smaller, predicted %d", kv, got, want)
		}
	}
	// Two full layers with 2·heads·dim values: 4 bytes each in float32; quantized, a byte or half of one, and 8 for 32 of them.
	values := row[forms[2]] / 4
	if row[forms[0]] != values+values/32*8 || row[forms[1]] != values/2+values/32*8 {
		t.Errorf("bytes of a token: %v", row)
	}
}

// A form that a model's heads do not fit is refused by name before anything is computed.
func TestKVFormThatDoesNotFit(t *testing.T) {
	_, err := Open(context.Background(), Options{Model: tiny(t, "qwen35/testdata/kv-f32"), KV: state.Quantization{Bits: 8, Group: 64}})
	if want := "heads of 32 dims are not whole groups"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
