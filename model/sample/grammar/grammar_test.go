package grammar

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"reprise/model/tokenizer"
)

// real is the small real model's checkpoint: SentencePiece with byte fallback, and Gemma 4's special tokens.
const real = "../../../third_party/build/models/gemma-3-270m"

// byteLevel is a small vocabulary of the other family.
const byteLevel = "../../tokenizer/testdata/bytelevel.json"

func open(t testing.TB, dir string) (*Tokenizer, *tokenizer.Tokenizer) {
	t.Helper()
	if filepath.Ext(dir) == ".json" {
		dir = checkpoint(t, dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "tokenizer.json")); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	v, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(v, v.VocabSize()+7, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Close()
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return g, v
}

// checkpoint is a folder with a tokenizer whose texts end with the last of its special tokens.
func checkpoint(t testing.TB, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	var spec struct {
		Added []struct {
			ID      int  `json:"id"`
			Special bool `json:"special"`
		} `json:"added_tokens"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &spec)
	}
	end := -1
	for _, a := range spec.Added {
		if a.Special {
			end = a.ID
		}
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"tokenizer.json": raw, "generation_config.json": fmt.Appendf(nil, `{"eos_token_id": %d}`, end)} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// walk draws an answer: every step any of what is allowed, short tokens and ends as likely as the rest together.
func walk(m *Matcher, v *tokenizer.Tokenizer, rng *rand.Rand, most int) (ids []int32, ended bool, err error) {
	allowed := make([]bool, m.tok.width)
	for range most {
		if err := m.Allowed(allowed); err != nil {
			return ids, false, err
		}
		var all []int32
		for id, ok := range allowed {
			if ok {
				all = append(all, int32(id))
			}
		}
		if len(all) == 0 {
			return ids, false, errors.New("nothing is allowed")
		}
		id := all[rng.IntN(len(all))]
		if slices.Contains(m.Ends(), id) {
			if !m.Complete() {
				return ids, false, errors.New("an end is allowed where the answer is not complete")
			}
			return ids, true, nil
		}
		if len(v.Bytes(id)) == 0 {
			return ids, false, fmt.Errorf("id %d, which the vocabulary does not have, is allowed", id)
		}
		ids = append(ids, id)
		if err := m.Take(id); err != nil {
			return ids, false, err
		}
	}
	return ids, false, nil
}

func TestARegexHoldsOnBothFamilies(t *testing.T) {
	for name, dir := range map[string]string{"gemma": real, "bytelevel": byteLevel} {
		t.Run(name, func(t *testing.T) {
			g, v := open(t, dir)
			for _, rx := range []string{`(red|green)( [a-z]{1,3}){0,2}`, `\p{Greek}{1,4}é?😀`, `<\|turn>|a{3,9}`, "\\n\\tx?", `[0-9]{4}-[0-9]{2}`} {
				m, err := g.Compile(Spec{Kind: Regex, Source: rx})
				if err != nil {
					t.Fatal(err)
				}
				want := regexp.MustCompile(`\A(?:` + rx + `)\z`)
				rng := rand.New(rand.NewPCG(1, 2))
				for range 20 {
					c := m.Clone()
					ids, ended, err := walk(c, v, rng, 64)
					c.Close()
					if text := v.Decode(ids, false); err != nil || !ended || !want.MatchString(text) {
						t.Errorf("%s gave %q, ended %v, %v", rx, text, ended, err)
					}
					if i := slices.IndexFunc(ids, v.Special); i >= 0 {
						t.Errorf("%s let the special token %q through as text", rx, v.Piece(ids[i]))
					}
				}
				m.Close()
			}
		})
	}
}
func TestWhatCannotBeHeldToIsAnError(t *testing.T) {
	g, _ := open(t, byteLevel)
	for _, c := range []struct {
		spec Spec
		says string
	}{
		{Spec{Kind: Regex, Source: `(`}, "unclosed"},
		{Spec{Kind: JSONSchema, Source: `{"type":"array","uniqueItems":true}`}, "uniqueItems"},
		{Spec{Kind: JSONSchema, Source: `{"type":"object","minLength":1,"patternProperties":{"(":{}}}`}, ""},
		{Spec{Kind: JSONSchema, Source: `{"type":"nonsense"}`}, "nonsense"},
		{Spec{Kind: JSONSchema, Source: `{"not":{"type":"string"}}`}, "not"},
		{Spec{Kind: JSONSchema, Source: `{`}, ""},
		{Spec{Kind: Lark, Source: `start: missing`}, "missing"},
		{Spec{Kind: Lark, Source: "start: \x00"}, "NUL"},
		{Spec{Kind: JSONSchema, Source: `{"oneOf":[{"type":"object","properties":{"a":{"type":"integer"}}},{"type":"object","properties":{"b":{"type":"integer"}}}]}`}, "oneOf"},
		{Spec{Kind: JSONSchema, Source: `{"type":"string","format":"klingon"}`}, "klingon"},
	} {
		m, err := g.Compile(c.spec)
		var named *CompileError
		if !errors.As(err, &named) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want a CompileError that says %q", c.spec, err, c.says)
		}
		if err == nil {
			m.Close()
		}
	}
}

func TestASpecialTokenIsNamedByID(t *testing.T) {
	g, v := open(t, real)
	open, _ := v.ID("<|tool_call>")
	m, err := g.Compile(Spec{Kind: Lark, Source: fmt.Sprintf("start: \"a\" <[%d]> /[^x]{1,3}/", open)})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ids, ended, err := walk(m, v, rand.New(rand.NewPCG(3, 4)), 32)
	if err != nil || !ended || ids[1] != open || slices.ContainsFunc(ids[2:], v.Special) {
		t.Errorf("%v (%q), ended %v, %v", ids, v.Decode(ids, false), ended, err)
	}
}

// Where only one text is possible its ids are the tokenizer's own, also where the text spells a special token.
func TestForcedTextHasTheTokenizersIDs(t *testing.T) {
	g, v := open(t, real)
	for _, text := range []string{`call:read{path:README.md,limit:400}`, "two\nlines of  text", "<|tool_call>call:x", "ein Käse"} {
		quoted, _ := json.Marshal(text)
		m, err := g.Compile(Spec{Kind: Lark, Source: "start: " + string(quoted)})
		if err != nil {
			t.Fatal(err)
		}
		ids, ended, err := walk(m, v, rand.New(rand.NewPCG(5, 6)), 64)
		m.Close()
		want, _ := v.Encode(text, false)
		special := slices.ContainsFunc(want, v.Special)
		if err != nil || !ended || v.Decode(ids, false) != text || !special && !slices.Equal(ids, want) || slices.ContainsFunc(ids, v.Special) {
			t.Errorf("%q: %v, ended %v, %v, want %v", text, ids, ended, err, want)
		}
	}
}
