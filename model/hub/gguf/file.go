package gguf

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

const (
	magic            = "GGUF"
	defaultAlignment = 32
)

// Tensor is one entry of the tensor table.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []int64 // outermost dimension first, the reverse of the file's order
	Offset int64   // of the data, in bytes from the start of the file
	Bytes  int64   // length of the data
}

// Rows is the number of innermost rows: the product of all dimensions but the
// last. Columns is the last dimension, 1 for a scalar.
func (t Tensor) Rows() int64 {
	n := int64(1)
	for _, d := range t.Shape[:max(0, len(t.Shape)-1)] {
		n *= d
	}
	return n
}

// Columns is the length of an innermost row.
func (t Tensor) Columns() int64 {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// File is an opened and checked GGUF file. Reading tensors from several
// goroutines at once is safe.
type File struct {
	Path    string
	Version uint32
	// Metadata holds scalars as uint8 … int64, float32, float64, bool and
	// string; arrays as slices of these, except that arrays of bool and of
	// arrays are []any.
	Metadata map[string]any
	Tensors  []Tensor // in the order of the file's table
	Size     int64    // of the file in bytes

	data   io.ReaderAt
	closer io.Closer
}

// Open reads and checks the file at path, except its tensor data. The caller
// closes the File.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("gguf: %s: %w", path, err)
	}
	g, err := parse(f, info.Size())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("gguf: %s: %w", path, err)
	}
	g.Path, g.closer = path, f
	return g, nil
}

// Close releases the file.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Lookup returns the tensor of that name.
func (f *File) Lookup(name string) (Tensor, bool) {
	i := slices.IndexFunc(f.Tensors, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// ReadAt reads len(p) bytes of t's data from offset, which counts from the
// start of that data.
func (f *File) ReadAt(t Tensor, p []byte, offset int64) error {
	if offset < 0 || offset+int64(len(p)) > t.Bytes {
		return fmt.Errorf("gguf: %s: tensor %q: bytes %d…%d are outside its %d", f.Path, t.Name, offset, offset+int64(len(p)), t.Bytes)
	}
	if _, err := f.data.ReadAt(p, t.Offset+offset); err != nil {
		return fmt.Errorf("gguf: %s: tensor %q: %w", f.Path, t.Name, err)
	}
	return nil
}

func parse(data io.ReaderAt, size int64) (*File, error) {
	r := newReader(data, size)
	if m := r.bytes(4); r.err != nil || string(m) != magic {
		return nil, errors.New("not a GGUF file (its first bytes are not \"GGUF\")")
	}
	f := &File{Version: r.u32(), Size: size, data: data}
	if r.err != nil {
		return nil, r.err
	}
	switch {
	case f.Version&0xffff == 0:
		return nil, errors.New("big-endian GGUF is not supported")
	case f.Version != 2 && f.Version != 3:
		return nil, fmt.Errorf("GGUF version %d is not supported (2 and 3 are)", f.Version)
	}
	tensors, keys := r.u64(), r.u64()
	if tensors > maxTensors || keys > maxKeys {
		return nil, fmt.Errorf("claims %d tensors and %d keys (limits: %d and %d)", tensors, keys, maxTensors, maxKeys)
	}
	if err := f.readMetadata(r, keys); err != nil {
		return nil, err
	}
	alignment, err := f.alignment()
	if err != nil {
		return nil, err
	}
	if err := f.readTable(r, tensors); err != nil {
		return nil, err
	}
	if err := f.placeTensors(r.pos, alignment); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) readMetadata(r *reader, keys uint64) error {
	f.Metadata = make(map[string]any, min(keys, 1<<10))
	for i := range keys {
		key := r.string(maxKeyLen)
		if r.err != nil {
			return fmt.Errorf("metadata key %d of %d: %w", i+1, keys, r.err)
		}
		if _, dup := f.Metadata[key]; dup {
			return fmt.Errorf("metadata key %q appears twice", key)
		}
		f.Metadata[key] = r.value(r.u32(), 0)
		if r.err != nil {
			return fmt.Errorf("metadata key %q: %w", key, r.err)
		}
	}
	return r.err
}

func (f *File) alignment() (int64, error) {
	if _, ok := f.Metadata["general.alignment"]; !ok {
		return defaultAlignment, nil
	}
	n, err := f.Int("general.alignment")
	if err == nil && (n < 8 || n > 1<<20 || n&(n-1) != 0) {
		err = fmt.Errorf("general.alignment of %d is not a power of two in 8…2^20", n)
	}
	return n, err
}

// readTable reads the tensor table; offsets are still relative to the data.
func (f *File) readTable(r *reader, tensors uint64) error {
	seen := map[string]bool{}
	for i := range tensors {
		name := r.string(maxNameLen)
		if r.err != nil {
			return fmt.Errorf("tensor %d of %d: %w", i+1, tensors, r.err)
		}
		if seen[name] {
			return fmt.Errorf("tensor %q appears twice", name)
		}
		seen[name] = true
		t, err := readEntry(r, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		f.Tensors = append(f.Tensors, t)
	}
	return r.err
}

func readEntry(r *reader, name string) (Tensor, error) {
	t := Tensor{Name: name}
	dims := r.u32()
	if dims > maxDims {
		return t, fmt.Errorf("%d dimensions, at most %d are allowed", dims, maxDims)
	}
	elements := int64(1)
	for range dims {
		d := r.u64()
		if r.err == nil && (d == 0 || d > math.MaxInt32 || elements > math.MaxInt64/8/int64(d)) {
			return t, fmt.Errorf("dimension %d is not possible", d)
		}
		elements *= max(1, int64(d))
		t.Shape = append(t.Shape, int64(d))
	}
	slices.Reverse(t.Shape)
	t.Type = Type(r.u32())
	offset := r.u64()
	if r.err != nil {
		return t, r.err
	}
	l, ok := layoutOf(t.Type)
	switch {
	case !ok:
		return t, fmt.Errorf("unknown type %d", uint32(t.Type))
	case t.Columns()%int64(l.elements) != 0:
		return t, fmt.Errorf("rows of %d elements are not whole %s blocks of %d", t.Columns(), t.Type, l.elements)
	case offset > math.MaxInt64/2:
		return t, fmt.Errorf("offset %d is not possible", offset)
	}
	t.Offset = int64(offset)
	// No overflow: elements ≤ 2^60 and a block has at most 8 bytes an element.
	t.Bytes = elements / int64(l.elements) * int64(l.bytes)
	return t, nil
}

// placeTensors makes offsets absolute and checks that each tensor lies aligned
// inside the file, apart from the others.
func (f *File) placeTensors(tableEnd, alignment int64) error {
	start := (tableEnd + alignment - 1) / alignment * alignment
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if t.Offset%alignment != 0 {
			return fmt.Errorf("tensor %q: offset %d is not a multiple of the alignment %d", t.Name, t.Offset, alignment)
		}
		if t.Bytes > f.Size-start || t.Offset > f.Size-start-t.Bytes {
			return fmt.Errorf("truncated: tensor %q needs bytes %d…%d of the data, the file has %d (download it again)",
				t.Name, t.Offset, t.Offset+t.Bytes, max(0, f.Size-start))
		}
		t.Offset += start
	}
	order := slices.SortedFunc(slices.Values(f.Tensors), func(a, b Tensor) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := 1; i < len(order); i++ {
		if a, b := order[i-1], order[i]; b.Offset < a.Offset+a.Bytes {
			return fmt.Errorf("tensors %q and %q overlap", a.Name, b.Name)
		}
	}
	return nil
}
