package weights

import (
	"fmt"
	"strings"

	"reprise/mlx"
	"reprise/model/nn"
)

// suffixes are a module's tensors; a dense one has the first alone.
var suffixes = []string{".weight", ".scales", ".biases"}

// Stacked is the module at path, DIR.NAME, with a matrix [out, in] for each expert: path.weight [experts, out, in], packed
// when path.scales is there. It is also found as
//
//   - DIR.gate_up_proj, [experts, 2·out, in], for the names gate_proj, its first half, and up_proj, its second;
//   - DIR.0.NAME, DIR.1.NAME, …, [out, in] each: as raw checkpoints have them.
//
// Either becomes row-contiguous arrays of its own, once, at load.
func (st *Store) Stacked(path string, experts, out, in int) nn.Stacked {
	dir, name, _ := cutLast(path, ".")
	switch fused := dir + ".gate_up_proj"; {
	case st.Has(path + ".weight"):
	case st.Has(fused+".weight") && (name == "gate_proj" || name == "up_proj"):
		st.halve(fused, dir+".gate_proj", dir+".up_proj", experts, 2*out)
	case st.Has(dir + ".0." + name + ".weight"):
		st.stack(path, experts, func(e int) string { return fmt.Sprintf("%s.%d.%s", dir, e, name) })
	}
	if !st.Has(path + ".scales") {
		return nn.NewStacked(st.owner, nn.Matrix{W: st.dense(path+".weight", experts, out, in)})
	}
	return nn.NewStacked(st.owner, st.packed(path, experts, out, in))
}

// halve puts the halves of the rows of a fused stack in its place. Nothing is read yet; the fused tensor is held until both
// are taken.
func (st *Store) halve(fused, first, second string, experts, rows int) {
	for _, suffix := range suffixes {
		name := fused + suffix
		if !st.Has(name) {
			continue
		}
		a := st.tensors[name]
		delete(st.tensors, name)
		shape := a.Shape()
		if len(shape) != 3 || shape[0] != experts || shape[1] != rows {
			st.fail("tensor %s has shape %v, the config wants [%d %d …]", name, shape, experts, rows)
			a.Free()
			return
		}
		st.derive(func(s *mlx.Scope) {
			for i, to := range []string{first, second} {
				half := s.Slice(a, []int{0, i * rows / 2, 0}, []int{experts, (i + 1) * rows / 2, shape[2]}, []int{1, 1, 1})
				st.tensors[to+suffix] = s.Keep(s.Contiguous(half, false)) // gathered products read rows one after the other
			}
		})
		a.Free()
	}
}

// stack puts one tensor in the place of those of the experts, each at one(e).
func (st *Store) stack(path string, experts int, one func(e int) string) {
	for _, suffix := range suffixes {
		if !st.Has(one(0) + suffix) {
			continue
		}
		parts := make([]mlx.Array, 0, experts)
		for e := range experts {
			name := one(e) + suffix
			a := st.tensors[name]
			delete(st.tensors, name)
			switch {
			case !a.Valid():
				st.fail("tensor %s is missing from the checkpoint", name)
			case e > 0 && a.String() != parts[0].String():
				st.fail("tensor %s is %v, expert 0's is %v", name, a, parts[0])
			}
			if parts = append(parts, a); st.err != nil {
				break
			}
		}
		if st.err == nil {
			st.derive(func(s *mlx.Scope) { st.tensors[path+suffix] = s.Keep(s.Stack(parts, 0)) })
		}
		for _, a := range parts {
			a.Free()
		}
	}
}

// derive lets make put lazy tensors into the store, in a scope of their own.
func (st *Store) derive(make func(s *mlx.Scope)) {
	s := st.load.Child()
	defer s.Close()
	make(s)
	if err := s.Err(); err != nil {
		st.fail("%v", err)
	}
}

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
