package nn

import (
	"slices"

	"reprise/kvcache/state"
	"reprise/mlx"
)

// normAdd is (residual + norm(y))·factor by normAddKernel; factor [1] may be none.
func normAdd(s *mlx.Scope, residual, y mlx.Array, norm *RMSNorm, factor mlx.Array) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	shape, dtype := y.Shape(), y.Dtype()
	width := shape[len(shape)-1]
	with := 1
	if !factor.Valid() {
		factor, with = norm.W, 0 // not read
	}
	each, simds := threadsOf(width)
	return s.Launch(normAddKernel, mlx.Launch{
		Grid: [3]int{32, simds, y.Size() / width}, Group: [3]int{32, simds, 1},
		Template: []mlx.TemplateArg{{Name: "X", Dtype: dtype}, {Name: "WIDTH", Int: width}, {Name: "EACH", Int: each}, {Name: "SIMDS", Int: simds},
			{Name: "FACTOR", Int: with}, mlx.FloatArg("EPS", norm.Eps)},
		Outputs: []mlx.Spec{{Shape: shape, Dtype: dtype}},
	}, y, residual, norm.W, factor)[0]
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

// gate is act(a)·b by gateKernel.
func gate(s *mlx.Scope, act mlx.Gate, a, b mlx.Array) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	gelu := 0
	if act == mlx.GateGELU {
		gelu = 1
	}
	n := a.Size()
	return s.Launch(gateKernel, mlx.Launch{
		Grid: [3]int{32 * ((n + 255) / 256), 8, 1}, Group: [3]int{32, 8, 1},
		Template: []mlx.TemplateArg{{Name: "X", Dtype: a.Dtype()}, {Name: "SIZE", Int: n}, {Name: "GELU", Int: gelu}},
		Outputs:  []mlx.Spec{{Shape: a.Shape(), Dtype: a.Dtype()}},
	}, a, b)[0]
}

// place is the heads of q, k and v [1, T, heads·dim] as [1, heads, T, dim], normed and rotated, by placeKernel. Without k
// there are queries alone.
func (a *Attention) place(s *mlx.Scope, q, k, v, place mlx.Array) [3]mlx.Array {
	if s.Err() != nil {
		return [3]mlx.Array{}
	}
	T, dim, dtype, kv := q.Dim(1), q.Dim(2)/a.Heads, q.Dtype(), a.KVHeads
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
			{Name: "HQ", Int: a.Heads}, {Name: "HK", Int: kv}}, flag("Q", a.QNorm), flag("K", a.KNorm), flag("V", a.VNorm)),
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
