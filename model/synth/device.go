package synth

import (
	"fmt"
	"hash/fnv"
	"math"

	"reprise/mlx"
	"reprise/model/hub"
	"reprise/model/hub/layout"
	"reprise/model/weights"
)

// Source makes up the tensors of a checkpoint of c on the worker's device, each when it is taken. The same seed gives
// the same weights on every device.
func Source(c *hub.Config, seed uint64) weights.Source {
	return func(load *mlx.Scope) (map[string]mlx.Array, error) {
		l, err := layout.Of(c)
		if err != nil {
			return nil, err
		}
		all := map[string]mlx.Array{}
		for _, t := range l.Tensors {
			s := load.Child()
			made, err := makeUp(s, c, l, t, seed)
			if err != nil {
				s.Close()
				return nil, fmt.Errorf("%s: %w", t.Name, err)
			}
			for name, a := range made {
				all[name] = load.Adopt(s.Keep(a))
			}
			s.Close()
		}
		return all, load.Err()
	}
}

// makeUp builds the tensors that t is stored as; nothing is evaluated.
func makeUp(s *mlx.Scope, c *hub.Config, l *layout.Layout, t layout.Tensor, seed uint64) (map[string]mlx.Array, error) {
	v := valuesOf(l, t)
	specs := layout.Stored(c, t)
	if len(specs) == 1 {
		made := floats(s, v, dims(t.Shape), mlx.FloatOf(specs[0].DType), key(s, t.Name, seed))
		return map[string]mlx.Array{t.Name: made}, s.Err()
	}
	rule, _ := layout.Rule(c, t)
	p, err := packedOf(v, rule)
	if err != nil {
		return nil, err
	}
	made := map[string]mlx.Array{t.Name: s.RandomBits(dims(specs[0].Shape), 4, key(s, t.Name, seed))}
	shape, scalesKey := dims(specs[1].Shape), key(s, specs[1].Name, seed)
	if rule.Mode != "affine" {
		chosen := s.Less(s.RandomUniform(s.Scalar(0, mlx.Float32), s.Scalar(1, mlx.Float32), shape, mlx.Float32, scalesKey), s.Scalar(p.share, mlx.Float32))
		made[specs[1].Name] = s.Add(s.AsType(chosen, mlx.Uint8), s.Scalar(float64(p.low), mlx.Uint8))
		return made, s.Err()
	}
	dtype := mlx.FloatOf(specs[1].DType)
	scales := s.AsType(s.RandomUniform(s.Scalar(0.9*p.scale, mlx.Float32), s.Scalar(1.1*p.scale, mlx.Float32), shape, mlx.Float32, scalesKey), dtype)
	made[specs[1].Name] = scales
	made[specs[2].Name] = s.Multiply(scales, s.Scalar(p.offset, dtype))
	return made, s.Err()
}

func floats(s *mlx.Scope, v values, shape []int, dtype mlx.Dtype, key mlx.Array) mlx.Array {
	if !v.uniform {
		return s.RandomNormal(shape, dtype, float32(v.mean), float32(v.std), key)
	}
	a := s.RandomUniform(s.Scalar(v.low, mlx.Float32), s.Scalar(v.high, mlx.Float32), shape, mlx.Float32, key)
	if v.log {
		a = s.Log(a)
	}
	return s.AsType(a, dtype)
}

// key is a tensor's own.
func key(s *mlx.Scope, name string, seed uint64) mlx.Array { return s.Key(stream(name, seed)) }

// stream mixes a tensor's name into the seed.
func stream(name string, seed uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", seed, name)
	return h.Sum64()
}

func dims(shape []int64) []int {
	out := make([]int, len(shape))
	for i, d := range shape {
		out[i] = int(min(d, math.MaxInt32))
	}
	return out
}
