package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLoadErrors(t *testing.T) {
	good := string(read(t, "testdata/fallback.json"))
	edit := func(change func(spec, model map[string]any)) string {
		var spec map[string]any
		if err := json.Unmarshal([]byte(good), &spec); err != nil {
			t.Fatal(err)
		}
		change(spec, spec["model"].(map[string]any))
		out, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	step := func(s string) string {
		return edit(func(spec, _ map[string]any) {
			var d any
			if err := json.Unmarshal([]byte(s), &d); err != nil {
				t.Fatal(err)
			}
			spec["decoder"] = d
		})
	}
	tests := []struct {
		name, tokenizerJSON, want string
	}{
		{"empty file", "", "ends too early"},
		{"truncated in the vocabulary", good[:len(good)/2], "ends too early"},
		{"truncated at the end", strings.TrimRight(good, "} \n"), "ends too early"},
		{"not JSON", "<html>", `found '<'`},
		{"more after the end", good + "{}", "the end of the file"},
		{"no vocabulary", edit(func(_, model map[string]any) { delete(model, "vocab") }), "model.vocab is absent"},
		{"a unigram model", edit(func(_, model map[string]any) { model["vocab"] = []any{} }), "Unigram"},
		{"an id that is no number", edit(func(_, model map[string]any) { model["vocab"] = map[string]any{"a": "x"} }), `piece "a"`},
		{"a huge id", edit(func(_, model map[string]any) { model["vocab"] = map[string]any{"a": 1 << 30} }), "has id 1073741824"},
		{"a negative id", edit(func(spec, _ map[string]any) {
			spec["added_tokens"] = []any{map[string]any{"id": -1, "content": "x"}}
		}), "has id -1"},
		{"a merge of unknown pieces", edit(func(_, model map[string]any) { model["merges"] = []any{"qq zz"} }), "qq"},
		{"a paired merge of unknown pieces", edit(func(_, model map[string]any) { model["merges"] = []any{[]any{"e", "qq"}} }), "Token `qq` out of vocabulary"},
		{"a merge whose result is unknown", edit(func(_, model map[string]any) { model["merges"] = []any{[]any{"<s>", "<s>"}} }), "<s><s>"},
		{"a merge of three", edit(func(_, model map[string]any) { model["merges"] = []any{[]any{"e", "e", "e"}} }), "two strings"},
		{"a merge of one", edit(func(_, model map[string]any) { model["merges"] = []any{"#version: 0.2", "e"} }), "invalid at line 1"},
		{"merges in both forms", edit(func(_, model map[string]any) {
			model["merges"] = []any{model["merges"].([]any)[0], []any{"e", "e"}, "e e"}
		}), "mixed"},
		{"no decoder", step("null"), "decoder is absent"},
		{"a decoder of another kind", step(`{"type":"WordPiece","prefix":"##","cleanup":true}`), `"WordPiece"`},
		{"a replacement by pattern", step(`{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"Regex":"a"},"content":"b"},{"type":"Fuse"}]}`), `"Replace"`},
		{"a strip at the end", step(`{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Strip","content":" ","start":0,"stop":1}]}`), `"Strip"`},
		{"pieces that are not fused", step(`{"type":"ByteFallback"}`), "without a Fuse"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := checkpoint(t, map[string]string{"tokenizer.json": test.tokenizerJSON})
			tok, err := Load(dir)
			if err == nil {
				tok.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), filepath.Join(dir, "tokenizer.json")) {
				t.Errorf("error %q names not both %q and the file", err, test.want)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		dir := t.TempDir()
		_, err := Load(dir)
		if err == nil || !strings.Contains(err.Error(), dir+" has no tokenizer.json") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a broken neighbour", func(t *testing.T) {
		_, err := Load(checkpoint(t, map[string]string{"tokenizer.json": good, "generation_config.json": "{"}))
		if err == nil || !strings.Contains(err.Error(), "generation_config.json") {
			t.Errorf("error %v", err)
		}
	})
}

// The vocabulary as encoding/json reads it, for files in any layout.
func TestVocabEqualsEncodingJSON(t *testing.T) {
	for _, kind := range kinds {
		data := read(t, "testdata/"+kind+".json")
		var want struct {
			Added []addedToken `json:"added_tokens"`
			Model struct {
				Vocab map[string]int32 `json:"vocab"`
			} `json:"model"`
		}
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		var compact strings.Builder
		enc := json.NewEncoder(&compact) // escapes <, > and &, sorts nothing in raw messages
		var raw map[string]json.RawMessage
		if err := json.Unmarshal(data, &raw); err != nil {
			t.Fatal(err)
		}
		if err := enc.Encode(raw); err != nil {
			t.Fatal(err)
		}
		for layout, text := range map[string]string{"as written": string(data), "compact": compact.String()} {
			v, err := parseVocab([]byte(text))
			if err != nil {
				t.Fatalf("%s, %s: %v", kind, layout, err)
			}
			for piece, id := range want.Model.Vocab {
				if got, ok := v.id(piece); !ok || got != id {
					t.Errorf("%s, %s: %q has id %d %v, want %d", kind, layout, piece, got, ok, id)
				}
			}
			for _, a := range want.Added {
				if got, _ := v.id(a.Content); got != a.ID || v.special[a.ID] != a.Special {
					t.Errorf("%s, %s: added token %+v has id %d, special %v", kind, layout, a, got, v.special[a.ID])
				}
			}
		}
	}
}

func FuzzParseVocab(f *testing.F) {
	f.Add([]byte(`{"added_tokens":[{"id":1,"content":"<s>","special":true}],"decoder":{"type":"Fuse"},"model":{"vocab":{"a":0,"\u00e9\n":2},"merges":[["a","b"],"c d"]}}`))
	f.Add([]byte(`{"model":{"vocab":{"a":0}}`))
	f.Add([]byte(`{"a":[}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseVocab(data)
		if err == nil && (len(v.pieces) == 0 || len(v.pieces) != len(v.special) || len(v.pieces) != len(v.present)) {
			t.Errorf("%d pieces, %d special, %d present", len(v.pieces), len(v.special), len(v.present))
		}
	})
}

// The small real model: Gemma's vocabulary of 262,144 pieces, as imported.
func TestRealTokenizer(t *testing.T) {
	dir := filepath.Join("..", "..", "third_party", "build", "models", "gemma-3-270m")
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	tok := loadDir(t, dir)
	// The ids are the published tokenizer.json's, by PyPI tokenizers 0.23.3.
	for text, want := range map[string][]int32{
		"The capital of France is": {2, 818, 5279, 529, 7001, 563},
		"नमस्ते दुनिया 👩‍👩‍👧‍👦\n\n\nx": {2, 226767, 19975, 236743, 243767, 237243, 243767, 237243, 244814, 237243, 244990, 109, 236781},
	} {
		got, err := tok.Encode(text, true)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		if back := tok.Decode(got, true); back != text {
			t.Errorf("%q came back as %q", text, back)
		}
	}
	if bos, ok := tok.BOS(); !ok || bos != 2 {
		t.Errorf("BOS %d %v, want 2", bos, ok)
	}
	if eos := tok.EOS(); !slices.Contains(eos, 1) || !slices.Contains(eos, 106) {
		t.Errorf("EOS %v lacks 1 or 106", eos)
	}
	for id := range int32(tok.VocabSize()) {
		if s := tok.NewStream(false); s.Push(id)+s.Flush() != naiveDecode(tok, []int32{id}, false) {
			t.Fatalf("id %d, %q: streamed otherwise than decoded", id, tok.Piece(id))
		}
	}
}
