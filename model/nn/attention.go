package nn

import (
	"reprise/kvcache/state"
	"reprise/mlx"
)

// Attention is what a layer's attention is made of between its products.
type Attention struct {
	Heads, KVHeads      int
	QNorm, KNorm, VNorm *RMSNorm // nil: none
	RoPE                RoPE     // of queries and keys
	Scale               float32

	frequency mlx.Array // radians a position for each pair of rotated dims, for the kernels: Prepare
}

// Project is Forward of what q, k and v make of x [1, T, hidden] by norm, which may be nil; v nil: values are k's product.
func (a *Attention) Project(s *mlx.Scope, x mlx.Array, norm *RMSNorm, q, k, v *Linear, kv state.KV, mask state.Mask) mlx.Array {
	linears := []*Linear{q, k, v}
	if v == nil {
		linears = linears[:2]
	}
	if p := packed(linears); p != nil && oneRow(x) && a.placed(s, mask) {
		if norm != nil {
			x = norm.Forward(s, x)
		}
		y := p.whole.Multiply(s, x)
		h := heads{q: y, k: y, v: y, dim: p.outs[0] / a.Heads, kAt: p.outs[0], vAt: p.outs[0]}
		if v != nil {
			h.vAt += p.outs[1]
		}
		return a.forward(s, h, kv, mask)
	}
	parts := Project(s, x, norm, linears...)
	return a.Forward(s, parts[0], parts[1], parts[len(parts)-1], kv, mask)
}

// forward is Forward where the device has the kernels for heads.
func (a *Attention) forward(s *mlx.Scope, h heads, kv state.KV, mask state.Mask) mlx.Array {
	placed := a.place(s, h, mask.Place)
	if quantized(kv) {
		return a.appendPacked(s, placed[0], placed[1], placed[2], kv, mask)
	}
	keys, values := kv.Append(s, placed[1], placed[2])
	if a.attended(s, placed[0]) {
		return a.attend(s, placed[0], kv.Written(1), mask.Place)
	}
	return Attend(s, placed[0], keys, values, a.Scale, mask)
}

// Forward makes heads of q, k and v [1, T, heads·dim], appends keys and values to kv, and attends: [1, T, Heads·dim].
// Where the device has the kernels it is one op.
func (a *Attention) Forward(s *mlx.Scope, q, k, v mlx.Array, kv state.KV, mask state.Mask) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	at := kv.Offset()
	if !quantized(kv) && oneOp(s, q, mask) {
		T, dim := k.Dim(1), k.Dim(2)/a.KVHeads
		slot := kv.Open(s, [4]int{1, a.KVHeads, T, dim}, mlx.Float32)
		y, keys, values := s.LayerAttention(a.layer(slot, at, mask), q, k, v, slot.Keys, slot.Values)
		kv.Put(s, keys, values, T)
		return y
	}
	if a.placed(s, mask) {
		return a.forward(s, a.headsOf(q, k, v), kv, mask)
	}
	q = PlaceHeads(s, q, a.Heads, a.QNorm, &a.RoPE, at)
	k = PlaceHeads(s, k, a.KVHeads, a.KNorm, &a.RoPE, at)
	v = Heads(s, v, a.KVHeads)
	if a.VNorm != nil {
		v = a.VNorm.Forward(s, v)
	}
	v = HeadsFirst(s, v)
	if quantized(kv) {
		return a.appendPacked(s, q, k, v, kv, mask)
	}
	keys, values := kv.Append(s, k, v)
	return Attend(s, q, keys, values, a.Scale, mask)
}

// Shared are the keys and values that one layer appended in this call, for layers that attend to them and have none of
// their own.
type Shared struct {
	slot         state.Slot
	offset       int             // position of the call's first token
	keys, values mlx.Array       // what the queries see, where attention is not one op
	packed       [2]state.Packed // the same as it is kept, where it is quantized
}

// Share takes what kv got of the T tokens of this call. s must outlive the layers that attend to it.
func Share(s *mlx.Scope, kv state.KV, T int) Shared {
	if s.Err() != nil {
		return Shared{}
	}
	x := Shared{slot: kv.Written(T), offset: kv.Offset() - T}
	if quantized(kv) {
		x.packed[0], x.packed[1] = kv.(*state.GrowingKV).Packed(s)
		x.keys, x.values = x.packed[0].Array(s), x.packed[1].Array(s)
		return x
	}
	if shape := x.slot.Keys.Shape(); !s.Kernels() || x.slot.Keys.Dtype() != mlx.Float32 {
		from, to := []int{0, 0, x.slot.From, 0}, []int{1, shape[1], x.slot.At + T, shape[3]}
		x.keys, x.values = s.Slice(x.slot.Keys, from, to, []int{1, 1, 1, 1}), s.Slice(x.slot.Values, from, to, []int{1, 1, 1, 1})
	}
	return x
}

// ForwardShared is Forward of queries alone, at the same positions as the rows they share.
func (a *Attention) ForwardShared(s *mlx.Scope, q mlx.Array, x Shared, mask state.Mask) mlx.Array {
	if s.Err() != nil {
		return mlx.Array{}
	}
	if !x.quantized() && oneOp(s, q, mask) {
		y, _, _ := s.LayerAttention(a.layer(x.slot, x.offset, mask), q, mlx.Array{}, mlx.Array{}, x.slot.Keys, x.slot.Values)
		return y
	}
	if a.placed(s, mask) {
		if q = a.place(s, a.headsOf(q, mlx.Array{}, mlx.Array{}), mask.Place)[0]; a.attended(s, q) && !x.quantized() {
			return a.attend(s, q, x.slot, mask.Place)
		}
	} else {
		q = PlaceHeads(s, q, a.Heads, a.QNorm, &a.RoPE, x.offset)
	}
	if x.quantized() && streamsPacked(s, q) {
		return attendPacked(s, q, x.packed[0], x.packed[1], a.Scale)
	}
	return Attend(s, q, x.keys, x.values, a.Scale, mask)
}

func (x *Shared) quantized() bool { return x.packed[0].On() }

// oneOp says whether the device has an attention that writes the rows itself.
func oneOp(s *mlx.Scope, q mlx.Array, mask state.Mask) bool {
	return s.Kernels() && q.Dtype() == mlx.Float32 && mask.Mode != "array"
}

// layer is the attention of queries whose first is at position at.
func (a *Attention) layer(slot state.Slot, at int, mask state.Mask) mlx.LayerAttention {
	return mlx.LayerAttention{
		Heads: a.Heads, KVHeads: a.KVHeads, QNorm: (*mlx.Norm)(a.QNorm), KNorm: (*mlx.Norm)(a.KNorm), VNorm: (*mlx.Norm)(a.VNorm),
		Rotary: mlx.Rotary{Dims: a.RoPE.Dims, Base: a.RoPE.Base, Scale: a.RoPE.Scale, Wavelengths: a.RoPE.Freqs}, Offset: at,
		At: slot.At, From: slot.From, Scale: a.Scale, Window: mask.Window,
	}
}
