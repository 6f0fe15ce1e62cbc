package selftest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/kvcache/ledger"
	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// A weight that differs in one byte is found: the parity check can fail.
func TestParityFindsAWrongWeight(t *testing.T) {
	for _, flip := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "vectors")
		if err := unpack(vectors[3].fs, vectors[3].dir, dir); err != nil {
			t.Fatal(err)
		}
		if flip {
			file := filepath.Join(dir, "model.safetensors")
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			raw[len(raw)/2] ^= 0x5a
			if err := os.WriteFile(file, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var d distance
		mlxtest.OnWorker(t, func(s *mlx.Scope) error { return d.measure(s, dir, mlx.CPU) })
		if wrong := d.logits > tolerance; wrong != flip || d.values == 0 || d.greedy == 0 {
			t.Errorf("a byte flipped: %v; found %+v", flip, d)
		}
	}
}

func TestParityOfNothing(t *testing.T) {
	if err := (&distance{}).none(); err == nil {
		t.Error("nothing compared passes")
	}
	if err := (&distance{}).compare([]float32{1}, nil); err == nil {
		t.Error("a missing reference passes")
	}
	nan := float32(0)
	if err := (&distance{}).compare([]float32{nan / nan}, []float32{0}); err == nil {
		t.Error("what is not a number passes")
	}
}

// Each counter that does not count is found.
func TestMemoryFindsWrongCounters(t *testing.T) {
	good := counters{active: block, peak: block, footprint: block, lifetime: 2 * block, now: 2 * block}
	if err := good.check(mlx.CPU); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]counters{
		"rose": {active: block / 2, peak: block, footprint: block, lifetime: block, now: block}, "peak": {active: block, footprint: block, lifetime: block, now: block},
		"footprint rose": {active: block, peak: block, footprint: 4096, lifetime: block, now: block}, "lifetime": {active: block, peak: block, footprint: block, lifetime: 1, now: block},
	} {
		if err := c.check(mlx.CPU); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var real counters
	mlxtest.OnWorker(t, func(s *mlx.Scope) error { return real.measure(s) })
	if err := real.check(mlx.CPU); err != nil {
		t.Error(err)
	}
}

// A follow-up that reused nothing, a broken row, a peak that was not measured.
func TestSmokeFindsBrokenTurns(t *testing.T) {
	row := func(change func(*ledger.Row)) *ledger.Row {
		r := &ledger.Row{PromptTokens: ledger.Some(20), LookupHitTokens: ledger.Some(20), GeneratedTokens: ledger.Some(4), MLXPeakBytes: ledger.Some[int64](1), FootprintPeakBytes: ledger.Some[int64](1)}
		if change != nil {
			change(r)
		}
		return r
	}
	if err := reused(row(nil), row(nil)); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*ledger.Row){
		"reused 17":    func(r *ledger.Row) { r.LookupHitTokens = ledger.Some(17) },
		"broken":       func(r *ledger.Row) { r.IdentityError = ledger.Some("1 ≠ 2") },
		"no token":     func(r *ledger.Row) { r.GeneratedTokens = ledger.Some(0) },
		"not measured": func(r *ledger.Row) { r.FootprintPeakBytes = ledger.Opt[int64]{} },
	} {
		if err := reused(row(nil), row(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Without a model the file says so and supports no claim about one; a model that was named and is not there is a failure.
func TestWithoutAModel(t *testing.T) {
	for _, name := range []string{"HF_HUB_CACHE", "REPRISE_BUILD_CACHE", "REPRISE_HOME"} {
		t.Setenv(name, t.TempDir())
	}
	for _, model := range []string{"", "nosuch"} {
		r := &Report{}
		r.model(context.Background(), Options{Model: model, Device: mlx.CPU})
		r.claims()
		last := r.Checks[len(r.Checks)-1]
		if want := map[string]Status{"": Skipped, "nosuch": Fail}[model]; last.Status != want || len(r.Claims) > 0 && model != "" || r.Speed != nil || len(r.DoNotClaim) == 0 {
			t.Errorf("%q: %+v, claims %v, not %v", model, last, r.Claims, r.DoNotClaim)
		}
	}
}
