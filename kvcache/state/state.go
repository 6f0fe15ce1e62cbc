package state

import (
	"fmt"
	"strings"
	"sync/atomic"

	"reprise/mlx"
)

// Kind says how a layer remembers.
type Kind string

// The kinds of layer state.
const (
	Growing   Kind = "full"      // every row since the first token
	Sliding   Kind = "sliding"   // the rows of the last window
	Recurrent Kind = "recurrent" // a convolution's tail and a matrix
)

// Layer is one layer's memory.
type Layer interface {
	Kind() Kind
	// Offset is the number of tokens that the layer has seen.
	Offset() int
	// Bytes is what the layer's buffers allocate, used or not.
	Bytes() int64
	// CanTrim says whether Trim(to) would succeed.
	CanTrim(to int) bool
	// Trim forgets the tokens from offset `to` on; no buffer is copied.
	Trim(to int)
	// Free releases the buffers and returns the layer to offset 0.
	Free()
}

// KV is a layer that keeps keys and values.
type KV interface {
	Layer
	// Append writes k and v, both [1, heads, T, dim] and already rotated, behind the rows it has, and returns
	// the keys and values that the T new queries attend to, masked by what Mask returned for T.
	Append(s *mlx.Scope, k, v mlx.Array) (keys, values mlx.Array)
	// Open is Append for an attention that writes the rows itself: it makes room for T rows of keys and values like
	// shape [1, heads, T, dim] and says where they go. The caller owes a Put of the updated buffers.
	Open(s *mlx.Scope, shape [4]int, dtype mlx.Dtype) Slot
	// Put takes the buffers with T more rows back; the old ones are given up, so that MLX updates them in place.
	Put(s *mlx.Scope, keys, values mlx.Array, T int)
	// Written is where the last T rows lie: for another layer whose queries, at the same positions, attend to this one's
	// keys and values.
	Written(T int) Slot
	// Mask is the mask for T queries that follow the rows held now. Layers of one kind share one.
	Mask(s *mlx.Scope, T int) Mask
	// Reserve makes room for tokens in all, so that a prefill does not grow the buffer step by step.
	Reserve(tokens int)
}

// Slot is where an attention's new rows go.
type Slot struct {
	Keys, Values mlx.Array // the state's own buffers, [1, heads, capacity, dim]
	At           int       // row of the first new one
	From         int       // first row that the new queries can see
}

// Mask is what attention takes: no mask, the causal mode, or an array [T, rows], true where a query may look.
type Mask struct {
	Mode   string // "", "causal" or "array"
	Array  mlx.Array
	Window int // with "causal": a query sees so many rows up to its own; 0: all
	// Place is what custom kernels want to know, int32 [3]: the position of the first query, the first row that it can
	// see, and the row behind the last new one. None where there are no such kernels.
	Place mlx.Array
}

// place is Mask.Place.
func place(s *mlx.Scope, position, from, to int) mlx.Array {
	if !s.CustomKernels() {
		return mlx.Array{}
	}
	return mlx.New(s, []int32{int32(position), int32(from), int32(to)}, 3)
}

// State is what all layers of a model remember, at one offset.
type State struct {
	home     *mlx.Scope
	layers   []Layer
	offset   atomic.Int64
	bytes    atomic.Int64
	wanted   []int // captures asked of the coming call
	captured []int // captures that wait to be handed over
}

// New makes an empty state of the given layers. It takes ownership of them. Copies are made in children of home, which
// may be any scope of the worker, closed or not: its model's.
func New(home *mlx.Scope, layers ...Layer) *State { return &State{home: home, layers: layers} }

// Offset is the number of tokens that entered the model on this state. Any goroutine may ask.
func (st *State) Offset() int { return int(st.offset.Load()) }

// Len is the number of layers that have a state of their own.
func (st *State) Len() int { return len(st.layers) }

// KV is layer i, which must be one that keeps keys and values.
func (st *State) KV(i int) KV { return st.layers[i].(KV) }

// Recurrence is layer i, which must be a recurrent one.
func (st *State) Recurrence(i int) *Recurrence { return st.layers[i].(*Recurrence) }

// First is the first layer of that kind that keeps keys and values, or nil: its mask serves every layer of the kind.
func (st *State) First(k Kind) KV {
	for _, l := range st.layers {
		if kv, ok := l.(KV); ok && l.Kind() == k {
			return kv
		}
	}
	return nil
}

// Advance records that a forward call fed n tokens. It is called once a call, by the model, after its layers.
func (st *State) Advance(n int) error {
	from := st.Offset()
	st.stand(from + n)
	for i, l := range st.layers {
		if l.Offset() != from+n {
			return fmt.Errorf("state: layer %d (%s) stands at %d, the state at %d after a call of %d tokens", i, l.Kind(), l.Offset(), from+n, n)
		}
	}
	return st.settle(from)
}

// stand records where the state stands and what it holds.
func (st *State) stand(at int) {
	var bytes int64
	for _, l := range st.layers {
		bytes += l.Bytes()
	}
	st.offset.Store(int64(at))
	st.bytes.Store(bytes)
}

// TrimLimit says how far the state can go back towards `to`: to `to` itself where every layer can, else only to
// 0, with the kind of the first layer that cannot.
func (st *State) TrimLimit(to int) (limit int, by string) {
	if to >= st.Offset() {
		return st.Offset(), ""
	}
	for _, l := range st.layers {
		if !l.CanTrim(to) {
			return 0, string(l.Kind())
		}
	}
	return to, ""
}

// Trim forgets the tokens from offset `to` on.
func (st *State) Trim(to int) error {
	if got, by := st.TrimLimit(to); got != to {
		return fmt.Errorf("state: cannot go back from %d to %d: a %s layer dropped what it needs", st.Offset(), to, by)
	}
	for _, l := range st.layers {
		l.Trim(to)
	}
	st.stand(to)
	return nil
}

// Reserve makes room for that many tokens in all.
func (st *State) Reserve(tokens int) {
	for _, l := range st.layers {
		if kv, ok := l.(KV); ok {
			kv.Reserve(tokens)
		}
	}
}

// Arrays are all buffers, for the evaluation at the end of a prefill chunk. Captures are evaluated by Captured.
func (st *State) Arrays() []mlx.Array {
	var out []mlx.Array
	for _, l := range st.layers {
		if b, ok := l.(interface{ buffers() []mlx.Array }); ok {
			out = append(out, b.buffers()...)
		}
	}
	return out
}

// Bytes is what all layers allocated at the end of the last call. Any goroutine may ask.
func (st *State) Bytes() int64 { return st.bytes.Load() }

// Sizes are what the buffers take now: a token's row in all growing layers together, and everything that does not grow. On the
// worker, between calls; row is 0 before the first one.
func (st *State) Sizes() (row, fixed int64) {
	for _, l := range st.layers {
		n := l.Bytes()
		g, grows := l.(*GrowingKV)
		if !grows {
			fixed += n
		} else if rows := int64(g.capacity); rows > 0 {
			row += (n + rows - 1) / rows
		}
	}
	return row, fixed
}

// Free releases every buffer and what was captured but not handed over; the state is empty afterwards.
func (st *State) Free() {
	st.dropCaptured()
	for _, l := range st.layers {
		l.Free()
	}
	st.stand(0)
}

func (st *State) String() string {
	kinds := make([]string, len(st.layers))
	for i, l := range st.layers {
		kinds[i] = string(l.Kind())
	}
	return fmt.Sprintf("state at %d [%s], %d bytes", st.Offset(), strings.Join(kinds, " "), st.Bytes())
}
