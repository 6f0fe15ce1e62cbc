package qwen35

import (
	"math"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/nn"
	"reprise/model/weights"
)

// deltaNet is a gated delta net: a short causal convolution over queries, keys and values, and a matrix for each value
// head that every token decays, corrects and reads.
type deltaNet struct {
	qkv, z, b, a nn.Linear // b: how much to correct, a: how much to keep
	out          nn.Linear

	conv   mlx.Array  // float32 [width, channels]; the last row is the token's own
	decay  mlx.Array  // -exp(A_log), float32 [value heads]
	dtBias mlx.Array  // float32 [value heads]
	norm   nn.RMSNorm // of each value head's output, float32

	keyHeads, valueHeads, keyDim, valueDim, width int

	use verified  // which kernels
	eps mlx.Array // the norm's, for them: float32 [1]
}

func buildDeltaNet(st *weights.Store, cfg *Config, path string) *deltaNet {
	channels, values := cfg.convChannels(), cfg.ValueHeads*cfg.ValueDim
	d := &deltaNet{
		qkv: st.Linear(path+"in_proj_qkv", cfg.Hidden, channels),
		z:   st.Linear(path+"in_proj_z", cfg.Hidden, values),
		b:   st.Linear(path+"in_proj_b", cfg.Hidden, cfg.ValueHeads),
		a:   st.Linear(path+"in_proj_a", cfg.Hidden, cfg.ValueHeads),
		out: st.Linear(path+"out_proj", values, cfg.Hidden),

		conv: st.Exact(path+"conv1d.weight", []int{channels, cfg.ConvWidth, 1}, func(s *mlx.Scope, w mlx.Array) mlx.Array {
			return s.Contiguous(s.Transpose(s.SqueezeAxis(w, 2), []int{1, 0}), false)
		}),
		decay: st.Exact(path+"A_log", []int{cfg.ValueHeads}, func(s *mlx.Scope, a mlx.Array) mlx.Array {
			return s.Negative(s.Exp(a))
		}),
		dtBias: st.Exact(path+"dt_bias", []int{cfg.ValueHeads}, nil),
		norm:   nn.RMSNorm{W: st.Exact(path+"norm.weight", []int{cfg.ValueDim}, nil), Eps: cfg.NormEps},

		keyHeads: cfg.KeyHeads, valueHeads: cfg.ValueHeads, keyDim: cfg.KeyDim, valueDim: cfg.ValueDim, width: cfg.ConvWidth,
	}
	st.Pack(&d.qkv, &d.z, &d.b, &d.a)
	return d
}

// forward is x [1, T, hidden] with the net's answer to norm(x) added. From the convolution to the norm all is float32.
func (d *deltaNet) forward(s *mlx.Scope, rows nn.Rows, norm, next *nn.RMSNorm, r *state.Recurrence) nn.Rows {
	x, norm := rows.For(norm)
	in := nn.Project(s, x, norm, &d.qkv, &d.z, &d.b, &d.a)
	if s.Err() != nil {
		return nn.Rows{}
	}
	T := x.Dim(1)
	tail, matrix := r.Load(s, [3]int{1, d.width - 1, in[0].Dim(2)}, x.Dtype(), [4]int{1, d.valueHeads, d.valueDim, d.keyDim})
	inputs := s.Concatenate([]mlx.Array{tail, in[0]}, 1)
	mix := d.mixInParts
	if d.use.whole {
		mix = d.mixWhole
	}
	y, matrix, captured := mix(s, inputs, in[1], in[2], in[3], matrix, r.Captures(T))
	r.Store(s, T, inputs, matrix, captured)
	return nn.ProjectOntoFor(s, rows.X, y, &d.out, nil, mlx.Array{}, next)
}

// mixer is what stands between the projections: the convolution's inputs [1, width-1+T, channels], z [1, T, value
// heads·valueDim], b and a [1, T, value heads] → [1, T, value heads·valueDim], and the matrices as a form gives them.
type mixer func(s *mlx.Scope, inputs, z, b, a, matrix mlx.Array, captures []int) (y, last mlx.Array, captured []mlx.Array)

// mixWhole is the CPU device's kernel.
func (d *deltaNet) mixWhole(s *mlx.Scope, inputs, z, b, a, matrix mlx.Array, captures []int) (y, last mlx.Array, captured []mlx.Array) {
	if s.Err() != nil {
		return
	}
	atEnd := len(captures) > 0 && captures[len(captures)-1] == z.Dim(1)
	if atEnd { // the last matrix itself: the state copies it
		captures = captures[:len(captures)-1]
	}
	y, last, captured = s.DeltaNet(mlx.DeltaNet{
		KeyHeads: d.keyHeads, ValueHeads: d.valueHeads, KeyDim: d.keyDim, ValueDim: d.valueDim, ConvWidth: d.width,
		Taps: d.conv, Rate: d.decay, Bias: d.dtBias, Norm: mlx.Norm(d.norm),
	}, inputs, a, b, z, matrix, captures)
	if atEnd {
		captured = append(captured, last)
	}
	return y, last, captured
}

// mixInParts takes a GPU's kernel for each part, and plain ops where there is none or it is off: for the recurrence token
// by token for a few tokens, in chunks for more.
func (d *deltaNet) mixInParts(s *mlx.Scope, inputs, z, b, a, matrix mlx.Array, captures []int) (y, last mlx.Array, captured []mlx.Array) {
	if s.Err() != nil {
		return
	}
	prepare, recur, finish := d.prepare, form((*tokens).plain), d.finish
	if z.Dim(1) >= chunkedFrom {
		recur = (*tokens).chunked
	}
	if d.use.prepare {
		prepare = d.prepareFused
	}
	if d.use.recurrence {
		recur = (*tokens).fused
	}
	if d.use.finish {
		finish = d.finishFused
	}
	steps := prepare(s, inputs, b, a)
	y, last, captured = recur(&steps, s, matrix, captures)
	return finish(s, y, z), last, captured
}

// prepare makes tokens of the convolution's inputs [1, width-1+T, channels] and the rates' projections b and a
// [1, T, value heads].
func (d *deltaNet) prepare(s *mlx.Scope, inputs, b, a mlx.Array) tokens {
	if s.Err() != nil {
		return tokens{}
	}
	q, k, v := d.heads(s, d.convolve(s, inputs, b.Dim(1)))
	return tokens{
		q: q, k: k, v: v,
		decay:   s.Multiply(d.decay, nn.Softplus(s, s.Add(float32s(s, a), d.dtBias))),
		correct: s.Sigmoid(float32s(s, b)),
	}
}

// finish is the norm of each head of y [1, T, value heads, valueDim] times SiLU(z), z [1, T, value heads·valueDim], in
// z's shape and dtype.
func (d *deltaNet) finish(s *mlx.Scope, y, z mlx.Array) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	y = s.Multiply(d.norm.Forward(s, y), nn.SiLU(s, float32s(s, nn.Heads(s, z, d.valueHeads))))
	return s.AsType(s.Flatten(y, 2, 3), z.Dtype())
}

// convolve is the depthwise convolution over time of inputs [1, width-1+T, channels], and SiLU: float32 [1, T, channels].
func (d *deltaNet) convolve(s *mlx.Scope, inputs mlx.Array, T int) mlx.Array {
	channels := inputs.Dim(2)
	sum := s.Scalar(0, mlx.Float32)
	for i := range d.width {
		tap := s.Slice(d.conv, []int{i, 0}, []int{i + 1, channels}, []int{1, 1})
		earlier := s.Slice(inputs, []int{0, i, 0}, []int{1, i + T, channels}, []int{1, 1, 1})
		sum = s.Add(sum, s.Multiply(float32s(s, earlier), tap))
	}
	return nn.SiLU(s, sum)
}

// heads splits the channels into queries and keys [1, T, key heads, dim] and values [1, T, value heads, dim]. Queries
// and keys are made unit vectors, queries are scaled by keyDim^-½ too.
func (d *deltaNet) heads(s *mlx.Scope, x mlx.Array) (q, k, v mlx.Array) {
	keys := d.keyHeads * d.keyDim
	parts := s.SplitSections(x, []int{keys, 2 * keys}, -1)
	if s.Err() != nil {
		return
	}
	// The eps of 1e-6 is on the sum of squares, an RMS norm's on their mean.
	unit := nn.RMSNorm{Eps: float32(1e-6 / float64(d.keyDim))}
	of := func(x mlx.Array, scale float64) mlx.Array {
		return s.Multiply(unit.Forward(s, nn.Heads(s, x, d.keyHeads)), s.Scalar(scale, mlx.Float32))
	}
	q = of(parts[0], 1/float64(d.keyDim))
	k = of(parts[1], math.Pow(float64(d.keyDim), -0.5))
	return q, k, nn.Heads(s, parts[2], d.valueHeads)
}

func float32s(s *mlx.Scope, x mlx.Array) mlx.Array { return s.AsType(x, mlx.Float32) }
