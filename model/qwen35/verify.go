package qwen35

import (
	"fmt"

	"reprise/mlx"
	"reprise/model/hub"
	"reprise/model/nn"
)

// verified says which kernels are used: three on a GPU, or one on the CPU device. A kernel that is off has plain ops in
// its place.
type verified struct{ prepare, recurrence, finish, whole bool }

// float32Tolerance is of a result's largest value: a hundred times what was measured. Another dtype's is its last step.
const float32Tolerance = 1e-5

// CheckKernels compares the kernels that a model of this config would use on the scope's device with their plain ops;
// mlx.Worker.KernelChecks has what came of it. It needs no weights: loading a model does the same.
func CheckKernels(s *mlx.Scope, c *hub.Config, dtype mlx.Dtype) error {
	cfg, err := parseConfig(c)
	if err != nil {
		return err
	}
	likeDeltaNet(s, &cfg).verify(s, dtype)
	return s.Err()
}

// verifyKernels compares the kernels of the delta nets with their plain ops, once: the layers are alike.
func (m *Model) verifyKernels(dtype mlx.Dtype) {
	work := m.owner.Child()
	defer work.Close()
	like := likeDeltaNet(work, &m.cfg)
	like.verify(m.owner, dtype)
	m.owner.Fail(work.Err())
	for i := range m.layers {
		if d := m.layers[i].delta; d != nil {
			d.use, d.eps = like.use, like.eps
		}
	}
}

// likeDeltaNet is a delta net of that shape with made-up weights and without projections.
func likeDeltaNet(s *mlx.Scope, cfg *Config) *deltaNet {
	d := &deltaNet{keyHeads: cfg.KeyHeads, valueHeads: cfg.ValueHeads, keyDim: cfg.KeyDim, valueDim: cfg.ValueDim, width: cfg.ConvWidth}
	d.conv = s.Wave(0.83, d.width, cfg.convChannels())
	d.decay, d.dtBias = s.Negative(s.Exp(s.Wave(0.41, d.valueHeads))), s.Wave(0.59, d.valueHeads)
	d.norm = nn.RMSNorm{W: s.Wave(0.67, d.valueDim), Eps: cfg.NormEps}
	return d
}

// trial is what kernels and plain ops are compared on: made-up tokens, a capture among them.
type trial struct {
	d                       *deltaNet
	inputs, z, b, a, matrix mlx.Array
	x                       tokens
	captures                []int
	dtype                   mlx.Dtype
}

func (d *deltaNet) trial(s *mlx.Scope, dtype mlx.Dtype) *trial {
	const T = 3 // plain ops take them one by one
	t := &trial{d: d, captures: []int{2}, dtype: dtype, matrix: s.Wave(0.19, 1, d.valueHeads, d.valueDim, d.keyDim)}
	t.inputs = s.AsType(s.Wave(0.37, 1, d.width-1+T, 2*d.keyHeads*d.keyDim+d.valueHeads*d.valueDim), dtype)
	t.z = s.AsType(s.Wave(0.53, 1, T, d.valueHeads*d.valueDim), dtype)
	t.b, t.a = s.AsType(s.Wave(0.71, 1, T, d.valueHeads), dtype), s.AsType(s.Wave(1.3, 1, T, d.valueHeads), dtype)
	t.x = d.prepare(s, t.inputs, t.b, t.a)
	return t
}

// verify compares each kernel that the device would use with its plain ops, and notes in the net which are used.
func (d *deltaNet) verify(owner *mlx.Scope, dtype mlx.Dtype) {
	if owner.Err() != nil || !owner.CustomKernels() && !owner.Kernels() {
		return
	}
	s := owner.Child()
	defer s.Close()
	t := d.trial(s, dtype)
	if owner.CustomKernels() {
		d.eps = mlx.New(owner, []float32{d.norm.Eps}, 1)
		d.use = verified{
			prepare:    t.same(s, "preparation", mlx.Float32, t.prepared(d.prepareFused), t.prepared(d.prepare)),
			recurrence: t.same(s, "recurrence", mlx.Float32, t.fed((*tokens).fused), t.fed((*tokens).plain)),
			finish:     t.same(s, "end", dtype, t.finished(d.finishFused), t.finished(d.finish)),
		}
	} else {
		d.use = verified{whole: t.same(s, "all of it", dtype, t.mixed(d.mixWhole), t.mixed(d.mixInParts))}
	}
	owner.Fail(s.Err())
}

// arrays is one side of a comparison.
type arrays = func(s *mlx.Scope) []mlx.Array

func (t *trial) same(s *mlx.Scope, part string, result mlx.Dtype, kernel, twin arrays) bool {
	name := fmt.Sprintf("gated delta net, %s: %d key heads of %d, %d value heads of %d, %v",
		part, t.d.keyHeads, t.d.keyDim, t.d.valueHeads, t.d.valueDim, t.dtype)
	tolerance := float32Tolerance
	if result != mlx.Float32 {
		tolerance = 1.0 / 128
	}
	return s.Verify(name, tolerance, kernel, twin)
}

func (t *trial) prepared(prepare func(s *mlx.Scope, inputs, b, a mlx.Array) tokens) arrays {
	return func(s *mlx.Scope) []mlx.Array {
		x := prepare(s, t.inputs, t.b, t.a)
		return []mlx.Array{x.q, x.k, x.v, x.decay, x.correct}
	}
}

func (t *trial) fed(by form) arrays {
	return func(s *mlx.Scope) []mlx.Array {
		y, last, captured := by(&t.x, s, t.matrix, t.captures)
		return append(captured, y, last)
	}
}

func (t *trial) finished(finish func(s *mlx.Scope, y, z mlx.Array) mlx.Array) arrays {
	return func(s *mlx.Scope) []mlx.Array { return []mlx.Array{finish(s, t.x.v, t.z)} }
}

func (t *trial) mixed(mix mixer) arrays {
	return func(s *mlx.Scope) []mlx.Array {
		y, last, captured := mix(s, t.inputs, t.z, t.b, t.a, t.matrix, t.captures)
		return append(captured, y, last)
	}
}
