package prompt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"reprise/model/chat"
)

func key(n int) (k Key) {
	binary.LittleEndian.PutUint64(k[:], uint64(n))
	return k
}

// A naive store beside the record: what was used last stays, bytes are bounded, and the rules of precedence hold.
func TestRecordAgainstNaive(t *testing.T) {
	const limit = 20 * (entryOverhead + 40)
	var changed []Entry
	r := NewRecord(limit, func(e Entry) { changed = append(changed, e) })
	var naive []Entry // used last first
	rng := rand.New(rand.NewPCG(1, 6))
	for step := range 20_000 {
		k := key(rng.IntN(60))
		at := slices.IndexFunc(naive, func(e Entry) bool { return e.Key == k })
		if rng.IntN(2) == 0 {
			got, ok := r.Echo(k)
			if ok != (at >= 0) {
				t.Fatalf("step %d: found %v, want %v", step, ok, at >= 0)
			}
			if ok {
				e := naive[at]
				e.Echoed = true
				naive = slices.Insert(slices.Delete(naive, at, at+1), 0, e)
				if !slices.Equal(got.IDs, e.IDs) || got.Loose != e.Loose || !got.Echoed {
					t.Fatalf("step %d: got %v, want %v", step, got, e)
				}
			}
			continue
		}
		e := Entry{Key: k, Loose: rng.IntN(2) == 0, Head: []int32{1}, IDs: make([]int32, 1+rng.IntN(20))}
		e.IDs[0] = int32(step)
		r.Add(e)
		if at >= 0 {
			if naive[at].Echoed || e.Loose && !naive[at].Loose {
				continue
			}
			naive = slices.Delete(naive, at, at+1)
		}
		naive = slices.Insert(naive, 0, e)
		size := func() (n int64) {
			for _, e := range naive {
				n += e.bytes()
			}
			return n
		}
		for size() > limit {
			naive = naive[:len(naive)-1]
		}
		if r.Bytes() != size() {
			t.Fatalf("step %d: %d bytes, want %d", step, r.Bytes(), size())
		}
	}
	i := 0
	for e := range r.All() {
		if i >= len(naive) || e.Key != naive[i].Key || e.Echoed != naive[i].Echoed {
			t.Fatalf("entry %d is %v", i, e)
		}
		i++
	}
	if i != len(naive) || i < 15 {
		t.Errorf("%d entries, want %d", i, len(naive))
	}
	latest := map[Key]Entry{}
	for _, e := range changed {
		latest[e.Key] = e
	}
	for _, e := range naive {
		if !slices.Equal(latest[e.Key].IDs, e.IDs) || latest[e.Key].Echoed != e.Echoed {
			t.Errorf("what was told of %v is %v", e, latest[e.Key])
		}
	}
}

func TestEntryOnDisk(t *testing.T) {
	entries := []Entry{
		{Key: key(1), IDs: []int32{}, Head: []int32{}},
		{Key: key(-1), Loose: true, Head: []int32{105, 4368, 107}, IDs: []int32{0, 262143, 1}},
		{Key: key(7), Echoed: true, Loose: true, Head: []int32{}, IDs: []int32{5}},
	}
	var file []byte
	for _, e := range entries {
		var err error
		if file, err = e.AppendBinary(file); err != nil {
			t.Fatal(err)
		}
	}
	rest := file
	for _, want := range entries {
		got, n, err := DecodeEntry(rest)
		if err != nil || got.Key != want.Key || got.Loose != want.Loose || got.Echoed != want.Echoed || !slices.Equal(got.Head, want.Head) || !slices.Equal(got.IDs, want.IDs) {
			t.Fatalf("%v came back as %v, %v", want, got, err)
		}
		rest = rest[n:]
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes are left", len(rest))
	}
	for n := range len(file) {
		if _, _, err := DecodeEntry(file[:n]); n < 52 && !errors.Is(err, ErrShortEntry) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	one, _ := entries[1].AppendBinary(nil)
	for bit := range 8 * len(one) {
		bad := bytes.Clone(one)
		bad[bit/8] ^= 1 << (bit % 8)
		if e, _, err := DecodeEntry(bad); err == nil {
			t.Fatalf("bit %d flipped: read as %v", bit, e)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	seed, _ := Entry{Key: key(3), Head: []int32{1, 2}, IDs: []int32{3}}.AppendBinary(nil)
	f.Add(seed)
	f.Add(seed[:20])
	f.Add(append(bytes.Clone(seed[:40]), 255, 255, 255, 0, 255, 255, 255, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, n, err := DecodeEntry(data)
		if err != nil {
			return
		}
		again, err := e.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, data[:n]) {
			t.Errorf("%v is written as % x, was % x", e, again, data[:n])
		}
	})
}

// An entry with ids that the model has not, from a damaged disk whose checksum holds, is not put back.
func TestForeignIDsAreNotPutBack(t *testing.T) {
	a := assembler(t, "gemma4")
	p := assemble(t, a, Input{Messages: messages(t, "[%s]", user("Hi."))})
	a.Remember(p, sampled(t, a, "Hello.<turn|>"), chat.NewMessage("assistant", "Hello."))
	spoilt := NewRecord(1<<20, nil)
	for e := range a.Record.All() {
		raw, _ := e.AppendBinary(nil)
		binary.LittleEndian.PutUint32(raw[len(raw)-8:], uint32(a.Vocab))
		binary.LittleEndian.PutUint32(raw[len(raw)-4:], crc32.ChecksumIEEE(raw[:len(raw)-4]))
		e, _, err := DecodeEntry(raw)
		if err != nil {
			t.Fatal(err)
		}
		spoilt.Add(e)
	}
	b := assembler(t, "gemma4")
	b.Record = spoilt
	if next := assemble(t, b, Input{Messages: messages(t, "[%s,%s,%s]", user("Hi."), said1("Hello."), user("More."))}); next.Spliced != 0 {
		t.Errorf("%d tokens put back", next.Spliced)
	}
}

// Run with -race: conversations side by side in one assembler.
func TestConcurrentConversations(t *testing.T) {
	for _, family := range familyNames {
		a := assembler(t, family)
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				in := Input{Messages: messages(t, `[{"role":"system","content":"You are terse."},%s]`, user(fmt.Sprint("Hello from ", i%3)))}
				for turn := range 4 {
					p, err := a.Assemble(t.Context(), in)
					if err != nil {
						t.Error(err)
						return
					}
					text := fmt.Sprintf("Answer %d to %d.", turn, i%3)
					ids := sampled(t, a, answer{text: text}.output(family, true))
					a.Remember(p, ids, chat.NewMessage("assistant", text))
					in.Messages = append(slices.Clone(in.Messages), messages(t, "[%s,%s]", said1(text), user("More."))...)
					if next, err := a.Assemble(t.Context(), in); err != nil || !hasPrefix(next.IDs, p.IDs) {
						t.Errorf("conversation %d, turn %d: %v", i, turn, err)
					}
				}
			})
		}
		wg.Wait()
	}
}
