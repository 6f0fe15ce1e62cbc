package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestReadHeaderOfReference reads a file that the format's own library wrote
// (testdata/reference.py), whose values stand in that script.
func TestReadHeaderOfReference(t *testing.T) {
	const path = "testdata/reference.safetensors"
	h, err := ReadHeader(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"format": "pt", "note": `a "quoted" word`}; !reflect.DeepEqual(h.Metadata, want) {
		t.Errorf("metadata %v, want %v", h.Metadata, want)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if h.Size != int64(len(data)) || len(h.Tensors) != 6 {
		t.Errorf("size %d and %d tensors, want %d and 6", h.Size, len(h.Tensors), len(data))
	}
	for _, want := range []struct {
		name  string
		dtype DType
		shape []int64
		data  string
	}{
		{"scalar", F64, []int64{}, "\x00\x00\x00\x00\x00\x00\x04\x40"},
		{"größe", I64, []int64{3}, "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"},
		{"empty", F32, []int64{0, 3}, ""},
		{"c.words", U32, []int64{4, 1}, "\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00"},
		{"b.half", F16, []int64{2, 3}, "\x00\x00\x00\x3c\x00\x40\x00\x42\x00\x44\x00\x45"},
		{"a.bytes", U8, []int64{5}, "\x00\x01\x02\x03\x04"},
	} {
		got, ok := h.Lookup(want.name)
		if !ok {
			t.Errorf("%s: not found", want.name)
			continue
		}
		if got.DType != want.dtype || !reflect.DeepEqual(got.Shape, want.shape) {
			t.Errorf("%s: %s %v, want %s %v", want.name, got.DType, got.Shape, want.dtype, want.shape)
		}
		if b := data[got.Offset : got.Offset+got.Bytes]; string(b) != want.data {
			t.Errorf("%s: data % x, want % x", want.name, b, want.data)
		}
	}
}

// file assembles a file from a header and n bytes of data.
func file(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func TestReadHeaderRefuses(t *testing.T) {
	entry := func(name, dtype, shape string, begin, end int) string {
		return fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, name, dtype, shape, begin, end)
	}
	whole := file("{"+entry("w", "F32", "[2,2]", 0, 16)+"}", 16)
	for _, c := range []struct {
		name string
		data []byte
		want string // part of the error
	}{
		{"empty file", nil, "truncated: 0 bytes"},
		{"no length", whole[:7], "truncated: 7 bytes"},
		{"cut in the header", whole[:30], "truncated: the header needs"},
		{"cut in the data", whole[:len(whole)-1], `truncated: tensor "w" ends at byte 16 of the data, the file has 15`},
		{"length beyond the limit", binary.LittleEndian.AppendUint64(nil, MaxHeaderBytes+1), "exceeds the format's limit"},
		{"length of 2^63", binary.LittleEndian.AppendUint64(nil, 1<<63), "exceeds the format's limit"},
		{"length too small", file("", 4), "too small"},
		{"not JSON", file("hello, world", 0), "not a JSON object"},
		{"JSON array", file("[1,2]", 0), "not a JSON object"},
		{"unclosed JSON", file(`{"w":`, 0), "invalid"},
		{"text after the object", file(`{} {}`, 0), "follow the header's JSON object"},
		{"entry not an object", file(`{"w":3}`, 0), `tensor "w": invalid entry`},
		{"duplicate", file("{"+entry("w", "U8", "[1]", 0, 1)+","+entry("w", "U8", "[1]", 1, 2)+"}", 2), `"w" appears twice`},
		{"metadata not strings", file(`{"__metadata__":{"a":1}}`, 0), "must map strings to strings"},
		{"no dtype", file(`{"w":{"shape":[1],"data_offsets":[0,1]}}`, 1), `tensor "w": has no dtype`},
		{"no shape", file(`{"w":{"dtype":"U8","data_offsets":[0,1]}}`, 1), `tensor "w": has no shape`},
		{"no offsets", file(`{"w":{"dtype":"U8","shape":[1]}}`, 1), "data_offsets must be"},
		{"three offsets", file(`{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}`, 1), "data_offsets must be"},
		{"unknown dtype", file("{"+entry("w", "F31", "[1]", 0, 4)+"}", 4), `unknown dtype "F31"`},
		{"size lies", file("{"+entry("w", "F32", "[2,2]", 0, 12)+"}", 12), "F32 [2 2] needs 16 bytes, data_offsets [0, 12] hold 12"},
		{"negative dimension", file("{"+entry("w", "F32", "[-1]", 0, 4)+"}", 4), "outside 0…2^31-1"},
		{"dimension beyond int32", file("{"+entry("w", "U8", "[2147483648,0]", 0, 0)+"}", 0), "outside 0…2^31-1"},
		{"product overflows to 0", file("{"+entry("w", "F32", "[2147483647,2147483647,4]", 0, 0)+"}", 0), "overflows"},
		{"overflow hidden by 0", file("{"+entry("w", "F32", "[0,2147483647,2147483647,4]", 0, 0)+"}", 0), "overflows"},
		{"rank", file("{"+entry("w", "U8", "["+strings.Repeat("1,", MaxRank)+"1]", 0, 1)+"}", 1), "dimensions"},
		{"reversed offsets", file("{"+entry("w", "U8", "[1]", 2, 1)+"}", 2), "not a range"},
		{"negative offset", file("{"+entry("w", "U8", "[2]", -1, 1)+"}", 1), "not a range"},
		{"overlap", file("{"+entry("a", "U8", "[4]", 0, 4)+","+entry("b", "U8", "[4]", 3, 7)+"}", 7), `tensor "b": its data begin at 3, inside those of "a"`},
		{"gap", file("{"+entry("a", "U8", "[4]", 0, 4)+","+entry("b", "U8", "[4]", 5, 9)+"}", 9), `tensor "b": its data begin at 5, which leaves a gap after 4`},
		{"gap at the start", file("{"+entry("a", "U8", "[4]", 1, 5)+"}", 5), "leaves a gap after 0"},
		{"bytes at the end", file("{"+entry("a", "U8", "[4]", 0, 4)+"}", 6), "2 bytes follow the last tensor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.safetensors")
			if err := os.WriteFile(path, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := ReadHeader(path)
			if err == nil {
				t.Fatal("accepted")
			}
			// The path holds the case's name, which must not pass for the reason.
			reason, named := strings.CutPrefix(err.Error(), "safetensors: "+path+": ")
			if !named || !strings.Contains(reason, c.want) {
				t.Errorf("error %q does not name %q and the file", err, c.want)
			}
		})
	}
}

func TestReadHeaderOfNoFile(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "missing"), t.TempDir()} {
		if _, err := ReadHeader(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v does not name the path", path, err)
		}
	}
}

// FuzzParseHeader: whatever the bytes, no panic, and what is accepted tiles the
// file.
func FuzzParseHeader(f *testing.F) {
	reference, err := os.ReadFile("testdata/reference.safetensors")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reference)
	f.Add(file(`{"w":{"dtype":"F32","shape":[2,0],"data_offsets":[0,0]}}`, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := parseHeader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		covered := int64(lengthBytes) + int64(binary.LittleEndian.Uint64(data))
		for _, tensor := range h.Tensors {
			if tensor.Offset != covered {
				t.Fatalf("%q begins at %d, the tensors before it end at %d", tensor.Name, tensor.Offset, covered)
			}
			size := tensor.DType.Size()
			for _, d := range tensor.Shape {
				size *= d
			}
			if size != tensor.Bytes {
				t.Fatalf("%q has %d bytes for %s %v", tensor.Name, tensor.Bytes, tensor.DType, tensor.Shape)
			}
			covered += tensor.Bytes
		}
		if covered != int64(len(data)) {
			t.Fatalf("tensors end at %d of %d", covered, len(data))
		}
	})
}
