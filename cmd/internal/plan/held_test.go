package plan

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"reprise/cmd/internal/speed"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/hub"
	"reprise/model/synth"
	"reprise/server/engine"
	"reprise/server/prompt"
)

// Acceptance 6.3: what a plan says of weights and state, line by line, against what MLX holds of the small real model and of
// three made-up ones: sliding windows with shared layers and a table of per-layer embeddings, recurrent layers, experts.
func TestPlanAgainstWhatIsHeld(t *testing.T) {
	if _, err := hub.Resolve(""); err != nil {
		t.Fatalf("this test needs the small model (run `make build`): %v", err)
	}
	for _, name := range []string{"", "gemma4", "hybrid", "mixture"} {
		t.Run("model "+name, func(t *testing.T) {
			var m *Model
			o := engine.Options{Device: mlx.CPU, Context: 2048}
			ids := counted(700)
			if name == "" {
				ckpt, err := hub.Resolve("")
				if err != nil {
					t.Fatal(err)
				}
				if m, err = FromFolder(ckpt.Dir, ckpt.Name, CPU); err != nil {
					t.Fatal(err)
				}
			} else {
				file := filepath.Join("testdata", name+".json")
				made, err := speed.Synthesize(file, synth.Change{})
				if err != nil {
					t.Fatal(err)
				}
				defer made.Close()
				made.Use(&o)
				if m, err = FromConfig(file, CPU); err != nil {
					t.Fatal(err)
				}
				all, err := made.Encode("")
				if err != nil {
					t.Fatal(err)
				}
				ids = all[:700]
			}
			compare(t, m, o, ids)
			exactKV(t, m, o, ids)
		})
	}
}

// counted are n different ids that begin no text and end none.
func counted(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(1000 + i*7)
	}
	return ids
}

func compare(t *testing.T, m *Model, o engine.Options, ids []int32) {
	defer mlx.SetCacheLimit(mlx.SetCacheLimit(0)) // a buffer that is used again may be bigger than what is in it
	before := mlx.ReadMemory().Active
	e, err := engine.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	near := func(what string, said, measured int64) {
		t.Helper()
		if off := math.Abs(float64(measured)/float64(max(1, said)) - 1); off > 0.05 {
			t.Errorf("%s: the plan says %d bytes, %d are held: %.1f %% off", what, said, measured, 100*off)
		} else {
			t.Logf("%-28s plan %11d  held %11d  %+.2f %%", what, said, measured, 100*(float64(measured)/float64(max(1, said))-1))
		}
	}
	weights := mlx.ReadMemory().Active - before
	h := &Hardware{Name: This, Backend: CPU, Devices: 1, Memory: 16e9}
	p, err := Make(Options{Model: m, Hardware: h, Context: 708, Turns: 1, Answer: 8, Reserve: 0})
	if err != nil {
		t.Fatal(err)
	}
	parts := e.Model().Parts
	for _, l := range p.Lines {
		if l.Section == Weights {
			near("weights: "+l.Name, l.Bytes, parts[l.Name])
			delete(parts, l.Name)
		}
	}
	if len(parts) > 0 {
		t.Errorf("the plan has no line for %v", parts)
	}
	near("weights, mlx_active_bytes", p.Total, weights)

	if p.Form.Step != e.Model().Grid() {
		t.Errorf("the plan's step is %d, the engine's grid %d", p.Form.Step, e.Model().Grid())
	}
	res, err := e.Turn(context.Background(), engine.Request{Prompt: prompt.Input{IDs: ids}, MaxTokens: 8}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stats := e.CacheStats()
	var live, snapshot int64
	for _, s := range m.StateAt(700+8, p.Form.Step, p.Form) {
		live, snapshot = live+s.Live, snapshot+s.Snapshot
	}
	near("state, live", live, stats.LiveBytes)
	if info := e.Model().Info(); info.SnapshotBytes > 0 {
		if stats.Snapshots == 0 {
			t.Fatal("no snapshot was kept")
		}
		near("a snapshot", snapshot, stats.SnapBytes/int64(stats.Snapshots))
	}
	near("mlx_active_bytes behind a turn", p.Total+live+int64(stats.Snapshots)*snapshot, res.Row.MLXActiveBytes.Or(0)-before)
}

// exactKV is acceptance 5.6's "bytes as predicted": at 8 and 4 bits the live state is smaller by what the plan says, to the byte,
// and so is what each kept token of growing layers takes.
func exactKV(t *testing.T, m *Model, o engine.Options, ids []int32) {
	t.Helper()
	held := map[state.Quantization]int64{}
	for _, kv := range []state.Quantization{{}, {Bits: 8, Group: 64}, {Bits: 4, Group: 32}} {
		o.KV = kv
		e, err := engine.Open(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Turn(context.Background(), engine.Request{Prompt: prompt.Input{IDs: ids}, MaxTokens: 8}, nil)
		held[kv] = e.CacheStats().LiveBytes
		row := e.Model().Info().RowBytes
		e.Close()
		if err != nil {
			t.Fatal(err)
		}
		f := FormOn(CPU, kv, 1)
		var live, token int64
		for _, s := range m.StateAt(700+8, f.Step, f) {
			live, token = live+s.Live, token+s.Token
		}
		t.Logf("keys and values %s: %d bytes a token, live state %d", kv, row, held[kv])
		if row != token || held[kv] != live {
			t.Errorf("keys and values %s: the plan says %d bytes a token and %d live, the engine %d and %d", kv, token, live, row, held[kv])
		}
	}
}
