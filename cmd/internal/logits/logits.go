package logits

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"reprise/cmd/internal/load"
	"reprise/mlx"
	"reprise/mlx/safetensors"
	"reprise/model"
	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/model/probe"
	"reprise/model/weights"
)

// Options say what to compute.
type Options struct {
	Model    string // what hub.Resolve takes
	IDs      []int32
	Chunk    int // tokens of one forward call; 0: all in one
	Decode   int // greedy ids to add
	Progress func(done, total int64)
}

// Result is what was computed.
type Result struct {
	Vocab  int
	Logits []float32 // [T, Vocab], row-major
	Greedy []int32   // [Decode]
	MinGap float32   // smallest lead of a greedy id over its runner-up; 0 without Decode
}

// weights are those of parity checks: float activations, whatever the checkpoint's dtype.
func (o Options) weights() weights.Options {
	opts := arch.Options(mlx.CPU)
	opts.Progress = o.Progress
	return opts
}

// Compute loads the model on a worker of its own and runs it.
func Compute(ctx context.Context, o Options) (*Result, error) {
	ckpt, err := load.Find(o.Model)
	if err != nil {
		return nil, err
	}
	w, err := mlx.Start(mlx.CPU)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	r := &Result{}
	err = w.Do(ctx, func(s *mlx.Scope) error { return r.compute(ctx, s, ckpt, o) })
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Result) compute(ctx context.Context, s *mlx.Scope, ckpt hub.Checkpoint, o Options) error {
	m, err := arch.Load(s, ckpt.Dir, o.weights())
	if err != nil {
		return load.Damaged(ckpt, err)
	}
	defer m.Free()
	info := m.Info()
	if err := Check(o.IDs, o.Decode, info); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	logits, st, err := probe.Logits(s, m, o.IDs, o.Chunk)
	if err != nil {
		return err
	}
	st.Free()
	r.Vocab, r.Logits = info.Vocab, logits
	if o.Decode == 0 {
		return nil
	}
	choices, err := probe.Greedy(s, m, o.IDs, o.Decode, o.Chunk)
	if err != nil {
		return err
	}
	r.MinGap = float32(math.Inf(1))
	for _, c := range choices {
		r.Greedy = append(r.Greedy, c.ID)
		r.MinGap = min(r.MinGap, c.Gap)
	}
	return nil
}

// Check compares ids with what the model can take.
func Check(ids []int32, decode int, info model.Info) error {
	if len(ids) == 0 {
		return fmt.Errorf("the ids file has no ids: a plain array of at least one is wanted")
	}
	for i, id := range ids {
		if id < 0 || int(id) >= info.Vocab {
			return fmt.Errorf("id %d of the ids file (counted from 0) is %d: this model's ids are 0 to %d", i, id, info.Vocab-1)
		}
	}
	if n := len(ids) + decode; info.Context > 0 && n > info.Context {
		return fmt.Errorf("%d ids and %d to decode exceed this model's context of %d tokens: shorten the ids file", len(ids), decode, info.Context)
	}
	return nil
}

// Write saves the result: `logits` [T, vocab] float32 and, when ids were decoded, `greedy` int32 [K].
func (r *Result) Write(path string) error {
	specs := []safetensors.Spec{{Name: "logits", DType: safetensors.F32, Shape: []int64{int64(len(r.Logits) / r.Vocab), int64(r.Vocab)}}}
	if len(r.Greedy) > 0 {
		specs = append(specs, safetensors.Spec{Name: "greedy", DType: safetensors.I32, Shape: []int64{int64(len(r.Greedy))}})
	}
	w, err := safetensors.Create(path, specs, nil)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := writeWords(w, "logits", len(r.Logits), func(i int) uint32 { return math.Float32bits(r.Logits[i]) }); err != nil {
		return err
	}
	if len(r.Greedy) > 0 {
		if err := writeWords(w, "greedy", len(r.Greedy), func(i int) uint32 { return uint32(r.Greedy[i]) }); err != nil {
			return err
		}
	}
	return w.Commit()
}

// writeWords streams a tensor of n 32-bit elements, a megabyte at a time.
func writeWords(w *safetensors.Writer, name string, n int, word func(int) uint32) error {
	t, err := w.Tensor(name)
	if err != nil {
		return err
	}
	const batch = 1 << 18
	buf := make([]byte, 0, 4*min(n, batch))
	for i := range n {
		buf = binary.LittleEndian.AppendUint32(buf, word(i))
		if len(buf) == 4*batch || i == n-1 {
			if _, err := t.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return nil
}
