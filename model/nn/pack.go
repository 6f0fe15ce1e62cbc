package nn

import "reprise/mlx"

// pack is several matrices with the same columns one below the other: for one row of x one product does the work of
// all, and a decode step is short of launches, not of bytes.
type pack struct {
	whole Matrix
	outs  []int // rows of each
}

// Pack lays linears that share their input one below the other in memory, where the device gains by it: on a GPU, and
// where all are quantized alike. Each becomes a view of its rows, for products with many rows of x; Project and Gated see
// that they belong together. owner owns the weights; it evaluates.
func Pack(owner *mlx.Scope, linears ...*Linear) {
	if owner.Err() != nil || !owner.CustomKernels() || !alike(linears) {
		return
	}
	p := &pack{}
	for _, l := range linears {
		p.outs = append(p.outs, l.W.Dim(0))
	}
	first := &linears[0].Matrix
	p.whole = Matrix{GroupSize: first.GroupSize, Bits: first.Bits, Mode: first.Mode}
	for _, part := range []func(*Matrix) *mlx.Array{weightsOf, scalesOf, biasesOf} {
		if !part(first).Valid() {
			continue
		}
		var stack []mlx.Array
		for _, l := range linears {
			stack = append(stack, *part(&l.Matrix))
		}
		whole, views := stackRows(owner, stack, p.outs)
		*part(&p.whole) = whole
		for i, l := range linears {
			if old := *part(&l.Matrix); old.Valid() && owner.Err() == nil {
				owner.Keep(old)
				old.Free()
				*part(&l.Matrix) = views[i]
			}
		}
	}
	if owner.Err() == nil {
		p.whole.stream = p.whole.asStream()
	}
	for i, l := range linears {
		l.pack, l.part = p, i
	}
}

func weightsOf(m *Matrix) *mlx.Array { return &m.W }
func scalesOf(m *Matrix) *mlx.Array  { return &m.Scales }
func biasesOf(m *Matrix) *mlx.Array  { return &m.Biases }

// stackRows is the arrays one below the other, and a view of each one's rows, all owned by owner.
func stackRows(owner *mlx.Scope, arrays []mlx.Array, rows []int) (whole mlx.Array, views []mlx.Array) {
	s := owner.Child()
	defer s.Close()
	whole = s.Concatenate(arrays, 0)
	if err := s.Eval(whole); err != nil {
		owner.Fail(err)
		return
	}
	at := 0
	for _, n := range rows {
		views = append(views, s.Slice(whole, []int{at, 0}, []int{at + n, whole.Dim(1)}, []int{1, 1}))
		at += n
	}
	if err := s.Eval(views...); err != nil {
		owner.Fail(err)
		return
	}
	for i := range views {
		views[i] = owner.Adopt(s.Keep(views[i]))
	}
	return owner.Adopt(s.Keep(whole)), views
}

// alike says whether linears can be one matrix.
func alike(linears []*Linear) bool {
	if len(linears) < 2 {
		return false
	}
	a := &linears[0].Matrix
	for _, l := range linears {
		b := &l.Matrix
		if !b.Quantized() || l.Bias.Valid() || a.Bits != b.Bits || a.GroupSize != b.GroupSize || a.Mode != b.Mode ||
			a.Scales.Dtype() != b.Scales.Dtype() || a.Biases.Valid() != b.Biases.Valid() || a.W.Dim(1) != b.W.Dim(1) {
			return false
		}
	}
	return true
}

// packed is the pack of which linears are all the parts, in order, or nil.
func packed(linears []*Linear) *pack {
	p := linears[0].pack
	if p == nil || len(linears) != len(p.outs) {
		return nil
	}
	for i, l := range linears {
		if l.pack != p || l.part != i {
			return nil
		}
	}
	return p
}

// one is the product of one row of x, [1, 1, in], with the whole pack, in parts: views of one array.
func (p *pack) one(s *mlx.Scope, x mlx.Array) []mlx.Array {
	y := p.whole.Multiply(s, x)
	out := make([]mlx.Array, len(p.outs))
	at := 0
	for i, n := range p.outs {
		out[i] = s.Slice(y, []int{0, 0, at}, []int{1, 1, at + n}, []int{1, 1, 1})
		at += n
	}
	return out
}
