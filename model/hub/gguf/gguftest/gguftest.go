// Package gguftest builds small GGUF files for tests, correct ones and, by
// changing the builder's fields, wrong ones. It is written from the format's
// description, apart from package gguf, so that the two check each other.
package gguftest

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Builder describes a file. Zero values of Version and Alignment stand for 3
// and 32.
type Builder struct {
	Version   uint32
	Alignment int
	Keys      []Key
	Tensors   []Tensor
}

// Key is a metadata entry. Value is a uint32, uint64, int32, float32, bool,
// string, []string, []float32, []int32 or Raw.
type Key struct {
	Name  string
	Value any
}

// Raw is a value given as its type number and bytes.
type Raw struct {
	Type uint32
	Data []byte
}

// Tensor is an entry with its data. Shape is outermost first. Offset −1, which
// Add sets, puts the data after those before.
type Tensor struct {
	Name   string
	Type   uint32
	Shape  []int64
	Data   []byte
	Offset int64
}

// Set replaces or appends a metadata entry.
func (b *Builder) Set(name string, value any) {
	for i := range b.Keys {
		if b.Keys[i].Name == name {
			b.Keys[i].Value = value
			return
		}
	}
	b.Keys = append(b.Keys, Key{name, value})
}

// Add appends a tensor.
func (b *Builder) Add(name string, typ uint32, shape []int64, data []byte) {
	b.Tensors = append(b.Tensors, Tensor{name, typ, shape, data, -1})
}

// Floats encodes F32 data.
func Floats(values ...float32) []byte {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// Bytes encodes the file.
func (b *Builder) Bytes() []byte {
	version, alignment := b.Version, b.Alignment
	if version == 0 {
		version = 3
	}
	if alignment == 0 {
		alignment = 32
	}
	out := binary.LittleEndian.AppendUint32([]byte("GGUF"), version)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(b.Tensors)))
	out = binary.LittleEndian.AppendUint64(out, uint64(len(b.Keys)))
	for _, k := range b.Keys {
		out = appendString(out, k.Name)
		out = appendValue(out, k.Value)
	}
	var data []byte
	for _, t := range b.Tensors {
		offset := t.Offset
		if offset < 0 {
			data = pad(data, alignment)
			offset = int64(len(data))
		}
		out = appendString(out, t.Name)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(t.Shape)))
		for i := len(t.Shape) - 1; i >= 0; i-- {
			out = binary.LittleEndian.AppendUint64(out, uint64(t.Shape[i]))
		}
		out = binary.LittleEndian.AppendUint32(out, t.Type)
		out = binary.LittleEndian.AppendUint64(out, uint64(offset))
		data = append(data, t.Data...)
	}
	return append(pad(out, alignment), data...)
}

func pad(b []byte, alignment int) []byte {
	for len(b)%alignment != 0 {
		b = append(b, 0)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

func appendValue(b []byte, value any) []byte {
	u32 := binary.LittleEndian.AppendUint32
	array := func(typ uint32, n int) []byte {
		return binary.LittleEndian.AppendUint64(u32(u32(b, 9), typ), uint64(n))
	}
	switch v := value.(type) {
	case uint32:
		return u32(u32(b, 4), v)
	case int32:
		return u32(u32(b, 5), uint32(v))
	case float32:
		return u32(u32(b, 6), math.Float32bits(v))
	case bool:
		if v {
			return append(u32(b, 7), 1)
		}
		return append(u32(b, 7), 0)
	case string:
		return appendString(u32(b, 8), v)
	case uint64:
		return binary.LittleEndian.AppendUint64(u32(b, 10), v)
	case []string:
		b = array(8, len(v))
		for _, s := range v {
			b = appendString(b, s)
		}
		return b
	case []int32:
		b = array(5, len(v))
		for _, n := range v {
			b = u32(b, uint32(n))
		}
		return b
	case []float32:
		return append(array(6, len(v)), Floats(v...)...)
	case Raw:
		return append(u32(b, v.Type), v.Data...)
	}
	panic(fmt.Sprintf("gguftest: metadata of type %T", value))
}
