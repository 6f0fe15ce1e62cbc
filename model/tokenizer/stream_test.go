package tokenizer

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// Decode against texts that make.py computed with Python's UTF-8 decoder.
func TestDecodeEqualsPython(t *testing.T) {
	for _, kind := range kinds {
		tok := load(t, kind)
		for _, s := range loadVectors(t, kind).Sequences {
			if got := tok.Decode(s.IDs, false); got != s.Kept {
				t.Errorf("%s %v: decoded to %q, want %q", kind, s.IDs, got, s.Kept)
			}
			if got := tok.Decode(s.IDs, true); got != s.Skipped {
				t.Errorf("%s %v without special tokens: decoded to %q, want %q", kind, s.IDs, got, s.Skipped)
			}
		}
	}
}

// A stream stopped after any id has given what Decode gives, and whole
// characters at every push.
func TestStreamEqualsDecodeAtEverySplit(t *testing.T) {
	for _, kind := range kinds {
		tok := load(t, kind)
		v := loadVectors(t, kind)
		for _, text := range v.Texts {
			checkSplits(t, tok, text.WithSpecial)
		}
		for _, s := range v.Sequences {
			checkSplits(t, tok, s.IDs)
		}
	}
}

func checkSplits(t *testing.T, tok *Tokenizer, ids []int32) {
	t.Helper()
	for _, skip := range []bool{false, true} {
		for split := range len(ids) + 1 {
			var text strings.Builder
			stream := tok.NewStream(skip)
			for _, id := range ids[:split] {
				piece := stream.Push(id)
				if !utf8.ValidString(piece) {
					t.Fatalf("%v: Push(%d) returned part of a character: %q", ids, id, piece)
				}
				text.WriteString(piece)
			}
			held := stream.text.n
			if held > 3 {
				t.Fatalf("%v: %d bytes held back after %d ids", ids, held, split)
			}
			text.WriteString(stream.Flush())
			want := naiveDecode(tok, ids[:split], skip)
			if text.String() != want {
				t.Fatalf("%v, first %d, skip %v: streamed %q, want %q", ids, split, skip, text.String(), want)
			}
			if got := tok.Decode(ids[:split], skip); got != want {
				t.Fatalf("%v, first %d, skip %v: decoded %q, want %q", ids, split, skip, got, want)
			}
		}
	}
}

// naiveDecode joins all bytes first and reads them as UTF-8 in one go, which
// bytes.ToValidUTF8 does not do in our way: it merges neighbouring errors.
func naiveDecode(tok *Tokenizer, ids []int32, skip bool) string {
	var all []byte
	for _, id := range ids {
		if !skip || !tok.Special(id) {
			all = append(all, tok.Bytes(id)...)
		}
	}
	if len(tok.vocab.decode.strip) > 0 {
		all = bytes.TrimPrefix(all, []byte(" "))
	}
	var text strings.Builder
	for len(all) > 0 {
		n := 1
		if r, size := utf8.DecodeRune(all); r != utf8.RuneError || size > 1 {
			text.Write(all[:size])
			all = all[size:]
			continue
		}
		for n < len(all) && !utf8.FullRune(all[:n]) { // the longest start of any character
			n++
		}
		if n > 1 && utf8.FullRune(all[:n]) {
			n--
		}
		text.WriteRune(utf8.RuneError)
		all = all[n:]
	}
	return text.String()
}

// The library's own decoder as oracle, on random ids. It differs where
// documented: in broken byte runs of the byte-fallback kinds, and it cannot
// return a NUL.
func TestDecodeEqualsLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, kind := range kinds {
		tok := load(t, kind)
		compared := 0
		for range 3000 {
			ids := randomIDs(rng, tok.VocabSize())
			skip := rng.IntN(2) == 0
			got := tok.Decode(ids, skip)
			if strings.ContainsRune(got, 0) || (kind != "bytelevel" && strings.ContainsRune(got, utf8.RuneError)) {
				continue
			}
			compared++
			if want := tok.encoder.Decode(unsigned(ids), skip); got != want {
				t.Fatalf("%s %v, skip %v: %q, the library says %q", kind, ids, skip, got, want)
			}
		}
		if compared < 300 {
			t.Errorf("%s: only %d of 3000 sequences could be compared", kind, compared)
		}
	}
}

// Random ids, also outside the vocabulary, at every split.
func TestStreamOfRandomIDs(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, kind := range kinds {
		tok := load(t, kind)
		for range 200 {
			checkSplits(t, tok, append(randomIDs(rng, tok.VocabSize()), -1, int32(tok.VocabSize()), 5))
		}
	}
}

func randomIDs(rng *rand.Rand, size int) []int32 {
	ids := make([]int32, 1+rng.IntN(12))
	for i := range ids {
		ids[i] = int32(rng.IntN(size))
	}
	return ids
}

func unsigned(ids []int32) []uint32 {
	out := make([]uint32, len(ids))
	for i, id := range ids {
		out[i] = uint32(id)
	}
	return out
}

func TestFlushMakesTheStreamNew(t *testing.T) {
	tok := load(t, "prefixed")
	ids, err := tok.Encode("héllo 😀", false)
	if err != nil {
		t.Fatal(err)
	}
	stream := tok.NewStream(false)
	for round := range 3 {
		var text strings.Builder
		for _, id := range ids {
			text.WriteString(stream.Push(id))
		}
		text.WriteString(stream.Flush())
		if text.String() != "héllo 😀" {
			t.Errorf("round %d: %q", round, text.String())
		}
	}
}
