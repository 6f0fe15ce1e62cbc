package qwen35

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// BenchmarkDeltaNet times the best device's ways through a delta net between its projections: with its kernels, with
// plain ops in chunks, and, for a few tokens, with plain ops one by one. On a GPU with the heads of Qwen3.6-27B.
func BenchmarkDeltaNet(b *testing.B) {
	device, keyHeads, heads := mlx.BestDevice(), 4, 8
	dtype := mlx.Float32
	if device == mlx.GPU {
		keyHeads, heads, dtype = 16, 48, mlx.BFloat16
	}
	const dim = 128
	for _, T := range []int{1, 4, 16, 64, 512, 2048} {
		for _, way := range []string{"kernels", "chunked", "plain"} {
			if way == "plain" && T > 64 {
				continue
			}
			b.Run(fmt.Sprintf("%v/%d tokens/%s", device, T, way), func(b *testing.B) {
				mlxtest.OnWorkerWith(b, device, mlx.Options{}, func(s *mlx.Scope) error {
					d := someDeltaNet(s, rand.New(rand.NewPCG(1, 1)), keyHeads, heads, dim, dim)
					mix := d.mixBy(way)
					if way == "kernels" {
						d.verify(s, dtype)
						if mix = d.mixInParts; d.use.whole {
							mix = d.mixWhole
						}
					}
					of := func(shape ...int) mlx.Array { return s.AsType(s.Wave(0.3, shape...), dtype) }
					inputs, z, rates := of(1, d.width-1+T, (2*keyHeads+heads)*dim), of(1, T, heads*dim), of(1, T, heads)
					matrix := s.Wave(0.2, 1, heads, dim, dim)
					if err := s.Eval(inputs, z, rates, matrix); err != nil {
						return err
					}
					for b.Loop() {
						inner := s.Child()
						y, last, _ := mix(inner, inputs, z, rates, rates, matrix, nil)
						if err := inner.Eval(y, last); err != nil {
							return err
						}
						inner.Close()
					}
					return nil
				})
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*T)/1000, "µs/token")
			})
		}
	}
}

// mixBy is plain ops with that form of the recurrence.
func (d *deltaNet) mixBy(way string) mixer {
	by := form((*tokens).chunked)
	if way == "plain" {
		by = (*tokens).plain
	}
	return func(s *mlx.Scope, inputs, z, b, a, matrix mlx.Array, captures []int) (y, last mlx.Array, captured []mlx.Array) {
		x := d.prepare(s, inputs, b, a)
		y, last, captured = by(&x, s, matrix, captures)
		return d.finish(s, y, z), last, captured
	}
}
