package tokenizer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// counted wraps a memo's way to the library: the characters that really went there.
func counted(m *Memo) *int {
	given, encode := new(int), m.encode
	m.encode = func(text string) ([]int32, error) {
		*given += utf8.RuneCountInString(text)
		return encode(text)
	}
	return given
}

// withAdded loads a kind with further added tokens.
func withAdded(t *testing.T, kind string, change func(spec map[string]any), tokens ...addedToken) *Tokenizer {
	t.Helper()
	var spec map[string]any
	if err := json.Unmarshal(read(t, "testdata/"+kind+".json"), &spec); err != nil {
		t.Fatal(err)
	}
	added := spec["added_tokens"].([]any)
	id := 0.0
	for _, a := range added {
		id = max(id, a.(map[string]any)["id"].(float64))
	}
	for _, v := range spec["model"].(map[string]any)["vocab"].(map[string]any) {
		id = max(id, v.(float64))
	}
	for i, x := range tokens {
		x.ID = int32(id) + 1 + int32(i)
		added = append(added, x)
	}
	spec["added_tokens"] = added
	if change != nil {
		change(spec)
	}
	out, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return loadDir(t, checkpoint(t, map[string]string{"tokenizer.json": string(out)}))
}

// memoKinds are tokenizers on which a wrong idea of how a text is cut would show: tokens that overlap, begin with
// each other, end in white space, or are matched in the normalized text.
func memoKinds(t *testing.T) map[string]*Tokenizer {
	odd := []addedToken{
		{Content: "<turn>user", Special: true}, {Content: "<tur", Special: true}, {Content: "er<", Special: false}, {Content: "<turn>  ", Special: true},
		{Content: "</turn>\n", Special: false}, {Content: "héllo", Special: true}, {Content: "norm", Special: true, Normalized: true}, {Content: " the", Special: true},
	}
	kinds := map[string]*Tokenizer{
		"taking white space along": withAdded(t, "fallback", nil, addedToken{Content: "<strip>", Special: true, LStrip: true, RStrip: true}),
		"single words":             withAdded(t, "fallback", nil, addedToken{Content: "word", Special: true, SingleWord: true}),
		"first word apart": withAdded(t, "fallback", func(spec map[string]any) {
			spec["normalizer"] = nil
			spec["pre_tokenizer"] = map[string]any{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true}
		}),
	}
	for _, name := range []string{"fallback", "prefixed", "bytelevel"} {
		kinds[name] = load(t, name)
		kinds[name+", odd"] = withAdded(t, name, nil, odd...)
	}
	return kinds
}

// randomTexts are conversations of sorts, made of what could mislead a cutter.
func randomTexts(n int) []string {
	parts := []string{"<s>", "</s>", "<turn>", "</turn>", "<turn>user", "user", "<tur", "<", ">", "\n", "\n\n", " ", "  ", "the", " the capital", "er<turn>", "héllo", "norm", "word", "<strip>",
		"<tool>", "<tool call>", "Größe ", "é", "e\u0301", "😀", "▁", "<0x41>", "12", ".", "func main() {}"}
	rng := rand.New(rand.NewPCG(3, 1))
	texts := make([]string, n)
	for i := range texts {
		var b strings.Builder
		for range rng.IntN(24) {
			b.WriteString(parts[rng.IntN(len(parts))])
		}
		texts[i] = b.String()
	}
	return texts
}

// The ids with a memo, cold, warm and under pressure, are those without.
func TestMemoEqualsEncode(t *testing.T) {
	for name, tok := range memoKinds(t) {
		texts := randomTexts(300)
		for _, v := range loadVectors(t, "fallback").Texts {
			texts = append(texts, v.Text)
		}
		wide, tight := tok.NewMemo(1<<20), tok.NewMemo(3*pieceOverhead)
		for round := range 2 {
			for _, text := range texts {
				want, err := tok.Encode(text, false)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range []*Memo{wide, tight} {
					got, err := m.Encode(text)
					if err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(got.IDs, want) {
						t.Fatalf("%s, round %d: %q is %v, want %v", name, round, text, got.IDs, want)
					}
					if m.Bytes() > m.limit {
						t.Fatalf("%s: the memo holds %d of %d bytes", name, m.Bytes(), m.limit)
					}
				}
			}
		}
	}
}

func TestMemoGivesTheTailOnly(t *testing.T) {
	for _, kind := range kinds {
		tok := load(t, kind)
		m := tok.NewMemo(8 << 20)
		given := counted(m)
		var b strings.Builder
		for turn := range 2000 {
			fmt.Fprintf(&b, "<turn>user\nquestion %d about the capital of France, and of Italy, %d</turn>\n", turn, turn*7919)
		}
		base := b.String()
		first, err := m.Encode(base + "<turn>model\n")
		if err != nil {
			t.Fatal(err)
		}
		if len(first.IDs) < 60_000 {
			t.Fatalf("%s: the prompt has %d tokens only", kind, len(first.IDs))
		}
		if *given < len(base) || *given > len(base)+100 || first.Given != *given {
			t.Errorf("%s: cold, the library was given %d of %d characters; counted %d", kind, *given, len(base), first.Given)
		}
		*given = 0
		tail := "<turn>model\nParis, and Rome: both lie on a river, " + strings.Repeat("and so on ", 20) + "</turn>\n"
		second, err := m.Encode(base + tail + "<turn>model\n")
		if err != nil {
			t.Fatal(err)
		}
		if *given == 0 || *given > len(tail) || second.Given != *given {
			t.Errorf("%s: for a tail of %d characters the library was given %d; counted %d", kind, len(tail), *given, second.Given)
		}
		if !slices.Equal(second.IDs[:len(first.IDs)-3], first.IDs[:len(first.IDs)-3]) {
			t.Errorf("%s: the shared part has other ids", kind)
		}
		*given = 0
		edited := "<turn>user\nan edited first message, quite as long as the others are</turn>\n" + base[strings.Index(base, "<turn>user\nquestion 1 "):] + "<turn>model\nanother tail</turn>\n"
		third, err := m.Encode(edited)
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := tok.Encode(edited, false); *given == 0 || *given > 300 || !slices.Equal(third.IDs, want) {
			t.Errorf("%s: for a new beginning and a new tail the library was given %d characters", kind, *given)
		}
		*given = 0
		if again, err := m.Encode(base + tail + "<turn>model\n"); err != nil || *given != 0 || again.Given != 0 || !slices.Equal(again.IDs, second.IDs) {
			t.Errorf("%s: the same prompt gave the library %d characters, %v", kind, *given, err)
		}
	}
}

// What was needed last stays, whatever came in between.
func TestMemoForgetsTheOldest(t *testing.T) {
	m := load(t, "fallback").NewMemo(40 * (pieceOverhead + 40))
	given := counted(m)
	encode := func(text string) {
		t.Helper()
		if _, err := m.Encode(text); err != nil {
			t.Fatal(err)
		}
	}
	encode("<turn>kept</turn>")
	for i := range 500 {
		encode(fmt.Sprintf("<turn>passing %d</turn>", i))
		*given = 0
		if encode("<turn>kept</turn>"); *given != 0 {
			t.Fatalf("forgotten after %d others", i+1)
		}
	}
	if encode("<turn>passing 1</turn>"); *given == 0 {
		t.Error("a memo of forty pieces holds five hundred")
	}
}

// Where a token begins, by decoding: what stands before it is the text before it.
func TestTokenAt(t *testing.T) {
	for name, tok := range memoKinds(t) {
		if strings.HasPrefix(name, "prefixed") || name == "first word apart" {
			continue // its decoder cannot tell the space that it puts before each piece
		}
		exact, within := 0, 0
		for _, text := range randomTexts(300) {
			e, err := tok.NewMemo(1 << 20).Encode(text)
			if err != nil {
				t.Fatal(err)
			}
			if tok.Decode(e.IDs, false) != text {
				continue // composed, or white space that a token took along
			}
			begins := map[int]int{} // byte → the first token that begins there
			for i := len(e.IDs); i >= 0; i-- {
				var n int
				for _, id := range e.IDs[:i] {
					n += len(tok.Bytes(id))
				}
				begins[n] = i
			}
			for at := range len(text) + 1 {
				got, isExact := e.TokenAt(at)
				want, ok := begins[at]
				if isExact != ok || ok && got != want {
					t.Fatalf("%s: byte %d of %q: token %d, exact %v; want %d, %v of %v", name, at, text, got, isExact, want, ok, e.IDs)
				}
				if isExact {
					exact++
				} else if within++; len(tok.Decode(e.IDs[:got], false)) > at {
					t.Fatalf("%s: byte %d of %q lies before token %d", name, at, text, got)
				}
			}
		}
		if exact < 1000 || within < 100 {
			t.Errorf("%s: only %d exact and %d other places were looked at", name, exact, within)
		}
	}
	// A text that its tokenizer composes has places only where special tokens are.
	e, err := load(t, "bytelevel").NewMemo(1 << 20).Encode("<turn>e\u0301 x</turn>y")
	if err != nil {
		t.Fatal(err)
	}
	if at, exact := e.TokenAt(len("<turn>e\u0301 ")); at != 1 || exact {
		t.Errorf("token %d, exact %v: want the piece's first", at, exact)
	}
	if at, exact := e.TokenAt(len("<turn>e\u0301 x</turn>")); e.IDs[at-1] != 5 && !exact {
		t.Errorf("token %d, exact %v", at, exact)
	}
}

func TestMemoRefusesNUL(t *testing.T) {
	if _, err := load(t, "fallback").NewMemo(1 << 20).Encode("<turn>ab\x00"); err == nil || !strings.Contains(err.Error(), "NUL character at byte 8") {
		t.Errorf("error %v", err)
	}
}

// Run with -race.
func TestMemoConcurrent(t *testing.T) {
	tok := load(t, "fallback")
	m := tok.NewMemo(20 * pieceOverhead)
	texts := randomTexts(40)
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for _, text := range texts {
				want, _ := tok.Encode(text, false)
				if got, err := m.Encode(text); err != nil || !slices.Equal(got.IDs, want) {
					t.Errorf("%q: %v", text, err)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
}
