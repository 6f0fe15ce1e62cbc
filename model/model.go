package model

import (
	"reprise/kvcache/state"
	"reprise/mlx"
)

// Info is what others need to know of a loaded model.
type Info struct {
	ModelType string
	Vocab     int
	Context   int       // positions that the weights were trained for
	Window    int       // of the sliding layers, 0 when there are none
	Dtype     mlx.Dtype // of activations and KV
	Bytes     int64     // of the weights as they are held
	// ActiveBytes are what a decode step of one token reads of Bytes: of a table one row, of experts those that the token
	// goes through.
	ActiveBytes int64
	LayerKinds  []state.Kind
	// RowBytes is what a token takes in all growing layers together, SnapshotBytes what the sliding and recurrent layers
	// hold when their windows are full.
	RowBytes, SnapshotBytes int64
	// KV is how growing layers keep their rows.
	KV state.Quantization
	// Unused are the bytes in the files that this model leaves out, by the name of the part they belong to
	// ("vision_tower").
	Unused map[string]int64
}

// Model feeds tokens through the weights. Its methods run on the worker.
type Model interface {
	Info() Info
	// NewState is an empty state for this model.
	NewState() *state.State
	// Forward feeds ids, int32 [1, T], at the state's offset, advances the state by T, and returns the hidden
	// rows after the last norm, [1, T, hidden]. The ids enter the model here and nowhere else.
	Forward(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array
	// Logits of hidden rows: [1, R, hidden] → [1, R, vocab].
	Logits(s *mlx.Scope, hidden mlx.Array) mlx.Array
	// Free releases the weights.
	Free()
}

// LastForwarder is a Model that does less where the last row alone is wanted: in layers that write no state.
type LastForwarder interface {
	// ForwardLast is Forward that returns the last row, [1, 1, hidden]. The state is the same to the bit; the row is the
	// same up to what another width does to low bits.
	ForwardLast(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array
}

// ForwardLast feeds ids to m as Forward does and returns the last row of hidden, [1, 1, hidden].
func ForwardLast(s *mlx.Scope, m Model, ids mlx.Array, st *state.State) mlx.Array {
	if l, ok := m.(LastForwarder); ok {
		return l.ForwardLast(s, ids, st)
	}
	return LastRow(s, m.Forward(s, ids, st))
}

// LastRow is the last row of hidden, [1, 1, hidden]: logits are wanted for that one only.
func LastRow(s *mlx.Scope, hidden mlx.Array) mlx.Array {
	shape := hidden.Shape()
	if len(shape) != 3 || shape[1] == 1 {
		return hidden
	}
	return s.Slice(hidden, []int{0, shape[1] - 1, 0}, shape, []int{1, 1, 1})
}
