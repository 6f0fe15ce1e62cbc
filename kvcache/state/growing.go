package state

import "reprise/mlx"

// growStep is the least number of rows by which a buffer grows. Long buffers grow by an eighth, so that the
// copying stays a constant share of the work.
const growStep = 256

// GrowingKV keeps every row since the first token: the state of a full-attention layer.
type GrowingKV struct {
	buffer
	offset   int
	reserved int
}

// NewGrowing is an empty growing state. Head count, dim and dtype follow from the first Append.
func NewGrowing() *GrowingKV { return &GrowingKV{} }

// Kind is Growing.
func (g *GrowingKV) Kind() Kind { return Growing }

// Offset is the number of tokens seen, and of rows held.
func (g *GrowingKV) Offset() int { return g.offset }

// Reserve sets the least capacity of the next growth.
func (g *GrowingKV) Reserve(tokens int) { g.reserved = tokens }

// Mask is causal for several queries; one query sees everything.
func (g *GrowingKV) Mask(_ *mlx.Scope, T int) Mask {
	if T == 1 {
		return Mask{}
	}
	return Mask{Mode: "causal"}
}

// Append writes T rows and returns views of all rows.
func (g *GrowingKV) Append(s *mlx.Scope, k, v mlx.Array) (keys, values mlx.Array) {
	slot := g.Open(s, like(k), k.Dtype())
	g.write(s, k, v, slot.At)
	g.offset += k.Dim(2)
	return rows(s, g.k, 0, g.offset), rows(s, g.v, 0, g.offset)
}

// Open makes room for shape[2] rows.
func (g *GrowingKV) Open(s *mlx.Scope, shape [4]int, dtype mlx.Dtype) Slot {
	if need := g.offset + shape[2]; need > g.capacity {
		g.move(s, shape, dtype, roundUp(max(need, g.reserved, g.capacity+g.capacity/8), growStep), 0, g.offset)
	}
	return Slot{Keys: g.k, Values: g.v, At: g.offset}
}

// Written is the slot of the last T rows.
func (g *GrowingKV) Written(T int) Slot { return Slot{Keys: g.k, Values: g.v, At: g.offset - T} }

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
