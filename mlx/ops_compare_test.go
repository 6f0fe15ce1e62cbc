package mlx

import (
	"bytes"
	"fmt"
	"math"
	"slices"
)

// compare applies the case's rule: shapes and dtypes equal, values equal but for floats' tolerance.
func (c *opCase) compare(s *Scope, in []Array, got, want Array) error {
	if c.Compare == "argpartition" { // the order within each part is free: compare what the indices point at
		if got.Dtype() != Uint32 {
			return fmt.Errorf("got %v, want uint32 indices", got)
		}
		got = s.TakeAlongAxis(in[0], got, c.Attrs.axis())
	}
	if err := s.Eval(got); err != nil {
		return err
	}
	if got.Dtype() != want.Dtype() || !slices.Equal(got.Shape(), want.Shape()) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	if !want.Dtype().IsFloat() {
		return compareBytes(s, got, want)
	}
	g, err := float64s(s, got)
	if err != nil {
		return err
	}
	w, err := float64s(s, want)
	if err != nil {
		return err
	}
	switch c.Compare {
	case "equal":
	case "sorted":
		sortLanes(g, want.Shape(), c.Attrs.axis(), 0)
	case "partition", "argpartition":
		sortLanes(g, want.Shape(), c.Attrs.axis(), get[int](c.Attrs, "kth"))
	default:
		return fmt.Errorf("unknown comparison %q", c.Compare)
	}
	return compareFloats(g, w, c.Tol)
}

func compareBytes(s *Scope, got, want Array) error {
	g, err := s.Bytes(got)
	if err != nil {
		return err
	}
	w, err := s.Bytes(want)
	if err != nil {
		return err
	}
	size := want.Dtype().Size()
	for i := 0; i < len(w); i += size {
		if !bytes.Equal(g[i:i+size], w[i:i+size]) {
			return fmt.Errorf("element %d of %v is % x, want % x (little-endian)", i/size, want, g[i:i+size], w[i:i+size])
		}
	}
	return nil
}

func compareFloats(got, want []float64, tol float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d values, want %d", len(got), len(want))
	}
	worst, at := 0.0, -1
	for i, w := range want {
		g := got[i]
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		off := math.Abs(g-w) / max(1, math.Abs(w))
		if math.IsNaN(off) || math.IsInf(w, 0) { // one is NaN or infinite and the other is not
			off = math.Inf(1)
		}
		if off > worst {
			worst, at = off, i
		}
	}
	if worst > tol {
		return fmt.Errorf("element %d of %d is %v, want %v: off by %.3g, tolerance %g", at, len(want), got[at], want[at], worst, tol)
	}
	return nil
}

// float64s reads any floating-point array without loss.
func float64s(s *Scope, a Array) ([]float64, error) {
	if a.Dtype() == Float64 {
		return Read[float64](s, a)
	}
	narrow, err := s.Float32s(a)
	if err != nil {
		return nil, err
	}
	wide := make([]float64, len(narrow))
	for i, v := range narrow {
		wide[i] = float64(v)
	}
	return wide, nil
}

// sortLanes sorts along the axis, the first kth elements and the rest apart.
func sortLanes(v []float64, shape []int, axis, kth int) {
	if axis < 0 {
		axis += len(shape)
	}
	n, inner := shape[axis], 1
	for _, d := range shape[axis+1:] {
		inner *= d
	}
	lane := make([]float64, n)
	for start := range v {
		if start/inner%n != 0 { // not the first element of a lane
			continue
		}
		for k := range lane {
			lane[k] = v[start+k*inner]
		}
		slices.Sort(lane[:kth])
		slices.Sort(lane[kth:])
		for k := range lane {
			v[start+k*inner] = lane[k]
		}
	}
}
