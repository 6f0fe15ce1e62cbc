package state

import (
	"errors"
	"fmt"

	"reprise/mlx"
)

// growStep is the least number of rows by which a buffer grows. Long buffers grow by an eighth, so that the
// copying stays a constant share of the work.
const growStep = 256

// GrowingRows is the capacity of a growing layer's buffers that were first made for so many rows.
func GrowingRows(n int) int { return roundUp(n, growStep) }

// GrowingKV keeps every row since the first token: the state of a full-attention layer.
type GrowingKV struct {
	buffer
	quantization Quantization
	offset       int
	reserved     int
}

// NewGrowing is an empty growing state. Head count, dim and dtype follow from the first Append.
func NewGrowing() *GrowingKV { return &GrowingKV{} }

// NewQuantized is an empty growing state that keeps its rows quantized; of the zero value it is NewGrowing.
func NewQuantized(q Quantization) *GrowingKV { return &GrowingKV{quantization: q} }

// Kind is Growing.
func (g *GrowingKV) Kind() Kind { return Growing }

// Offset is the number of tokens seen, and of rows held.
func (g *GrowingKV) Offset() int { return g.offset }

// Reserve sets the least capacity of the next growth.
func (g *GrowingKV) Reserve(tokens int) { g.reserved = tokens }

// Mask is causal for several queries; one query sees everything.
func (g *GrowingKV) Mask(s *mlx.Scope, T int) Mask {
	m := Mask{Place: place(s, g.offset, 0, g.offset+T)}
	if T > 1 {
		m.Mode = "causal"
	}
	return m
}

// Append writes T rows and returns all rows: views or, where they are quantized, what they are worth.
func (g *GrowingKV) Append(s *mlx.Scope, k, v mlx.Array) (keys, values mlx.Array) {
	if g.quantization.On() {
		pk, pv := g.AppendPacked(s, k, v)
		return pk.Array(s), pv.Array(s)
	}
	slot := g.Open(s, like(k), k.Dtype())
	g.write(s, []mlx.Array{k, v}, slot.At)
	g.offset += k.Dim(2)
	return rows(s, g.columns[0], 0, g.offset), rows(s, g.columns[1], 0, g.offset)
}

// Quantization is how the rows are kept.
func (g *GrowingKV) Quantization() Quantization { return g.quantization }

// AppendPacked quantizes and writes T rows and returns views of all rows as they are kept. Only where Quantization is on.
func (g *GrowingKV) AppendPacked(s *mlx.Scope, k, v mlx.Array) (keys, values Packed) {
	if s.Err() != nil {
		return Packed{}, Packed{}
	}
	if err := g.quantization.Check(k.Dim(3)); err != nil {
		s.Fail(fmt.Errorf("state: %w", err))
		return Packed{}, Packed{}
	}
	fresh, T := g.quantization.columns(s, k, v), k.Dim(2)
	g.room(s, specs(s, fresh), T)
	g.write(s, fresh, g.offset)
	g.offset += T
	return g.Packed(s)
}

// Packed are views of all rows as they are kept. Only where Quantization is on.
func (g *GrowingKV) Packed(s *mlx.Scope) (keys, values Packed) {
	return g.quantization.packed(g.view(s, 0, g.offset))
}

// Open makes room for shape[2] rows; quantized ones have no slot that an attention could write.
func (g *GrowingKV) Open(s *mlx.Scope, shape [4]int, dtype mlx.Dtype) Slot {
	if g.quantization.On() {
		s.Fail(errors.New("state: quantized rows are appended, not opened"))
		return Slot{}
	}
	g.room(s, pair(shape, dtype), shape[2])
	return g.slot(g.offset, 0)
}

// room makes room for T more rows in columns like those of fresh.
func (g *GrowingKV) room(s *mlx.Scope, fresh []spec, T int) {
	if need := g.offset + T; need > g.capacity {
		g.move(s, fresh, GrowingRows(max(need, g.reserved, g.capacity+g.capacity/8)), 0, g.offset)
	}
}

// Written is the slot of the last T rows.
func (g *GrowingKV) Written(T int) Slot { return g.slot(g.offset-T, 0) }

// Put takes the updated buffers.
func (g *GrowingKV) Put(s *mlx.Scope, keys, values mlx.Array, T int) {
	g.put(s, keys, values)
	g.offset += T
}

// CanTrim is true for every offset up to this one.
func (g *GrowingKV) CanTrim(to int) bool { return to >= 0 && to <= g.offset }

// Trim forgets the rows from `to` on.
func (g *GrowingKV) Trim(to int) { g.offset = min(g.offset, to) }

// Free releases the buffers.
func (g *GrowingKV) Free() { g.free(); g.offset, g.reserved = 0, 0 }
