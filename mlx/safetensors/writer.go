package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Spec declares a tensor that is going to be written.
type Spec struct {
	Name  string
	DType DType
	Shape []int64 // outermost dimension first
}

// Writer writes one file whose tensors are declared first and streamed after.
// The same declarations and data give the same bytes, in whatever order the
// data arrive. The file appears under its name only when Commit succeeds.
type Writer struct {
	path    string
	file    *os.File // the temporary sibling; nil once committed or aborted
	tensors map[string]*TensorWriter
}

// TensorWriter takes the bytes of one tensor in order. Different tensors of one
// file may be written from different goroutines; one tensor from one only.
type TensorWriter struct {
	file   *os.File
	tensor Tensor
	done   int64
}

// Create opens a temporary file beside path and writes the header. Elements of
// every tensor are aligned to their size. The caller must end with Commit or
// Abort; Abort after Commit does nothing, so it may be deferred.
func Create(path string, specs []Spec, metadata map[string]string) (*Writer, error) {
	tensors, err := layOut(specs)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	header, err := encodeHeader(tensors, metadata)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	w := &Writer{path: path, file: f, tensors: make(map[string]*TensorWriter, len(tensors))}
	if _, err := f.Write(header); err != nil {
		w.Abort()
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	for _, t := range tensors {
		t.Offset += int64(len(header))
		w.tensors[t.Name] = &TensorWriter{file: f, tensor: t}
	}
	return w, nil
}

// Tensor returns the stream of a declared tensor, always the same one.
func (w *Writer) Tensor(name string) (*TensorWriter, error) {
	t, ok := w.tensors[name]
	if !ok {
		return nil, fmt.Errorf("safetensors: %s: tensor %q was not declared", w.path, name)
	}
	return t, nil
}

// Write appends p, little-endian elements in row-major order, to the tensor.
func (t *TensorWriter) Write(p []byte) (int, error) {
	if left := t.tensor.Bytes - t.done; int64(len(p)) > left {
		return 0, fmt.Errorf("safetensors: tensor %q: %d bytes written where %d are left", t.tensor.Name, len(p), left)
	}
	n, err := t.file.WriteAt(p, t.tensor.Offset+t.done)
	t.done += int64(n)
	return n, err
}

// Commit checks that every tensor is complete, brings the file to disk and
// gives it its name.
func (w *Writer) Commit() error {
	if w.file == nil {
		return fmt.Errorf("safetensors: %s: already committed or aborted", w.path)
	}
	defer w.Abort()
	for _, t := range w.tensors {
		if t.done != t.tensor.Bytes {
			return fmt.Errorf("safetensors: %s: tensor %q has %d of %d bytes", w.path, t.tensor.Name, t.done, t.tensor.Bytes)
		}
	}
	// CreateTemp gives 0600; a checkpoint is as readable as any other file.
	err := errors.Join(w.file.Chmod(0o644), w.file.Sync())
	if err == nil {
		err = os.Rename(w.file.Name(), w.path)
	}
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	err = w.file.Close()
	w.file = nil
	return err
}

// Abort removes the unfinished file.
func (w *Writer) Abort() {
	if w.file == nil {
		return
	}
	w.file.Close()
	os.Remove(w.file.Name())
	w.file = nil
}

// layOut orders the tensors widest element first, then by name, so that
// contiguous data leave every element aligned, and gives them their offsets.
func layOut(specs []Spec) ([]Tensor, error) {
	tensors := make([]Tensor, 0, len(specs))
	seen := make(map[string]bool, len(specs))
	for _, s := range specs {
		n, err := byteLength(s.DType, s.Shape)
		switch {
		case err != nil:
			return nil, fmt.Errorf("tensor %q: %w", s.Name, err)
		case s.Name == metadataName:
			return nil, fmt.Errorf("%q is not a tensor name", s.Name)
		case seen[s.Name]:
			return nil, fmt.Errorf("tensor %q is declared twice", s.Name)
		}
		seen[s.Name] = true
		tensors = append(tensors, Tensor{Name: s.Name, DType: s.DType, Shape: s.Shape, Bytes: n})
	}
	slices.SortFunc(tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(b.DType.Size(), a.DType.Size()), strings.Compare(a.Name, b.Name))
	})
	offset := int64(0)
	for i := range tensors {
		tensors[i].Offset = offset
		offset += tensors[i].Bytes
	}
	return tensors, nil
}

// encodeHeader gives the length field and the JSON, padded with spaces so that
// the data begin at a multiple of eight.
func encodeHeader(tensors []Tensor, metadata map[string]string) ([]byte, error) {
	type entry struct {
		DType   DType    `json:"dtype"`
		Shape   []int64  `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	// A map marshals with sorted keys, which is the determinism wanted here.
	entries := make(map[string]any, len(tensors)+1)
	for _, t := range tensors {
		shape := t.Shape
		if shape == nil {
			shape = []int64{}
		}
		entries[t.Name] = entry{t.DType, shape, [2]int64{t.Offset, t.Offset + t.Bytes}}
	}
	if len(metadata) > 0 {
		entries[metadataName] = metadata
	}
	var text bytes.Buffer
	text.Write(make([]byte, lengthBytes))
	if err := json.NewEncoder(&text).Encode(entries); err != nil {
		return nil, err
	}
	text.Truncate(text.Len() - 1) // Encode ends with a newline
	for text.Len()%8 != 0 {
		text.WriteByte(' ')
	}
	header := text.Bytes()
	n := uint64(len(header) - lengthBytes)
	if n > MaxHeaderBytes {
		return nil, fmt.Errorf("header of %d bytes exceeds the format's limit of %d", n, MaxHeaderBytes)
	}
	binary.LittleEndian.PutUint64(header, n)
	return header, nil
}
