package nn

import "reprise/mlx"

// Matrix is a weight [out, in], dense or quantized.
type Matrix struct {
	W mlx.Array // dense: [out, in]; quantized: packed uint32 [out, in*bits/32]
	// Scales is valid for a quantized matrix; Biases only in affine mode, and there not for a centred matrix, whose
	// biases are −2^(Bits−1) times the scales.
	Scales, Biases  mlx.Array
	GroupSize, Bits int
	Mode            string // "affine", "mxfp4", "nvfp4"
	transposed      mlx.Array
	stream          stream
}

// NewMatrix prepares a matrix in the scope that owns the weights.
func NewMatrix(owner *mlx.Scope, m Matrix) Matrix {
	if !m.Quantized() {
		m.transposed = owner.Transpose(m.W, []int{1, 0}) // a view: made once instead of once a step
	} else if m.stream = m.asStream(); m.stream.rows > 0 {
		verifyMatvec(owner, m.W.Dim(1)*8, m.GroupSize, m.stream.dtype, mlx.NoGate)
	}
	return m
}

// Quantized says whether the matrix is held packed.
func (m *Matrix) Quantized() bool { return m.Scales.Valid() }

// Bytes are what its arrays hold.
func (m *Matrix) Bytes() int64 {
	var n int64
	for _, a := range []mlx.Array{m.W, m.Scales, m.Biases} {
		if a.Valid() {
			n += int64(a.Nbytes())
		}
	}
	return n
}

// packed is the matrix as the CPU device's kernels take it.
func (m *Matrix) packed() mlx.Packed {
	return mlx.Packed{W: m.W, Scales: m.Scales, Biases: m.Biases, GroupSize: m.GroupSize, Bits: m.Bits, Mode: m.Mode}
}

// Centred says whether biases are those of a centred matrix of that many bits. It evaluates.
func Centred(s *mlx.Scope, scales, biases mlx.Array, bits int) (bool, error) {
	child := s.Child()
	defer child.Close()
	differ := child.NotEqual(biases, child.Multiply(scales, child.Scalar(-float64(int(1)<<(bits-1)), scales.Dtype())))
	n, err := child.Int(child.MaxAxis(child.AsType(child.Flatten(differ, 0, -1), mlx.Int32), 0, false))
	return n == 0, err
}

// biases are the given ones, or a centred matrix's.
func (m *Matrix) biases(s *mlx.Scope, scales, biases mlx.Array) mlx.Array {
	if m.Mode != "affine" || biases.Valid() {
		return biases
	}
	return s.Multiply(scales, s.Scalar(-float64(int(1)<<(m.Bits-1)), scales.Dtype()))
}

// Multiply is x·Wᵀ: [..., in] → [..., out].
func (m *Matrix) Multiply(s *mlx.Scope, x mlx.Array) mlx.Array {
	switch {
	case s.Kernels():
		return s.Product(x, m.packed())
	case m.Quantized() && m.streams(s, x):
		return m.matvec(s, x, epilogue{})
	case m.Quantized():
		return s.QuantizedMatmul(x, m.W, m.Scales, m.biases(s, m.Scales, m.Biases), true, m.GroupSize, m.Bits, m.Mode)
	}
	return s.Matmul(x, m.transposed)
}

// Rows are the rows that ids name: int32 [...] → [..., in].
func (m *Matrix) Rows(s *mlx.Scope, ids mlx.Array, dtype mlx.Dtype) mlx.Array {
	if !m.Quantized() {
		return s.AsType(s.Take(m.W, ids, 0), dtype)
	}
	scales, biases := s.Take(m.Scales, ids, 0), m.Biases
	if biases.Valid() {
		biases = s.AsType(s.Take(biases, ids, 0), dtype)
	}
	if m.Mode == "affine" { // in dtype first, because MLX computes in the scales' own
		scales = s.AsType(scales, dtype)
		biases = m.biases(s, scales, biases)
	}
	return s.Dequantize(s.Take(m.W, ids, 0), scales, biases, m.GroupSize, m.Bits, m.Mode, mlx.Array{}, dtype)
}

// Linear is x·Wᵀ + bias.
type Linear struct {
	Matrix
	Bias mlx.Array // [out], often none
	pack *pack     // what it is a part of, or nil
	part int       // which
}

// Forward maps [1, T, in] to [1, T, out].
func (l *Linear) Forward(s *mlx.Scope, x mlx.Array) mlx.Array {
	y := l.Multiply(s, x)
	if l.Bias.Valid() {
		y = s.Add(y, l.Bias)
	}
	return y
}

// Embedding is a table [vocab, width], which a tied head also multiplies by.
type Embedding struct {
	Matrix
	Dtype mlx.Dtype
	Scale float32 // of every row, in Dtype; 0 is 1
}

// Forward looks ids up: int32 [1, T] → [1, T, width].
func (e *Embedding) Forward(s *mlx.Scope, ids mlx.Array) mlx.Array {
	scale := e.Scale
	if scale == 0 {
		scale = 1
	}
	if s.Kernels() && e.Dtype == mlx.Float32 {
		return s.Rows(ids, e.packed(), scale)
	}
	x := e.Rows(s, ids, e.Dtype)
	if scale != 1 {
		x = s.Multiply(x, s.Scalar(float64(scale), e.Dtype))
	}
	return x
}
