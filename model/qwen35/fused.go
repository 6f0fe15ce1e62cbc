package qwen35

import "reprise/mlx"

// simdgroups of a launch's groups.
const simdgroups = 4

// groups is a launch of 32 lanes × `slots` simdgroups, in whole groups, × depth.
func groups(slots, depth int) (grid, group [3]int) {
	return [3]int{32, (slots + simdgroups - 1) / simdgroups * simdgroups, depth}, [3]int{32, simdgroups, 1}
}

func (d *deltaNet) template(dtype mlx.Dtype) []mlx.TemplateArg {
	return []mlx.TemplateArg{
		{Name: "X", Dtype: dtype}, {Name: "DK", Int: d.keyDim}, {Name: "DV", Int: d.valueDim}, {Name: "HK", Int: d.keyHeads},
		{Name: "HV", Int: d.valueHeads}, {Name: "WIDTH", Int: d.width},
	}
}

// prepareFused is prepare in one launch.
func (d *deltaNet) prepareFused(s *mlx.Scope, inputs, b, a mlx.Array) tokens {
	if s.Err() != nil {
		return tokens{}
	}
	T := b.Dim(1)
	keys, values := mlx.Spec{Shape: []int{1, T, d.keyHeads, d.keyDim}, Dtype: mlx.Float32}, mlx.Spec{Shape: []int{1, T, d.valueHeads, d.valueDim}, Dtype: mlx.Float32}
	rates := mlx.Spec{Shape: []int{1, T, d.valueHeads}, Dtype: mlx.Float32}
	grid, group := groups(2*d.keyHeads+d.valueHeads, T)
	out := s.Launch(prepareKernel, mlx.Launch{
		Grid: grid, Group: group, Template: d.template(inputs.Dtype()), Outputs: []mlx.Spec{keys, keys, values, rates, rates},
	}, inputs, d.conv, b, a, d.decay, d.dtBias)
	return tokens{q: out[0], k: out[1], v: out[2], decay: out[3], correct: out[4]}
}

// fused is the form of the kernel: a launch up to each capture and one behind the last. A launch begins with the matrix
// where the one before left it, so that no token's bits depend on where the calls are cut.
func (x *tokens) fused(s *mlx.Scope, matrix mlx.Array, captures []int) (y, last mlx.Array, captured []mlx.Array) {
	if s.Err() != nil {
		return
	}
	T, keyHeads, heads, keyDim, valueDim := x.dims()
	grid, group := groups((valueDim+3)/4, heads)
	template := []mlx.TemplateArg{{Name: "DK", Int: keyDim}, {Name: "DV", Int: valueDim}, {Name: "HK", Int: keyHeads}, {Name: "HV", Int: heads}}
	var reads []mlx.Array
	from := 0
	feed := func(to int) {
		part := x.slice(s, from, to)
		out := s.Launch(recurrenceKernel, mlx.Launch{Grid: grid, Group: group, Template: template, Outputs: []mlx.Spec{
			{Shape: []int{1, to - from, heads, valueDim}, Dtype: mlx.Float32}, {Shape: []int{1, heads, valueDim, keyDim}, Dtype: mlx.Float32},
		}}, part.q, part.k, part.v, part.decay, part.correct, matrix)
		reads, matrix, from = append(reads, out[0]), out[1], to
	}
	for _, at := range captures {
		feed(at)
		captured = append(captured, matrix)
	}
	if from < T {
		feed(T)
	}
	if len(reads) == 1 {
		return reads[0], matrix, captured
	}
	return s.Concatenate(reads, 1), matrix, captured
}

// slice are the tokens from … to.
func (x *tokens) slice(s *mlx.Scope, from, to int) *tokens {
	if s.Err() != nil || from == 0 && to == x.q.Dim(1) {
		return x
	}
	part := func(a mlx.Array) mlx.Array {
		start, stop, steps := make([]int, a.Ndim()), a.Shape(), make([]int, a.Ndim())
		for i := range steps {
			steps[i] = 1
		}
		start[1], stop[1] = from, to
		return s.Slice(a, start, stop, steps)
	}
	return &tokens{q: part(x.q), k: part(x.k), v: part(x.v), decay: part(x.decay), correct: part(x.correct)}
}

// finishFused is finish in one launch.
func (d *deltaNet) finishFused(s *mlx.Scope, y, z mlx.Array) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	T := z.Dim(1)
	grid, group := groups(d.valueHeads, T)
	return s.Launch(finishKernel, mlx.Launch{
		Grid: grid, Group: group, Template: []mlx.TemplateArg{{Name: "X", Dtype: z.Dtype()}, {Name: "DV", Int: d.valueDim}, {Name: "HV", Int: d.valueHeads}},
		Outputs: []mlx.Spec{{Shape: []int{1, T, d.valueHeads * d.valueDim}, Dtype: z.Dtype()}},
	}, y, z, d.norm.W, d.eps)[0]
}
