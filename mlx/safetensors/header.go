package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

const (
	// MaxHeaderBytes bounds the JSON header: the format's own limit, which
	// keeps a wrong length field from being read as an allocation.
	MaxHeaderBytes = 100_000_000
	// MaxRank is far above what any checkpoint has and keeps a hostile header
	// from handing MLX a shape of a million dimensions.
	MaxRank = 32

	lengthBytes  = 8 // the little-endian header length that opens a file
	metadataName = "__metadata__"
)

// Tensor is one entry of a header.
type Tensor struct {
	Name   string
	DType  DType
	Shape  []int64 // outermost dimension first; empty for a scalar
	Offset int64   // of the data, in bytes from the start of the file
	Bytes  int64   // length of the data
}

// Header describes a file that was checked as the package comment says.
type Header struct {
	Path     string
	Tensors  []Tensor          // in the order of their data
	Metadata map[string]string // "__metadata__", nil when absent
	Size     int64             // of the file in bytes
}

// Lookup returns the tensor of that name.
func (h *Header) Lookup(name string) (Tensor, bool) {
	i := slices.IndexFunc(h.Tensors, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		return Tensor{}, false
	}
	return h.Tensors[i], true
}

// ReadHeader reads and checks the header of the file at path. It reads no
// tensor data. The error names the file, the tensor and what is wrong with it.
func ReadHeader(path string) (*Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("safetensors: %s is not a regular file", path)
	}
	h, err := parseHeader(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	h.Path = path
	return h, nil
}

// parseHeader checks the header of a file of size bytes that r reads.
func parseHeader(r io.ReaderAt, size int64) (*Header, error) {
	var length [lengthBytes]byte
	if size < lengthBytes {
		return nil, fmt.Errorf("truncated: %d bytes, too short for a header (download it again)", size)
	}
	if _, err := r.ReadAt(length[:], 0); err != nil {
		return nil, fmt.Errorf("reading the header length: %w", err)
	}
	n := binary.LittleEndian.Uint64(length[:])
	switch {
	case n < 2:
		return nil, fmt.Errorf("header length %d is too small for a JSON object: not a safetensors file", n)
	case n > MaxHeaderBytes:
		return nil, fmt.Errorf("header length %d exceeds the format's limit of %d: not a safetensors file", n, MaxHeaderBytes)
	case int64(n) > size-lengthBytes:
		return nil, fmt.Errorf("truncated: the header needs %d bytes, the file has %d (download it again)", n+lengthBytes, size)
	}
	text := make([]byte, n)
	if _, err := r.ReadAt(text, lengthBytes); err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	h := &Header{Size: size}
	if err := h.decode(text); err != nil {
		return nil, err
	}
	dataStart := lengthBytes + int64(n)
	if err := h.checkLayout(dataStart); err != nil {
		return nil, err
	}
	for i := range h.Tensors {
		h.Tensors[i].Offset += dataStart
	}
	return h, nil
}

// decode fills Tensors, with offsets still relative to the data's start, and
// Metadata. It walks the object itself because a decoder into a map would
// silently keep the last of two equal names.
func (h *Header) decode(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("the header is not a JSON object: not a safetensors file")
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fmt.Errorf("invalid JSON in the header: %w", err)
		}
		name := t.(string) // inside an object the decoder gives a string or an error
		if seen[name] {
			return fmt.Errorf("tensor %q appears twice", name)
		}
		seen[name] = true
		if name == metadataName {
			if err := dec.Decode(&h.Metadata); err != nil {
				return fmt.Errorf("%s must map strings to strings: %w", metadataName, err)
			}
			continue
		}
		tensor, err := decodeTensor(dec, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		h.Tensors = append(h.Tensors, tensor)
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("invalid JSON in the header: %w", err)
	}
	if rest := bytes.TrimRight(text[dec.InputOffset():], " \t\r\n\x00"); len(rest) > 0 {
		return fmt.Errorf("%d bytes follow the header's JSON object", len(rest))
	}
	return nil
}

// decodeTensor reads one entry and checks it as far as it stands alone.
func decodeTensor(dec *json.Decoder, name string) (Tensor, error) {
	var entry struct {
		DType   *DType   `json:"dtype"`
		Shape   *[]int64 `json:"shape"`
		Offsets *[]int64 `json:"data_offsets"`
	}
	if err := dec.Decode(&entry); err != nil {
		return Tensor{}, fmt.Errorf("invalid entry: %w", err)
	}
	switch {
	case entry.DType == nil:
		return Tensor{}, errors.New("has no dtype")
	case entry.Shape == nil:
		return Tensor{}, errors.New("has no shape")
	case entry.Offsets == nil || len(*entry.Offsets) != 2:
		return Tensor{}, errors.New("data_offsets must be [begin, end]")
	}
	want, err := byteLength(*entry.DType, *entry.Shape)
	if err != nil {
		return Tensor{}, err
	}
	begin, end := (*entry.Offsets)[0], (*entry.Offsets)[1]
	if begin < 0 || end < begin {
		return Tensor{}, fmt.Errorf("data_offsets [%d, %d] are not a range", begin, end)
	}
	if end-begin != want {
		return Tensor{}, fmt.Errorf("%s %v needs %d bytes, data_offsets [%d, %d] hold %d",
			*entry.DType, *entry.Shape, want, begin, end, end-begin)
	}
	return Tensor{Name: name, DType: *entry.DType, Shape: *entry.Shape, Offset: begin, Bytes: want}, nil
}

// byteLength is the data length of a tensor, or why it has none.
func byteLength(d DType, shape []int64) (int64, error) {
	n := d.Size()
	if n == 0 {
		return 0, fmt.Errorf("unknown dtype %q", d)
	}
	if len(shape) > MaxRank {
		return 0, fmt.Errorf("%d dimensions, at most %d are supported", len(shape), MaxRank)
	}
	// A zero dimension must not hide an overflow in the others from MLX, which
	// may multiply in another order: so the bound is on the non-zero product.
	empty := false
	for _, dim := range shape {
		switch {
		case dim < 0 || dim > math.MaxInt32:
			return 0, fmt.Errorf("dimension %d of shape %v is outside 0…2^31-1", dim, shape)
		case dim == 0:
			empty = true
		case n > math.MaxInt64/dim:
			return 0, fmt.Errorf("shape %v overflows", shape)
		default:
			n *= dim
		}
	}
	if empty {
		return 0, nil
	}
	return n, nil
}

// checkLayout sorts the tensors by offset and demands that they tile the data.
func (h *Header) checkLayout(dataStart int64) error {
	slices.SortFunc(h.Tensors, func(a, b Tensor) int {
		switch {
		case a.Offset != b.Offset:
			return cmp.Compare(a.Offset, b.Offset)
		case a.Bytes != b.Bytes: // an empty tensor stands before its neighbour
			return cmp.Compare(a.Bytes, b.Bytes)
		}
		return strings.Compare(a.Name, b.Name)
	})
	available := h.Size - dataStart
	end := int64(0)
	for i, t := range h.Tensors {
		switch {
		case t.Offset < end:
			return fmt.Errorf("tensor %q: its data begin at %d, inside those of %q, which end at %d",
				t.Name, t.Offset, h.Tensors[i-1].Name, end)
		case t.Offset > end:
			return fmt.Errorf("tensor %q: its data begin at %d, which leaves a gap after %d", t.Name, t.Offset, end)
		case t.Bytes > available-t.Offset:
			return fmt.Errorf("truncated: tensor %q ends at byte %d of the data, the file has %d (download it again)",
				t.Name, t.Offset+t.Bytes, available)
		}
		end = t.Offset + t.Bytes
	}
	if end != available {
		return fmt.Errorf("%d bytes follow the last tensor", available-end)
	}
	return nil
}
