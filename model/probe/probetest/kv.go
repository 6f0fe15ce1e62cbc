package probetest

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model"
	"reprise/model/weights"
)

// quantizedVectors is kv.json, which model/parity/make_kv_quant.py writes beside kv.safetensors.
type quantizedVectors struct {
	Group, Prompt, Steps int
	Bits                 []struct {
		Bits  int
		Error float64 // what quantization makes of mlx-lm's logits
	}
}

// KVParity compares a tiny checkpoint that keeps keys and values at 8 and 4 bits with mlx-lm's quantized cache: the logits of
// a prompt and of the single steps behind it. It allows a twentieth of the error that quantization itself makes: a value that
// lies between two steps may fall to the other side, which moved logits by 1e-3 where that was seen. And rows take as many
// bytes as model.Info says.
func KVParity(t *testing.T, dir string) {
	t.Helper()
	var want quantizedVectors
	readJSON(t, filepath.Join(dir, "kv.json"), &want)
	if len(want.Bits) != 2 {
		t.Fatalf("%s: kv.json has %d forms", dir, len(want.Bits))
	}
	for _, w := range want.Bits {
		for _, plain := range []bool{false, true} {
			q := state.Quantization{Bits: w.Bits, Group: want.Group}
			t.Run(fmt.Sprintf("%s/plain=%v", q, plain), func(t *testing.T) {
				with(t, mlx.Options{Plain: plain}, dir, weights.Options{KV: q}, func(s *mlx.Scope, m model.Model) error {
					ids, logits, err := readSteps(s, dir, w.Bits)
					if err != nil {
						return err
					}
					got, err := steps(s, m, ids, want.Prompt, sized(m))
					if err != nil {
						return err
					}
					d := maxDiff(got, logits)
					if t.Logf("logits lie %.2g from mlx-lm's; quantization moves mlx-lm's by %.2g", d, w.Error); !(d <= w.Error/20) {
						t.Errorf("logits differ by %g, allowed %g", d, w.Error/20)
					}
					return nil
				})
			})
		}
	}
}

// KVReuse is Reuse with keys and values at 8 and 4 bits, and fewer captures than the architectures' own tests of it.
func KVReuse(t *testing.T, dir string) {
	t.Helper()
	for _, q := range []state.Quantization{{Bits: 8, Group: 32}, {Bits: 4, Group: 32}} {
		t.Run(q.String(), func(t *testing.T) {
			Reuse{Widths: []int{200, 60, 1, 1, 90, 9}, Captures: []int{30, 200, 261, 263, 355}, Then: []int{17, 1, 1, 3}, KV: q}.Run(t, dir)
		})
	}
}

func readSteps(s *mlx.Scope, dir string, bits int) (ids []int32, logits []float32, err error) {
	ref, _, err := s.Load(filepath.Join(dir, "kv.safetensors"))
	if err != nil {
		return nil, nil, err
	}
	numbers, err := s.Float32s(s.AsType(ref["ids"], mlx.Float32))
	if err != nil {
		return nil, nil, err
	}
	for _, x := range numbers {
		ids = append(ids, int32(x))
	}
	logits, err = s.Float32s(ref[fmt.Sprintf("logits/%d", bits)])
	return ids, logits, err
}

// sized says whether copies of all rows take what the model says.
func sized(m model.Model) func(st *state.State) error {
	return func(st *state.State) error {
		rows, err := st.CopyRows(0, st.Offset())
		if err != nil {
			return err
		}
		defer rows.Free()
		if want := int64(st.Offset()) * m.Info().RowBytes; rows.Bytes() != want || want == 0 {
			return fmt.Errorf("%d rows take %d bytes, the model says %d", st.Offset(), rows.Bytes(), want)
		}
		return nil
	}
}

// steps are the logits of all ids: a prompt of so many in one call, then one by one; check sees the state behind them.
func steps(s *mlx.Scope, m model.Model, ids []int32, prompt int, check func(*state.State) error) ([]float32, error) {
	st := m.NewState()
	defer st.Free()
	var all []float32
	for at, n := 0, prompt; at < len(ids); at, n = at+n, 1 {
		step := s.Child()
		rows, err := step.Float32s(m.Logits(step, m.Forward(step, mlx.New(step, ids[at:at+n], 1, n), st)))
		if err = errors.Join(err, step.Eval(st.Arrays()...)); err != nil {
			step.Close()
			return nil, err
		}
		step.Close()
		all = append(all, rows...)
	}
	return all, check(st)
}

// Moved is how far logits lie from others: the largest difference, the same in parts of its row's largest logit, and the
// Kullback-Leibler divergence of the two distributions in nats, its mean over rows and its largest. Same counts the rows
// whose first choice is the same.
type Moved struct {
	Max, Relative, MeanKL, MaxKL float64
	Rows, Same                   int
}

func (x Moved) String() string {
	return fmt.Sprintf("logits move by up to %.3g, %.2g %% of the row's largest; KL %.2g nats in the mean, %.2g at most; %d of %d first choices the same",
		x.Max, 100*x.Relative, x.MeanKL, x.MaxKL, x.Same, x.Rows)
}

// KVErrors are how far keys and values in these forms move the logits of ids: all but the last 8 in one call, those one by one.
func KVErrors(t *testing.T, dir string, ids []int32, forms ...state.Quantization) []Moved {
	t.Helper()
	var plain []float32
	var out []Moved
	for _, q := range append([]state.Quantization{{}}, forms...) {
		with(t, mlx.Options{}, dir, weights.Options{KV: q}, func(s *mlx.Scope, m model.Model) error {
			rows, err := steps(s, m, ids, len(ids)-8, sized(m))
			if err != nil {
				return err
			}
			if !q.On() {
				plain = rows
				return nil
			}
			out = append(out, moved(plain, rows, m.Info().Vocab))
			return nil
		})
	}
	return out
}

func moved(from, to []float32, vocab int) (x Moved) {
	for ; len(from) >= vocab && len(to) >= vocab; from, to = from[vocab:], to[vocab:] {
		a, b := from[:vocab], to[:vocab]
		top, bottom, far := 0, 0, 0.0
		for i := range a {
			far = max(far, math.Abs(float64(a[i])-float64(b[i])))
			if a[i] > a[top] {
				top = i
			}
			if b[i] > b[bottom] {
				bottom = i
			}
		}
		if x.Rows++; top == bottom {
			x.Same++
		}
		x.Max, x.Relative = max(x.Max, far), max(x.Relative, far/math.Abs(float64(a[top])))
		kl, za, zb := 0.0, logSum(a, a[top]), logSum(b, b[bottom])
		for i := range a {
			p := float64(a[i]) - za
			kl += math.Exp(p) * (p - (float64(b[i]) - zb))
		}
		x.MeanKL, x.MaxKL = x.MeanKL+kl, max(x.MaxKL, kl)
	}
	x.MeanKL /= float64(x.Rows)
	return x
}

// logSum is the logarithm of the sum of the row's exponentials; its largest is top.
func logSum(row []float32, top float32) float64 {
	var sum float64
	for _, v := range row {
		sum += math.Exp(float64(v - top))
	}
	return float64(top) + math.Log(sum)
}
