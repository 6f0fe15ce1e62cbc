package nn

import "reprise/mlx"

// Stacked is one matrix for each expert: [experts, out, in], dense or quantized.
type Stacked struct{ m Matrix }

// NewStacked prepares a stack in the scope that owns the weights; every array of m has the experts as an axis in front.
func NewStacked(owner *mlx.Scope, m Matrix) Stacked {
	if !m.Quantized() {
		m.transposed = owner.SwapAxes(m.W, -1, -2) // a view, as a matrix's is
	}
	return Stacked{m}
}

// Valid is false for the zero Stacked.
func (w *Stacked) Valid() bool { return w.m.W.Valid() }

// Experts is the number of matrices.
func (w *Stacked) Experts() int { return w.m.W.Dim(0) }

// Bytes are those of all matrices.
func (w *Stacked) Bytes() int64 { return w.m.Bytes() }

// Multiply is x·Wᵀ with the matrix that choice names for each part of x: x [..., 1, in] and choice [...], which broadcast,
// give [..., 1, out]. sorted promises that choice ascends and that each part of x has its own.
func (w *Stacked) Multiply(s *mlx.Scope, x, choice mlx.Array, sorted bool) mlx.Array {
	m, none := &w.m, mlx.Array{}
	switch {
	case s.Kernels():
		return s.GatheredProduct(x, m.packed(), choice)
	case m.Quantized() && sorted && s.CUDA():
		// MLX multiplies by packed stacks row by row there: for many rows it is faster to unpack the stack, whose products it
		// groups by expert. 35B-A3B's largest is 0.5 GB for as long as its product takes.
		w := s.Dequantize(m.W, m.Scales, m.biases(s, m.Scales, m.Biases), m.GroupSize, m.Bits, m.Mode, mlx.Array{}, x.Dtype())
		return s.GatherMM(x, s.SwapAxes(w, -1, -2), none, choice, sorted)
	case m.Quantized():
		return s.GatherQMM(x, m.W, m.Scales, m.biases(s, m.Scales, m.Biases), none, choice, true, m.GroupSize, m.Bits, m.Mode, sorted)
	}
	return s.GatherMM(x, m.transposed, none, choice, sorted)
}

// Experts are gated MLPs, of which each token uses a few.
type Experts struct {
	Gate, Up, Down Stacked // [experts, width, hidden], [experts, width, hidden], [experts, hidden, width]
	Act            mlx.Gate
}

// Bytes are those of all experts.
func (e *Experts) Bytes() int64 { return e.Gate.Bytes() + e.Up.Bytes() + e.Down.Bytes() }

// sortFrom is the number of token-expert pairs from which it pays on a GPU to bring those of one expert together, so that
// its weights are read once. The CPU device's kernels do it themselves.
const sortFrom = 64

// Forward is Σᵢ weightsᵢ · Down(act(Gate·x)·Up·x) over the experts chosen for each token: x [1, T, hidden], chosen int32 or
// uint32 [1, T, k], weights [1, T, k] in x's dtype → [1, T, hidden]. The weights enter before Down, where the rows are
// narrow; it is linear.
func (e *Experts) Forward(s *mlx.Scope, x, chosen, weights mlx.Array) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	shape, k := x.Shape(), chosen.Dim(-1)
	tokens, hidden := shape[0]*shape[1], shape[2]
	// One part for each token, which the choices [tokens, k] repeat.
	parts := s.Reshape(x, []int{tokens, 1, 1, hidden})
	chosen, weights = s.Reshape(chosen, []int{tokens, k}), s.Reshape(weights, []int{tokens, k, 1, 1})
	if s.Kernels() || tokens*k < sortFrom {
		y := e.each(s, parts, chosen, weights, false)
		return s.Reshape(s.SumAxis(y, 1, false), shape)
	}
	pairs := tokens * k
	chosen = s.Reshape(chosen, []int{pairs})
	order := s.ArgSortAxis(chosen, 0)
	token := s.Take(s.Repeat(s.Arange(0, float64(tokens), 1, mlx.Uint32), k, 0), order, 0)
	y := e.each(s, s.Take(s.Reshape(x, []int{tokens, 1, hidden}), token, 0), s.Take(chosen, order, 0),
		s.Take(s.Reshape(weights, []int{pairs, 1, 1}), order, 0), true)
	y = s.Take(y, s.ArgSortAxis(order, 0), 0) // back to the tokens' order
	return s.Reshape(s.SumAxis(s.Reshape(y, []int{tokens, k, hidden}), 1, false), shape)
}

// each is what every pair of a token and an expert adds: parts of x [..., 1, hidden] and choice [...] → [..., 1, hidden].
func (e *Experts) each(s *mlx.Scope, parts, choice, weights mlx.Array, sorted bool) mlx.Array {
	h := Activate(s, e.Act, e.Gate.Multiply(s, parts, choice, sorted), e.Up.Multiply(s, parts, choice, sorted))
	return e.Down.Multiply(s, s.Multiply(h, weights), choice, sorted)
}
