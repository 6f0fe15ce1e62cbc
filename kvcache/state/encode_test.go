package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// What is read back from bytes is the same, in every bit, and serves a move.
func TestSnapshotsAndRowsSurviveAsBytes(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		m, ids := newMixed(s), &tokens{}
		defer m.st.Free()
		snaps, err := m.feed(s, ids.fresh(400), 1, 5, 333)
		if err != nil {
			return err
		}
		path := m.path
		for _, snap := range snaps {
			rows, err := m.st.CopyRows(0, snap.Offset())
			if err != nil {
				return err
			}
			readSnap, readRows, err := throughBytes(s, snap, rows)
			if err != nil {
				return err
			}
			snap.Free()
			rows.Free()
			if err := checkSnapshot(s, readSnap, path[:readSnap.Offset()]); err != nil {
				return err
			}
			back := newMixed(s)
			if err := back.st.MoveTo(readSnap.Offset(), 0, []Segment{{Rows: readRows, From: 0, To: readRows.To()}}, readSnap); err != nil {
				return err
			}
			back.path = path[:readSnap.Offset()]
			_, err = back.feed(s, ids.fresh(20))
			readSnap.Free()
			readRows.Free()
			if back.st.Free(); err != nil {
				return err
			}
		}
		return nil
	})
}

func throughBytes(s *mlx.Scope, snap Snapshot, rows Rows) (Snapshot, Rows, error) {
	snapBytes, err := EncodeSnapshot(s, snap)
	if err != nil {
		return nil, nil, err
	}
	rowBytes, err := EncodeRows(s, rows)
	if err != nil {
		return nil, nil, err
	}
	if _, err := DecodeRows(s, snapBytes); err == nil {
		return nil, nil, fmt.Errorf("a snapshot was read as rows")
	}
	if _, err := DecodeSnapshot(s, rowBytes); err == nil {
		return nil, nil, fmt.Errorf("rows were read as a snapshot")
	}
	readSnap, err := DecodeSnapshot(s, snapBytes)
	if err != nil {
		return nil, nil, err
	}
	readRows, err := DecodeRows(s, rowBytes)
	if err != nil {
		return nil, nil, err
	}
	if readSnap.Offset() != snap.Offset() || readSnap.Bytes() != snap.Bytes() || readRows.From() != rows.From() || readRows.To() != rows.To() || readRows.Bytes() != rows.Bytes() {
		return nil, nil, fmt.Errorf("%v and %v became %v and %v", snap, rows, readSnap, readRows)
	}
	return readSnap, readRows, nil
}

// Every bit pattern of every dtype: NaNs, infinities, negative zeros and the smallest numbers.
func TestCopiesKeepEveryBit(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		raw := make([]byte, 1<<17)
		for i := range 1 << 16 {
			binary.LittleEndian.PutUint16(raw[2*i:], uint16(i))
		}
		for _, d := range []mlx.Dtype{mlx.Float32, mlx.BFloat16, mlx.Float16} {
			x := s.FromBytes(raw, d, 1, 2, len(raw)/d.Size()/4, 2)
			for name, y := range map[string]mlx.Array{"a copy": copyOf(s, x), "of a view": s.Contiguous(copyOf(s, s.Transpose(x, []int{0, 3, 1, 2})), false)} {
				if name == "of a view" {
					y = s.Transpose(y, []int{0, 2, 3, 1})
				}
				got, err := s.Bytes(y)
				if err != nil {
					return err
				}
				if y.Dtype() != d || !bytes.Equal(got, raw) {
					t.Errorf("%v, %s: not the same bytes", d, name)
				}
			}
			h := &snapshot{holding: holding{parts: []part{{kind: Recurrent, arrays: []mlx.Array{x}}}}, offset: 3}
			data, err := EncodeSnapshot(s, h)
			if err != nil {
				return err
			}
			back, err := DecodeSnapshot(s, data)
			if err != nil {
				return err
			}
			got, err := s.Bytes(back.(*snapshot).parts[0].arrays[0])
			if err != nil || !bytes.Equal(got, raw) {
				t.Errorf("%v through bytes: not the same, %v", d, err)
			}
			back.Free()
		}
		return nil
	})
}

// aFrame has a layer of each kind.
func aFrame(rows bool) []byte {
	f := frame{rows: rows, from: 7, to: 7, layers: []frameLayer{
		{kind: Growing},
		{kind: Sliding, tensors: []tensor{{mlx.BFloat16, []int{1, 1, 2, 2}, []byte("12345678")}, {mlx.BFloat16, []int{1, 1, 2, 2}, []byte("abcdefgh")}}},
		{kind: Recurrent, tensors: []tensor{{mlx.Float32, []int{2}, []byte("12345678")}}},
	}}
	if rows {
		f.from = 5
	}
	b, err := f.append(nil)
	if err != nil || len(b) != f.size() {
		panic(fmt.Sprint(len(b), f.size(), err))
	}
	return b
}

func TestBadFrames(t *testing.T) {
	good := aFrame(false)
	if _, err := parseFrame(good); err != nil {
		t.Fatal(err)
	}
	for n := range good { // every truncation
		if _, err := parseFrame(good[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for a frame", n, len(good))
		}
	}
	for _, c := range []struct {
		name string
		at   int // byte
		put  string
		want string
	}{
		{"magic", 0, "x", "no snapshot and no rows"},
		{"version", 4, "\x01", "version 1"},
		{"type", 6, "\x03", "type 3"},
		{"offsets", 8, "\x08", "the offsets 8 to 7"},
		{"a far offset", 15, "\x01", "the offsets"},
		{"a snapshot of two offsets", 8, "\x06", "the offsets 6 to 7"},
		{"layers", 24, "\xff\xff\xff\xff", "claims 4294967295 layers"},
		{"fewer layers", 24, "\x02", "bytes follow it"},
		{"kind", 28, "\x04", "unknown code 4"},
		{"no kind", 28, "\x00", "unknown code 0"},
		{"bits", 29, "\x05\x40", "keys and values at 5 bits"},
		{"group", 29, "\x04\x30", "keys and values in groups of 48"},
		{"group alone", 30, "\x40", "keys and values at 0 bits"},
		{"a quantized window", 33, "\x04\x40", "a quantized layer that is sliding"},
		{"dtype", 36, "\x09", "unknown code 9"},
		{"rank", 37, "\x06", "a tensor of rank 6"},
		{"rank 0", 37, "\x00", "a tensor of rank 0"},
		{"a dimension of 0", 38, "\x00", "a dimension of 0"},
		{"a huge dimension", 38, "\xff\xff\xff\xff", "a dimension of 4294967295"},
		{"a product that overflows", 38, "\xff\xff\xff\x7f\xff\xff\xff\x7f\xff\xff\xff\x7f\xff\xff\xff\x7f", "a dimension of 2147483647"},
		{"length", 54, "\x09", "9 bytes for bfloat16[1 1 2 2]"},
		{"a huge length", 54, "\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615 bytes for"},
	} {
		bad := append([]byte(nil), good...)
		copy(bad[c.at:], c.put)
		if _, err := parseFrame(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := parseFrame(append(good, 0)); err == nil || !strings.Contains(err.Error(), "1 bytes follow it") {
		t.Errorf("a byte too many: %v", err)
	}
}

// Bytes that differ from a good frame's in one place are refused, or are a frame that a state refuses or takes; MLX
// never sees a lie about sizes.
func TestFlippedBytes(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		m, ids := newMixed(s), &tokens{}
		defer m.st.Free()
		snaps, err := m.feed(s, ids.fresh(12), 9)
		if err != nil {
			return err
		}
		defer snaps[0].Free()
		data, err := EncodeSnapshot(s, snaps[0])
		if err != nil {
			return err
		}
		rng, taken := rand.New(rand.NewPCG(1, 2)), 0
		for range 2000 {
			bad := append([]byte(nil), data...)
			bad[rng.IntN(len(bad))] ^= 1 << rng.IntN(8)
			snap, err := DecodeSnapshot(s, bad)
			if err != nil {
				continue
			}
			if m.st.MoveTo(9, 9, nil, snap) == nil {
				taken++
				if err := m.st.MoveTo(9, 9, nil, snaps[0]); err != nil {
					return err
				}
			}
			snap.Free()
		}
		if taken == 0 { // most flips hit data
			t.Error("no flipped frame was taken: the test shows nothing")
		}
		m.path = m.path[:9]
		_, err = m.feed(s, ids.fresh(5))
		return err
	})
}

func FuzzParseFrame(f *testing.F) {
	f.Add(aFrame(false))
	f.Add(aFrame(true))
	f.Add([]byte(frameMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := parseFrame(data)
		if err != nil {
			return
		}
		for _, l := range frame.layers {
			for _, x := range l.tensors {
				n := x.dtype.Size()
				for _, d := range x.shape {
					if d < 1 || d > math.MaxInt32 {
						t.Fatalf("a dimension of %d", d)
					}
					n *= d
				}
				if n != len(x.data) {
					t.Fatalf("%d bytes for %v%v", len(x.data), x.dtype, x.shape)
				}
			}
		}
		again, err := frame.append(nil)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("a frame of %d bytes is written with %d, %v", len(data), len(again), err)
		}
	})
}
