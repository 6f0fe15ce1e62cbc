package weights

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/hub"
	"reprise/model/nn"
)

// Options say how weights are held.
type Options struct {
	Dtype mlx.Dtype // activations; float weights are cast to it
	// AsFiled leaves matrices in the float type that the file has, scales and biases of packed ones too: the CPU
	// device's kernels take any, and a wider copy would cost memory and give the same numbers.
	AsFiled bool
	// Widen dequantizes packed matrices once, at load: the reference that packed products are compared with.
	Widen bool
	// KV is how growing layers keep their keys and values: no weights, but a model is built for one way.
	KV state.Quantization
	// Progress is told the bytes taken from the files so far, and in all.
	Progress func(done, total int64)
	// Parts, when given, is filled with what the weights hold in memory by hub's component names.
	Parts map[string]int64
}

// Store hands out a checkpoint's tensors. Errors stick: build the whole model, then ask Close.
type Store struct {
	Config *hub.Config
	opts   Options

	load    *mlx.Scope           // temporaries
	owner   *mlx.Scope           // what the model keeps
	tensors map[string]mlx.Array // lazy, not yet taken
	done    int64
	total   int64
	bytes   int64  // held by the owner
	part    string // the component of the tensor taken last
	dropped map[string]int64
	err     error
}

// Source makes the tensors of a checkpoint by name: arrays of the load's scope that are not evaluated yet, so that each
// takes memory only once it is taken.
type Source func(load *mlx.Scope) (map[string]mlx.Array, error)

// Files are the tensors of dir's safetensors files. Nothing is read yet but the headers.
func Files(dir string) Source {
	return func(load *mlx.Scope) (map[string]mlx.Array, error) {
		// hub checks the index and every header, and that no tensor stands in two files.
		listed, err := hub.ReadWeights(dir)
		if err != nil {
			return nil, err
		}
		all := map[string]mlx.Array{}
		for _, file := range listed.Files {
			tensors, _, err := load.Load(file)
			if err != nil {
				return nil, err
			}
			maps.Copy(all, tensors)
		}
		return all, nil
	}
}

// Open maps the tensors of dir's files. load is the scope of the call; owner, which lives as long as the model, gets
// the weights.
func Open(load, owner *mlx.Scope, dir string, cfg *hub.Config, opts Options) (*Store, error) {
	return OpenFrom(load, owner, Files(dir), cfg, opts)
}

// OpenFrom is Open with tensors from elsewhere.
func OpenFrom(load, owner *mlx.Scope, from Source, cfg *hub.Config, opts Options) (*Store, error) {
	tensors, err := from(load)
	if err != nil {
		return nil, err
	}
	st := &Store{Config: cfg, opts: opts, load: load, owner: owner, tensors: tensors}
	for _, a := range tensors {
		load.Keep(a)
		st.total += int64(a.Nbytes())
	}
	return st, nil
}

// Dtype is that of activations.
func (st *Store) Dtype() mlx.Dtype { return st.opts.Dtype }

// KV is how growing layers, whose heads have that many dims, keep keys and values.
func (st *Store) KV(dim int) (state.Quantization, error) {
	if err := st.opts.KV.Check(dim); err != nil {
		return state.Quantization{}, fmt.Errorf("%s: %w", st.Config.Path, err)
	}
	return st.opts.KV, nil
}

// Has says whether the checkpoint has the tensor and nobody took it yet.
func (st *Store) Has(name string) bool { return st.tensors[name].Valid() }

// Bytes is what the weights taken so far hold in memory.
func (st *Store) Bytes() int64 { return st.bytes }

// Rename gives tensors the names that the architecture asks for; an empty result drops the tensor.
func (st *Store) Rename(rule func(name string) string) {
	renamed := make(map[string]mlx.Array, len(st.tensors))
	for name, a := range st.tensors {
		to := rule(name)
		if to == "" {
			if st.dropped == nil {
				st.dropped = map[string]int64{}
			}
			st.dropped[partOf(name)] += int64(a.Nbytes())
			a.Free()
			continue
		}
		if renamed[to].Valid() {
			st.fail("two tensors of the checkpoint are %s, one of them under the name %s", to, name)
			a.Free()
			continue
		}
		renamed[to] = a
	}
	st.tensors = renamed
}

// Dropped are the bytes of the tensors that Rename dropped, by the first word of their names ("vision_tower").
func (st *Store) Dropped() map[string]int64 { return st.dropped }

// partOf is the first word of a tensor's name that says what it belongs to.
func partOf(name string) string {
	for _, outer := range []string{"language_model.", "model."} {
		name = strings.TrimPrefix(name, outer)
	}
	part, _, _ := strings.Cut(name, ".")
	return part
}

// Shape is the shape of a tensor that nobody took yet, nil when there is none: what tells one layout from another.
func (st *Store) Shape(name string) []int { return st.tensors[name].Shape() }

// Change puts what change makes of a tensor in its place, if it is there: nothing is read before it is taken.
func (st *Store) Change(name string, change func(s *mlx.Scope, a mlx.Array) mlx.Array) {
	a, ok := st.tensors[name]
	if !ok {
		return
	}
	delete(st.tensors, name)
	st.derive(func(s *mlx.Scope) { st.tensors[name] = s.Keep(change(s, a)) })
	a.Free()
}

// Tensor is a float tensor of the given shape, in the activations' dtype.
func (st *Store) Tensor(name string, shape ...int) mlx.Array {
	return st.Map(name, shape, func(s *mlx.Scope, a mlx.Array) mlx.Array { return a })
}

// dense is a float matrix, in the activations' dtype or, AsFiled, in the file's.
func (st *Store) dense(name string, shape ...int) mlx.Array {
	return st.float(name, shape, func(s *mlx.Scope, a mlx.Array) mlx.Array {
		if st.opts.AsFiled {
			return s.Copy(a)
		}
		return s.AsType(a, st.opts.Dtype)
	})
}

// Map is Tensor with a change made once, at load.
func (st *Store) Map(name string, shape []int, change func(*mlx.Scope, mlx.Array) mlx.Array) mlx.Array {
	return st.float(name, shape, func(s *mlx.Scope, a mlx.Array) mlx.Array { return change(s, s.AsType(a, st.opts.Dtype)) })
}

// Exact is a float tensor in float32 whatever the activations' dtype, with a change made once, at load, or nil.
func (st *Store) Exact(name string, shape []int, change func(*mlx.Scope, mlx.Array) mlx.Array) mlx.Array {
	return st.float(name, shape, func(s *mlx.Scope, a mlx.Array) mlx.Array {
		if a = s.AsType(a, mlx.Float32); change != nil {
			a = change(s, a)
		}
		return a
	})
}

// float takes a float tensor of that shape and keeps what make makes of it.
func (st *Store) float(name string, shape []int, make func(*mlx.Scope, mlx.Array) mlx.Array) mlx.Array {
	a := st.take(name)
	if !a.Valid() {
		return a
	}
	defer a.Free()
	if !slices.Equal(a.Shape(), shape) {
		st.fail("tensor %s has shape %v, the config wants %v", name, a.Shape(), shape)
		return mlx.Array{}
	}
	if !a.Dtype().IsFloat() {
		st.fail("tensor %s holds %v, not floats", name, a.Dtype())
		return mlx.Array{}
	}
	return st.keep(func(s *mlx.Scope) []mlx.Array { return []mlx.Array{make(s, a)} })[0]
}

// Matrix is the module at path: path.weight [out, in], packed when path.scales is there.
func (st *Store) Matrix(path string, out, in int) nn.Matrix {
	if !st.Has(path + ".scales") {
		return nn.NewMatrix(st.owner, nn.Matrix{W: st.dense(path+".weight", out, in)})
	}
	return nn.NewMatrix(st.owner, st.packed(path, out, in))
}

// packed is the quantized module at path as the options want it held; shape is the matrix's own, [out, in], behind the
// number of experts for a stack of them.
func (st *Store) packed(path string, shape ...int) nn.Matrix {
	w, scales := st.take(path+".weight"), st.take(path+".scales")
	var biases mlx.Array
	if st.Has(path + ".biases") {
		biases = st.take(path + ".biases")
	}
	defer func(taken ...mlx.Array) {
		for _, a := range taken {
			a.Free()
		}
	}(w, scales, biases)
	if st.err != nil {
		return nn.Matrix{}
	}
	spec, err := st.quantization(path, w, scales, biases, shape)
	if err != nil {
		st.fail("%v", err)
		return nn.Matrix{}
	}
	held := st.keep(func(s *mlx.Scope) []mlx.Array {
		switch {
		case spec.Mode == "affine" && st.opts.AsFiled && !st.opts.Widen:
			scales, biases = s.Copy(scales), st.uncentred(s, scales, biases, spec.Bits)
		case spec.Mode == "affine":
			// In the activations' dtype first: other scales would round a widened weight, and promote a product.
			scales, biases = s.AsType(scales, st.opts.Dtype), s.AsType(biases, st.opts.Dtype)
		default:
			scales, biases = s.Copy(scales), mlx.Array{}
		}
		if st.opts.Widen {
			return []mlx.Array{s.Dequantize(w, scales, biases, spec.GroupSize, spec.Bits, spec.Mode, mlx.Array{}, st.opts.Dtype)}
		}
		return present(s.Copy(w), scales, biases)
	})
	if st.opts.Widen {
		return nn.Matrix{W: held[0]}
	}
	m := nn.Matrix{W: held[0], Scales: held[1], GroupSize: spec.GroupSize, Bits: spec.Bits, Mode: spec.Mode}
	if len(held) > 2 {
		m.Biases = held[2]
	}
	return m
}

// uncentred is a copy of the biases, or none where they follow from the scales: less to hold and to read.
func (st *Store) uncentred(s *mlx.Scope, scales, biases mlx.Array, bits int) mlx.Array {
	centred, err := nn.Centred(s, scales, biases, bits)
	if err != nil {
		st.fail("%v", err)
	}
	if centred {
		return mlx.Array{}
	}
	return s.Copy(biases)
}

// quantization is the rule for a packed module of that shape, checked against its tensors' shapes: a wrong one would let a
// kernel read past the end.
func (st *Store) quantization(path string, w, scales, biases mlx.Array, shape []int) (hub.Spec, error) {
	if w.Ndim() != len(shape) || scales.Ndim() != len(shape) || w.Dtype() != mlx.Uint32 {
		return hub.Spec{}, fmt.Errorf("tensor %s.weight is %v with scales %v: packed, it is uint32 of rank %d", path, w, scales, len(shape))
	}
	spec, err := st.Config.Quantization.Fit(path, int64(w.Dim(-1)), int64(scales.Dim(-1)))
	if err != nil {
		return spec, err
	}
	inner := len(shape) - 1
	rows, in := shape[:inner], shape[inner]
	if !slices.Equal(w.Shape()[:inner], rows) || w.Dim(-1)*32 != in*spec.Bits || !slices.Equal(scales.Shape()[:inner], rows) || scales.Dim(-1)*spec.GroupSize != in {
		return spec, fmt.Errorf("tensor %s.weight %v with scales %v does not hold %v at %d bits in groups of %d", path, w, scales, shape, spec.Bits, spec.GroupSize)
	}
	if affine := spec.Mode == "affine"; affine != biases.Valid() {
		return spec, fmt.Errorf("module %s is quantized as %q, and tensor %s.biases is there: %v", path, spec.Mode, path, biases.Valid())
	} else if affine && !slices.Equal(biases.Shape(), scales.Shape()) {
		return spec, fmt.Errorf("tensor %s.biases %v does not match its scales %v", path, biases, scales)
	}
	return spec, nil
}

// Linear is the module at path, with its bias when the checkpoint has one.
func (st *Store) Linear(path string, in, out int) nn.Linear {
	l := nn.Linear{Matrix: st.Matrix(path, out, in)}
	if st.Has(path + ".bias") {
		l.Bias = st.Tensor(path+".bias", out)
	}
	return l
}

// Embedding is the module at path.
func (st *Store) Embedding(path string, vocab, width int) nn.Embedding {
	return nn.Embedding{Matrix: st.Matrix(path, vocab, width), Dtype: st.opts.Dtype}
}

// Pack lays linears that share their input one below the other, where the device gains by it (nn.Pack).
func (st *Store) Pack(linears ...*nn.Linear) {
	if st.err == nil {
		nn.Pack(st.owner, linears...)
	}
}

// Close reports the first error. Tensors that nobody took are an error too, by name: a forward pass that leaves
// weights out is not the model's.
func (st *Store) Close() error {
	var left []string
	for name := range st.tensors {
		left = append(left, name)
	}
	st.Discard()
	if st.err == nil && len(left) > 0 {
		slices.Sort(left)
		n := len(left)
		if n > 4 {
			left = append(left[:4], "…")
		}
		st.fail("%d tensors of the checkpoint have no place in this architecture: %s", n, strings.Join(left, ", "))
	}
	return st.err
}

// Discard lets go of the tensors that nobody took; a Store whose model failed to build owes it.
func (st *Store) Discard() {
	for _, a := range st.tensors {
		a.Free()
	}
	clear(st.tensors)
}

func (st *Store) fail(format string, args ...any) {
	if st.err == nil {
		st.err = fmt.Errorf(format, args...)
	}
}

func present(arrays ...mlx.Array) []mlx.Array {
	return slices.DeleteFunc(arrays, func(a mlx.Array) bool { return !a.Valid() })
}

// take hands a lazy tensor over; the caller frees it.
func (st *Store) take(name string) mlx.Array {
	a, ok := st.tensors[name]
	if !ok {
		st.fail("tensor %s is missing from the checkpoint", name)
		return mlx.Array{}
	}
	delete(st.tensors, name)
	st.part = hub.ComponentOf(name)
	st.done += int64(a.Nbytes())
	return a
}

// keep evaluates what make builds and moves it to the owner; the zero Array where that failed.
func (st *Store) keep(build func(s *mlx.Scope) []mlx.Array) []mlx.Array {
	s := st.load.Child()
	defer s.Close()
	out := build(s)
	if st.err != nil {
		return make([]mlx.Array, len(out))
	}
	if err := s.Eval(out...); err != nil {
		st.fail("%v", err)
		return make([]mlx.Array, len(out))
	}
	if s.Kernels() {
		s.SettleWeights(out...)
	}
	for i, a := range out {
		st.bytes += int64(a.Nbytes())
		if st.opts.Parts != nil {
			st.opts.Parts[st.part] += int64(a.Nbytes())
		}
		out[i] = st.owner.Adopt(s.Keep(a))
	}
	if st.opts.Progress != nil {
		st.opts.Progress(st.done, st.total)
	}
	return out
}
