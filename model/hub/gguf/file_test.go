package gguf

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"reprise/model/hub/gguf/gguftest"
)

// sample is a small correct file that the tests bend.
func sample() *gguftest.Builder {
	b := &gguftest.Builder{}
	b.Set("general.architecture", "test")
	b.Set("count", uint32(7))
	b.Add("a", 0, []int64{2, 3}, gguftest.Floats(1, 2, 3, 4, 5, 6))
	b.Add("b", 8, []int64{1, 32}, make([]byte, 34))
	return b
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.gguf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpen(t *testing.T) {
	b := sample()
	b.Set("n.i32", int32(-4))
	b.Set("n.u64", uint64(1<<40))
	b.Set("x", float32(0.1))
	b.Set("yes", true)
	b.Set("strings", []string{"a", "", "ß▁"})
	b.Set("floats", []float32{1.5, -2})
	b.Set("nested", gguftest.Raw{Type: 9, Data: slices.Concat(le32(9), le64(2), le32(0), le64(1), []byte{5}, le32(7), le64(1), []byte{1})})
	for _, version := range []uint32{2, 3} {
		b.Version = version
		f, err := Open(write(t, b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		want := map[string]any{
			"general.architecture": "test", "count": uint32(7), "n.i32": int32(-4), "n.u64": uint64(1 << 40), "x": float32(0.1),
			"yes": true, "strings": []string{"a", "", "ß▁"}, "floats": []float32{1.5, -2},
			"nested": []any{[]byte{5}, []any{true}},
		}
		if !reflect.DeepEqual(f.Metadata, want) {
			t.Errorf("version %d: metadata %v, want %v", version, f.Metadata, want)
		}
		a, ok := f.Lookup("a")
		if !ok || a.Type != F32 || !reflect.DeepEqual(a.Shape, []int64{2, 3}) || a.Rows() != 2 || a.Columns() != 3 {
			t.Fatalf("tensor a: %+v", a)
		}
		raw := make([]byte, 8)
		if err := f.ReadAt(a, raw, 12); err != nil || !bytes.Equal(raw, gguftest.Floats(4, 5)) {
			t.Errorf("second row begins % x (%v)", raw, err)
		}
		if err := f.ReadAt(a, raw, 17); err == nil {
			t.Error("read beyond the tensor")
		}
	}
}

func TestMetadataErrorsNameTheKey(t *testing.T) {
	f, err := Open(write(t, sample().Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		call func() error
		want string
	}{
		{func() error { _, err := f.Int("none"); return err }, `"none" is missing`},
		{func() error { _, err := f.Int("general.architecture"); return err }, `"general.architecture" is string, not an integer`},
		{func() error { _, err := f.Float("count"); return err }, `"count" is uint32, not a float`},
		{func() error { _, err := Value[[]string](f, "count"); return err }, `"count" is uint32, not []string`},
	} {
		if err := c.call(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), f.Path) {
			t.Errorf("error %v, want %q and the file", err, c.want)
		}
	}
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func le64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func TestOpenRefuses(t *testing.T) {
	bend := func(f func(b *gguftest.Builder)) []byte {
		b := sample()
		f(b)
		return b.Bytes()
	}
	raw := func(typ uint32, parts ...[]byte) []byte {
		return bend(func(b *gguftest.Builder) { b.Set("k", gguftest.Raw{Type: typ, Data: slices.Concat(parts...)}) })
	}
	good := sample().Bytes()
	deep := slices.Repeat(slices.Concat(le32(9), le64(1)), 6)
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not a GGUF file"},
		{"other file", []byte("PK\x03\x04 something"), "not a GGUF file"},
		{"version 1", bend(func(b *gguftest.Builder) { b.Version = 1 }), "version 1 is not supported"},
		{"big-endian", bend(func(b *gguftest.Builder) { b.Version = 3 << 24 }), "big-endian"},
		{"cut in the metadata", good[:40], "truncated"},
		{"cut in the table", good[:120], `tensor`},
		{"cut in the data", good[:len(good)-1], `truncated: tensor "b"`},
		{"tensor count", slices.Concat(good[:8], le64(1<<40), good[16:]), "claims 1099511627776 tensors"},
		{"key count", slices.Concat(good[:16], le64(1<<40), good[24:]), "and 1099511627776 keys"},
		{"string length", raw(8, le64(1<<62)), `key "k": truncated`},
		{"key length", slices.Concat(good[:24], le64(1<<20), good[32:]), "exceeds the limit"},
		{"array length", raw(9, le32(8), le64(1<<60)), `key "k": truncated: an array of`},
		{"array of bytes", raw(9, le32(0), le64(1<<30)), `key "k": truncated: an array of`},
		{"value type", raw(77), `key "k": unknown value type 77`},
		{"array type", raw(9, le32(77), le64(1)), `key "k": unknown value type 77`},
		{"nesting", raw(9, deep), "nested more than 4 deep"},
		{"bool of 2", raw(7, []byte{2}), "a bool of 2"},
		{"duplicate key", bend(func(b *gguftest.Builder) { b.Keys = append(b.Keys, b.Keys[0]) }), `key "general.architecture" appears twice`},
		{"alignment", bend(func(b *gguftest.Builder) { b.Set("general.alignment", uint32(24)) }), "general.alignment of 24"},
		{"alignment type", bend(func(b *gguftest.Builder) { b.Set("general.alignment", "8") }), "is string, not an integer"},
		{"duplicate tensor", bend(func(b *gguftest.Builder) { b.Tensors[1].Name = "a" }), `tensor "a" appears twice`},
		{"five dimensions", bend(func(b *gguftest.Builder) { b.Tensors[0].Shape = []int64{1, 1, 1, 2, 3} }), `tensor "a": 5 dimensions`},
		{"dimension of 0", bend(func(b *gguftest.Builder) { b.Tensors[0].Shape[0] = 0 }), `tensor "a": dimension 0`},
		{"negative dimension", bend(func(b *gguftest.Builder) { b.Tensors[0].Shape[0] = -1 }), `tensor "a": dimension`},
		{"product overflows", bend(func(b *gguftest.Builder) { b.Tensors[0].Shape = []int64{1 << 30, 1 << 30, 4} }), `tensor "a": dimension`},
		{"unknown type", bend(func(b *gguftest.Builder) { b.Tensors[0].Type = 5 }), `tensor "a": unknown type 5`},
		{"half a block", bend(func(b *gguftest.Builder) { b.Tensors[1].Shape[1] = 33 }), `tensor "b": rows of 33 elements are not whole Q8_0 blocks`},
		{"unaligned", bend(func(b *gguftest.Builder) { b.Tensors[1].Offset = 33 }), `tensor "b": offset 33`},
		{"offset", bend(func(b *gguftest.Builder) { b.Tensors[1].Offset = 1<<63 - 64 }), `tensor "b": offset`},
		{"outside", bend(func(b *gguftest.Builder) { b.Tensors[1].Offset = 1 << 20 }), `truncated: tensor "b"`},
		{"overlap", bend(func(b *gguftest.Builder) { b.Tensors[1].Offset = 0 }), `tensors "a" and "b" overlap`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, c.data)
			_, err := Open(path)
			if err == nil {
				t.Fatal("accepted")
			}
			// The path holds the case's name, which must not pass for the reason.
			reason, named := strings.CutPrefix(err.Error(), "gguf: "+path+": ")
			if !named || !strings.Contains(reason, c.want) {
				t.Errorf("error %q does not name %q and the file", err, c.want)
			}
		})
	}
}

// FuzzParse: whatever the bytes, no panic, and every tensor of an accepted file
// can be read.
func FuzzParse(f *testing.F) {
	f.Add(sample().Bytes())
	f.Add(slices.Concat([]byte("GGUF"), le32(3), le64(0), le64(1), le64(1), []byte("k"), le32(9), le32(9), le64(1), le32(8), le64(0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := parse(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for _, tensor := range g.Tensors {
			raw := make([]byte, tensor.Bytes)
			if err := g.ReadAt(tensor, raw, 0); err != nil {
				t.Fatalf("%+v: %v", tensor, err)
			}
			if CanDequantize(tensor.Type) {
				if err := Dequantize(tensor.Type, make([]float32, tensor.Rows()*tensor.Columns()), raw); err != nil {
					t.Fatalf("%+v: %v", tensor, err)
				}
			}
		}
	})
}
