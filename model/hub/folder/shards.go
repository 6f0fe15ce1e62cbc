package folder

import (
	"fmt"
	"path/filepath"

	"reprise/mlx/safetensors"
)

// MaxShardBytes bounds a shard's tensors, as mlx-lm does; a bigger module has a shard of its own.
const MaxShardBytes = 5 << 30

// Shards write a checkpoint's tensors into as few files as MaxShardBytes allows.
type Shards struct {
	stage   *Stage
	specs   [][]safetensors.Spec // by shard
	total   int64
	current int // the shard that is open
	writer  *safetensors.Writer
}

// Shards lays the tensors out, in their order; those of one module stay together. limit is MaxShardBytes but in tests.
// The caller writes module by module in that order, and ends with Close; Abort after Close does nothing.
func (s *Stage) Shards(modules [][]safetensors.Spec, limit int64) *Shards {
	w := &Shards{stage: s, current: -1}
	var size int64
	for _, module := range modules {
		var n int64
		for _, t := range module {
			n += bytesOf(t)
		}
		if len(w.specs) == 0 || size+n > limit {
			w.specs, size = append(w.specs, nil), 0
		}
		last := len(w.specs) - 1
		w.specs[last] = append(w.specs[last], module...)
		size += n
		w.total += n
	}
	return w
}

func bytesOf(t safetensors.Spec) int64 {
	n := t.DType.Size()
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Total is the size of all tensors.
func (w *Shards) Total() int64 { return w.total }

// name is a shard's file: one file alone has a name without numbers.
func (w *Shards) name(i int) string {
	if len(w.specs) == 1 {
		return "model.safetensors"
	}
	return fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(w.specs))
}

// Tensor is where the tensor's bytes go. A tensor of a later shard ends the one before, whose tensors must be complete.
func (w *Shards) Tensor(name string) (*safetensors.TensorWriter, error) {
	for {
		if w.writer != nil {
			if t, err := w.writer.Tensor(name); err == nil || w.current+1 >= len(w.specs) {
				return t, err
			}
		}
		if err := w.next(); err != nil {
			return nil, err
		}
	}
}

func (w *Shards) next() error {
	if w.writer != nil {
		if err := w.writer.Commit(); err != nil {
			return err
		}
		w.writer = nil
	}
	w.current++
	if w.current >= len(w.specs) {
		return fmt.Errorf("no tensors were declared")
	}
	var err error
	w.writer, err = safetensors.Create(filepath.Join(w.stage.Dir, w.name(w.current)), w.specs[w.current], map[string]string{"format": "mlx"})
	return err
}

// Close ends the last shard and writes the index where there are several.
func (w *Shards) Close() error {
	if w.writer == nil || w.current != len(w.specs)-1 {
		return fmt.Errorf("%d of %d shards were written", max(0, w.current), len(w.specs))
	}
	if err := w.writer.Commit(); err != nil {
		return err
	}
	w.writer = nil
	if len(w.specs) == 1 {
		return nil
	}
	where := map[string]string{}
	for i, shard := range w.specs {
		for _, t := range shard {
			where[t.Name] = w.name(i)
		}
	}
	return w.stage.WriteJSON("model.safetensors.index.json", map[string]any{
		"metadata": map[string]any{"total_size": w.total}, "weight_map": where,
	})
}

// Abort lets go of an unfinished shard.
func (w *Shards) Abort() {
	if w.writer != nil {
		w.writer.Abort()
	}
}
