package nn

import (
	"slices"

	"reprise/kvcache/state"
	"reprise/mlx"
)

// normAdd is (residual + norm(y))·factor by normAddKernel, and the norm of that by next; norm, factor [1] and next may be
// none.
func normAdd(s *mlx.Scope, residual, y mlx.Array, norm *RMSNorm, factor mlx.Array, next *RMSNorm) Rows {
	if s.Err() != nil {
		return Rows{}
	}
	shape, dtype := y.Shape(), y.Dtype()
	width := shape[len(shape)-1]
	each, simds := threadsOf(width)
	args := []mlx.TemplateArg{{Name: "X", Dtype: dtype}, {Name: "WIDTH", Int: width}, {Name: "EACH", Int: each}, {Name: "SIMDS", Int: simds},
		{Name: "NORM"}, {Name: "EPS"}, {Name: "FACTOR"}, {Name: "NEXT"}, {Name: "NEXT_EPS"}}
	weight, following, normed := y, y, []int{1} // not read, not written
	if norm != nil {
		weight, args[4].Int, args[5] = norm.W, 1, mlx.FloatArg("EPS", norm.Eps)
	}
	if args[6].Int = 1; !factor.Valid() {
		factor, args[6].Int = y, 0
	}
	if next != nil {
		following, normed, args[7].Int, args[8] = next.W, shape, 1, mlx.FloatArg("NEXT_EPS", next.Eps)
	}
	out := s.Launch(normAddKernel, mlx.Launch{
		Grid: [3]int{32, simds, y.Size() / width}, Group: [3]int{32, simds, 1}, Template: args,
		Outputs: []mlx.Spec{{Shape: shape, Dtype: dtype}, {Shape: normed, Dtype: dtype}},
	}, y, residual, weight, factor, following)
	if next == nil {
		return Rows{X: out[0]}
	}
	return Rows{X: out[0], normed: out[1]}
}

// threadsOf is how many values each thread of a row takes, and how many simdgroups that makes: more than 32 are too many
// for a group.
func threadsOf(width int) (each, simds int) {
	each = 8
	for width%each != 0 {
		each /= 2
	}
	return each, (width/each + 31) / 32
}

// epilogue is what matvec makes of a product: act of the first half of the results times the second, or act of all times
// by; the zero value leaves them.
type epilogue struct {
	act   mlx.Gate
	gated bool
	by    mlx.Array
}

// matvec is x [1, 1, in] times a matrix by matvecKernel.
func (m *Matrix) matvec(s *mlx.Scope, x mlx.Array, e epilogue) mlx.Array {
	shape := x.Shape()
	last := len(shape) - 1
	in, dtype, rows := shape[last], m.stream.dtype, 4
	shape[last] = m.stream.rows
	args := []mlx.TemplateArg{{Name: "X", Dtype: dtype}, {Name: "K", Int: in}, {Name: "G", Int: m.GroupSize}, {Name: "GATED"}, {Name: "BY"}, {Name: "GELU"}}
	switch {
	case e.gated:
		shape[last], rows, args[3].Int = shape[last]/2, 2, 1
	case e.by.Valid():
		args[4].Int = 1
	}
	if e.act == mlx.GateGELU {
		args[5].Int = 1
	}
	by := e.by
	if !by.Valid() {
		by = x // not read
	}
	return s.Launch(matvecKernel, mlx.Launch{
		Grid: [3]int{32, (shape[last] + 4*rows - 1) / (4 * rows) * 4, 1}, Group: [3]int{32, 4, 1}, Template: args,
		Outputs: []mlx.Spec{{Shape: shape, Dtype: dtype}},
	}, x, m.W, m.Scales, m.Biases, by)[0]
}

// streams says whether matvec can make x·Wᵀ: one row, and a matrix of the form that it knows.
func (m *Matrix) streams(s *mlx.Scope, x mlx.Array) bool {
	if m.stream.rows == 0 || s.Err() != nil || !s.Uses(matvecKernel) {
		return false
	}
	rows, _, dtype := x.Rows()
	return rows == 1 && dtype == m.stream.dtype
}

// stream is what matvec must know of a matrix; no rows where it is not of the form that it takes.
type stream struct {
	rows  int
	dtype mlx.Dtype
}

func (m *Matrix) asStream() stream {
	if m.Mode != "affine" || m.Bits != 4 || !m.Biases.Valid() || m.GroupSize%32 != 0 || m.W.Ndim() != 2 || m.W.Dim(0)%8 != 0 || m.W.Dim(1)%4 != 0 {
		return stream{}
	}
	return stream{rows: m.W.Dim(0), dtype: m.Scales.Dtype()}
}

func oneRow(x mlx.Array) bool {
	rows, _, _ := x.Rows()
	return rows == 1
}

// gateOf is act(a)·b by gateKernel: the first values of a, and those of b from bAt on, as an array of that shape.
func gateOf(s *mlx.Scope, act mlx.Gate, a, b mlx.Array, shape []int, bAt int) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	gelu, n := 0, 1
	if act == mlx.GateGELU {
		gelu = 1
	}
	for _, d := range shape {
		n *= d
	}
	return s.Launch(gateKernel, mlx.Launch{
		Grid: [3]int{32 * ((n + 255) / 256), 8, 1}, Group: [3]int{32, 8, 1},
		Template: []mlx.TemplateArg{{Name: "X", Dtype: a.Dtype()}, {Name: "SIZE", Int: n}, {Name: "GELU", Int: gelu}, {Name: "B_AT", Int: bAt}},
		Outputs:  []mlx.Spec{{Shape: shape, Dtype: a.Dtype()}},
	}, a, b)[0]
}

// heads are what placeKernel makes heads of: queries, keys and values [1, T, heads·dim] or, of one token, one array that
// holds them behind each other, values from vAt on. Without k there are queries alone.
type heads struct {
	q, k, v  mlx.Array
	dim      int
	kAt, vAt int
}

// headsOf are three arrays' heads.
func (a *Attention) headsOf(q, k, v mlx.Array) heads {
	return heads{q: q, k: k, v: v, dim: q.Dim(2) / a.Heads}
}

// place is the heads as [1, heads, T, dim], normed and rotated, by placeKernel.
func (a *Attention) place(s *mlx.Scope, h heads, place mlx.Array) [3]mlx.Array {
	if s.Err() != nil {
		return [3]mlx.Array{}
	}
	q, k, v := h.q, h.k, h.v
	T, dim, dtype, kv := q.Dim(1), h.dim, q.Dtype(), a.KVHeads
	if !k.Valid() {
		k, v, kv = q, q, 0
	}
	flag := func(name string, norm *RMSNorm) []mlx.TemplateArg {
		if norm == nil {
			return []mlx.TemplateArg{{Name: name + "NORM"}, {Name: name + "EPS"}}
		}
		return []mlx.TemplateArg{{Name: name + "NORM", Int: 1}, mlx.FloatArg(name+"EPS", norm.Eps)}
	}
	weight := func(norm *RMSNorm) mlx.Array {
		if norm == nil || !norm.W.Valid() {
			return q // not read
		}
		return norm.W
	}
	out := s.Launch(placeKernel, mlx.Launch{
		Grid: [3]int{32, (a.Heads + 2*kv + 3) / 4 * 4, T}, Group: [3]int{32, 4, 1},
		Template: slices.Concat([]mlx.TemplateArg{{Name: "X", Dtype: dtype}, {Name: "D", Int: dim}, {Name: "DIMS", Int: a.RoPE.Dims},
			{Name: "HQ", Int: a.Heads}, {Name: "HK", Int: kv}, {Name: "K_AT", Int: h.kAt}, {Name: "V_AT", Int: h.vAt}}, flag("Q", a.QNorm), flag("K", a.KNorm), flag("V", a.VNorm)),
		Outputs: []mlx.Spec{{Shape: []int{1, a.Heads, T, dim}, Dtype: dtype}, {Shape: []int{1, max(kv, 1), T, dim}, Dtype: dtype},
			{Shape: []int{1, max(kv, 1), T, dim}, Dtype: dtype}},
	}, q, k, v, weight(a.QNorm), weight(a.KNorm), a.frequency, place)
	return [3]mlx.Array(out)
}

// attend is one query [1, heads, 1, dim] over the rows that place names, [1, 1, heads·dim], by attendKernel.
func (a *Attention) attend(s *mlx.Scope, q mlx.Array, slot state.Slot, place mlx.Array) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	dim, dtype, parts := q.Dim(3), q.Dtype(), partsOf(slot.At+1-slot.From)
	simds, result := min(16, 4096/dim), dtype
	if parts > 1 {
		result = mlx.Float32
	}
	out := s.Launch(attendKernel, mlx.Launch{
		Grid: [3]int{32, simds * parts, a.Heads}, Group: [3]int{32, simds, 1},
		Template: []mlx.TemplateArg{{Name: "Y", Dtype: result}, {Name: "D", Int: dim}, {Name: "HQ", Int: a.Heads}, {Name: "HK", Int: a.KVHeads},
			{Name: "SIMDS", Int: simds}, {Name: "PARTS", Int: parts}, mlx.FloatArg("SCALE", a.Scale)},
		Outputs: []mlx.Spec{{Shape: []int{1, 1, a.Heads * parts * dim}, Dtype: result}, {Shape: []int{a.Heads, parts, 2}, Dtype: mlx.Float32}},
	}, q, slot.Keys, slot.Values, place)
	if parts == 1 || s.Err() != nil {
		return out[0]
	}
	return s.Launch(mergeKernel, mlx.Launch{
		Grid: [3]int{32, dim / 32, a.Heads}, Group: [3]int{32, dim / 32, 1},
		Template: []mlx.TemplateArg{{Name: "X", Dtype: dtype}, {Name: "D", Int: dim}, {Name: "PARTS", Int: parts}},
		Outputs:  []mlx.Spec{{Shape: []int{1, 1, a.Heads * dim}, Dtype: dtype}},
	}, out...)[0]
}

// partsOf is in how many parts so many rows are attended to: few enough rows a part that a group is done soon, and few
// numbers of parts, since each is compiled.
func partsOf(rows int) int {
	parts := 1
	for parts < 32 && rows > 160*parts {
		parts *= 2
	}
	return parts
}
