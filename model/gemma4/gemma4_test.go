package gemma4_test

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/model"
	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/model/probe"
	"reprise/model/probe/probetest"
	"reprise/model/weights"
)

func checkpoints(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/tiny-*")
	if err != nil || len(dirs) < 7 {
		t.Fatalf("found %d tiny checkpoints, %v", len(dirs), err)
	}
	return dirs
}

// plain are those that also run on MLX's own ops, which are slow here: of every kind of layer one.
var plain = map[string]bool{"tiny-e4b-f32": true, "tiny-26b-moe": true, "tiny-q4": true}

func TestTinyCheckpointsAgreeWithTheReferences(t *testing.T) {
	for _, dir := range checkpoints(t) {
		tolerance := probetest.Tolerance(t, dir)
		t.Logf("%s: %.1e", filepath.Base(dir), tolerance)
		for _, widen := range []bool{false, true} {
			if widen && !strings.Contains(dir, "-q") {
				continue // nothing is packed
			}
			t.Run(fmt.Sprintf("%s/widen=%v", filepath.Base(dir), widen), func(t *testing.T) { probetest.Parity(t, dir, widen, tolerance) })
		}
		if plain[filepath.Base(dir)] {
			t.Run(filepath.Base(dir)+"/plain", func(t *testing.T) { probetest.PlainParity(t, dir, tolerance) })
		}
	}
}

// ids are n of the tiny checkpoints' vocabulary.
func ids(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(3 + i*37%90)
	}
	return out
}

// How far mlx-lm's logits in bfloat16 lie from its own in float32, of the largest, on the ids of the test below. Small
// random models with norms of small things round badly.
var mlxBFloat16 = map[string]float64{"tiny-e4b-f32": 0.56, "tiny-e2b-bf16": 0.27, "tiny-31b-untied": 0.015, "tiny-q4": 0.19}

// On a GPU activations are bfloat16: layers, state and logits keep that dtype, and the logits stay about as near those of
// float32 as mlx-lm's do.
func TestBFloat16Activations(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for name, reference := range mlxBFloat16 {
			mlxtest.With(t, mlx.Options{Plain: plain}, func(s *mlx.Scope) error {
				var logits [2][]float32
				for i, dtype := range []mlx.Dtype{mlx.Float32, mlx.BFloat16} {
					m, err := arch.Load(s, filepath.Join("testdata", name), weights.Options{Dtype: dtype})
					if err != nil {
						return err
					}
					defer m.Free()
					got, st, err := probe.Logits(s, m, ids(40), 17)
					if err != nil {
						return err
					}
					defer st.Free()
					logits[i] = got
					hidden := m.Forward(s, mlx.New(s, ids(3), 1, 3), st)
					for what, a := range map[string]mlx.Array{"hidden": hidden, "logits": m.Logits(s, hidden), "a state's rows": st.Arrays()[0], "the last": st.Arrays()[len(st.Arrays())-1]} {
						if s.Err() == nil && a.Dtype() != dtype {
							t.Errorf("%s in %v: %s is %v", name, dtype, what, a)
						}
					}
				}
				largest, off := apart(logits[0], logits[1])
				if off == 0 || off > 1.25*reference*largest {
					t.Errorf("%s, plain %v: logits differ by %g, the largest is %g", name, plain, off, largest)
				}
				t.Logf("%s, plain %v: %.2g of the largest", name, plain, off/largest)
				return nil
			})
		}
	}
}

// apart is the largest of want, and the largest difference.
func apart(want, got []float32) (largest, off float64) {
	for i, v := range want {
		largest, off = max(largest, math.Abs(float64(v))), max(off, math.Abs(float64(v-got[i])))
	}
	return largest, off
}

// ForwardLast leaves out rows that nobody wants: the state is Forward's to the bit, and so is the row, but for what other
// widths do to low bits.
func TestTheLastRowAlone(t *testing.T) {
	for _, dir := range checkpoints(t) {
		probetest.WithModel(t, dir, false, func(s *mlx.Scope, m model.Model) error {
			all, last := m.NewState(), m.NewState()
			defer all.Free()
			defer last.Free()
			for _, chunk := range [][]int32{ids(9), ids(1), ids(30), ids(31), ids(2)} {
				in := mlx.New(s, chunk, 1, len(chunk))
				hidden, row := model.LastRow(s, m.Forward(s, in, all)), model.ForwardLast(s, m, in, last)
				want, err := s.Float32s(m.Logits(s, hidden))
				if err != nil {
					return err
				}
				got, err := s.Float32s(m.Logits(s, row))
				if err != nil {
					return err
				}
				if shape := row.Shape(); !slices.Equal(shape, []int{1, 1, hidden.Dim(2)}) {
					t.Errorf("%s: the last row is %v", dir, row)
				}
				if largest, off := apart(want, got); off > 1e-4*largest {
					t.Errorf("%s at %d: logits differ by %g, the largest is %g", dir, all.Offset(), off, largest)
				}
			}
			return sameRows(s, t, dir, all, last)
		})
	}
}

func sameRows(s *mlx.Scope, t *testing.T, what string, a, b *state.State) error {
	for i := range a.Arrays() {
		x, err := s.Float32s(a.Arrays()[i])
		if err != nil {
			return err
		}
		y, err := s.Float32s(b.Arrays()[i])
		if err != nil {
			return err
		}
		if !slices.Equal(x, y) {
			t.Errorf("%s: buffer %d of the states differs", what, i)
		}
	}
	return nil
}

// Layers that share keys and values hold no state; sizes are those of the others.
func TestInfo(t *testing.T) {
	f, w := state.Growing, state.Sliding
	for name, want := range map[string]model.Info{
		// Heads of 8 on sliding and 16 on full layers, 2 KV heads, float32.
		"tiny-e4b-f32": {ModelType: "gemma4", Vocab: 96, Context: 2048, Window: 16, LayerKinds: []state.Kind{w, w, f, w, w, f},
			RowBytes: 2 * 2 * 2 * 16 * 4, SnapshotBytes: 4 * 2 * 2 * 8 * 4 * 16},
		"tiny-e2b-bf16": {ModelType: "gemma4_text", Vocab: 96, Context: 2048, Window: 11, LayerKinds: []state.Kind{w, w, w, f},
			RowBytes: 2 * 16 * 4, SnapshotBytes: 3 * 2 * 8 * 4 * 11, Unused: map[string]int64{"layers": 2 * (3*(2*28*8+8) + 2*28*16 + 16)}},
		"tiny-31b-untied": {ModelType: "gemma4", Vocab: 96, Context: 2048, Window: 16, LayerKinds: []state.Kind{w, w, w, f},
			RowBytes: 2 * 16 * 4, SnapshotBytes: 3 * 2 * 2 * 6 * 4 * 16},
		"tiny-hf-moe": {ModelType: "gemma4", Vocab: 96, Context: 2048, Window: 16, LayerKinds: []state.Kind{w, f, w, f},
			RowBytes: 2 * 2 * 2 * 16 * 4, SnapshotBytes: 2 * 2 * 2 * 8 * 4 * 16,
			Unused: map[string]int64{"vision_tower": 96, "embed_vision": 48, "audio_tower": 32}},
	} {
		probetest.WithModel(t, filepath.Join("testdata", name), false, func(s *mlx.Scope, m model.Model) error {
			got := m.Info()
			if got.ModelType != want.ModelType || got.Vocab != want.Vocab || got.Context != want.Context || got.Window != want.Window ||
				!slices.Equal(got.LayerKinds, want.LayerKinds) || got.RowBytes != want.RowBytes || got.SnapshotBytes != want.SnapshotBytes || !maps.Equal(got.Unused, want.Unused) {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
			if moe := strings.Contains(name, "moe"); got.ActiveBytes <= 0 || got.ActiveBytes >= got.Bytes {
				t.Errorf("%s: %d of %d bytes are active (experts: %v)", name, got.ActiveBytes, got.Bytes, moe)
			}
			st := m.NewState()
			defer st.Free()
			if err := s.Eval(m.Forward(s, mlx.New(s, ids(40), 1, 40), st)); err != nil {
				return err
			}
			// What `models inspect` says of the files alone.
			said, err := hub.Inspect(filepath.Join("testdata", name), arch.Supported())
			if err != nil {
				return err
			}
			if said.State.TokenF32 != want.RowBytes || said.State.WindowF32 != want.SnapshotBytes {
				t.Errorf("%s: inspect says %d bytes a token and %d of windows", name, said.State.TokenF32, said.State.WindowF32)
			}
			if st.Len() != len(want.LayerKinds) || st.Offset() != 40 {
				t.Errorf("%s: %v, want %d layers", name, st, len(want.LayerKinds))
			}
			return nil
		})
	}
}
