package nn

import (
	"reprise/kvcache/state"
	"reprise/mlx"
)

// Attention over quantized keys and values (state.Quantization). A decode step's one query multiplies them as they are
// kept; a prefill's many queries, whose scores would take more memory than the rows, get them unpacked, a layer at a time.

// quantized says whether kv keeps its rows so.
func quantized(kv state.KV) bool {
	g, ok := kv.(*state.GrowingKV)
	return ok && g.Quantization().On()
}

// appendPacked appends k and v [1, kvHeads, T, dim] to a quantized kv and attends with q [1, heads, T, dim]: [1, T, heads·dim].
func (a *Attention) appendPacked(s *mlx.Scope, q, k, v mlx.Array, kv state.KV, mask state.Mask) mlx.Array {
	keys, values := kv.(*state.GrowingKV).AppendPacked(s, k, v)
	if s.Err() != nil {
		return mlx.Array{}
	}
	if streamsPacked(s, q) {
		return attendPacked(s, q, keys, values, a.Scale)
	}
	return Attend(s, q, keys.Array(s), values.Array(s), a.Scale, mask)
}

// streamsPacked says whether q's rows attend to packed rows as they are. MLX's CUDA backend has no such product when the number of
// rows is odd for its tiles (seen with 0.32.2: 3,661 rows of 512, 8 bits): there they are unpacked for a decode step as well, which
// saves memory, not time.
func streamsPacked(s *mlx.Scope, q mlx.Array) bool {
	return s.Err() == nil && q.Dim(2) == 1 && !s.CUDA()
}

// attendPacked is one query's attention, q [1, heads, 1, dim], over all rows of keys and values [1, kvHeads, rows, dim], as
// products with packed matrices: [1, 1, heads·dim]. The query heads that share a KV head are the rows of one product. The
// softmax is float32, whatever the activations are.
func attendPacked(s *mlx.Scope, q mlx.Array, keys, values state.Packed, scale float32) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	heads, dim, kvHeads := q.Dim(1), q.Dim(3), keys.Words.Dim(1)
	q = s.Multiply(s.Reshape(q, []int{1, kvHeads, heads / kvHeads, dim}), s.Scalar(float64(scale), q.Dtype()))
	scores := s.QuantizedMatmul(q, keys.Words, keys.Scales, keys.Biases, true, keys.Group, keys.Bits, "affine")
	weights := s.SoftmaxAxis(scores, -1, true)
	y := s.QuantizedMatmul(weights, values.Words, values.Scales, values.Biases, false, values.Group, values.Bits, "affine")
	return s.Reshape(y, []int{1, 1, heads * dim})
}
