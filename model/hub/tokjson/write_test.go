package tokjson

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"reprise/model/hub/gguf"
	"reprise/model/hub/gguf/gguftest"
)

// smallVocab has every kind of piece and two ways to spell "abab".
func smallVocab() *Vocab {
	v := &Vocab{BOS: 1, EOS: 2, Unk: 0, Pad: None, AddBOS: true}
	add := func(piece string, kind Kind, score float32) {
		v.Pieces, v.Kinds, v.Scores = append(v.Pieces, piece), append(v.Kinds, kind), append(v.Scores, score)
	}
	add("<unk>", Control, -1000)
	add("<bos>", Control, -1000)
	add("<eos>", Control, -1000)
	add("<unused0>", Control, -1000)
	add("▁▁▁", UserDefined, -1000)
	add("▁▁", UserDefined, -1000)
	add("<0x41>", Byte, 0)
	add("a", Normal, -9)
	add("b", Normal, -8)
	add("▁", Normal, -7)
	add("ab", Normal, -1)
	add("ba", Normal, -2)
	add("aba", Normal, -3)
	add("abab", Normal, -4)
	add("<eosab", Normal, -5) // "<eos" is no piece: no merge
	add("ßa", Normal, -6)
	add("ß", Normal, -10)
	return v
}

// tokenizerFile is what a test reads back of a tokenizer.json.
type tokenizerFile struct {
	Added []addedToken `json:"added_tokens"`
	Post  struct {
		Single []map[string]map[string]any `json:"single"`
	} `json:"post_processor"`
	Model struct {
		Vocab  map[string]int `json:"vocab"`
		Merges [][2]string    `json:"merges"`
	} `json:"model"`
}

func written(t *testing.T, v *Vocab) ([]byte, tokenizerFile) {
	t.Helper()
	var b bytes.Buffer
	if err := v.WriteTokenizer(&b); err != nil {
		t.Fatal(err)
	}
	var file tokenizerFile
	if err := json.Unmarshal(b.Bytes(), &file); err != nil {
		t.Fatalf("not JSON: %v", err)
	}
	return b.Bytes(), file
}

func TestMerges(t *testing.T) {
	data, file := written(t, smallVocab())
	want := [][2]string{
		{"▁▁", "▁"}, {"▁", "▁▁"}, {"▁", "▁"}, // user-defined: score 0, longer left side first
		{"a", "b"}, {"b", "a"}, // -1, -2
		{"ab", "a"}, {"a", "ba"}, // -3
		{"aba", "b"}, {"ab", "ab"}, // -4
		{"ß", "a"}, // -6; "ß" is one character of two bytes
	}
	if !reflect.DeepEqual(file.Model.Merges, want) {
		t.Errorf("merges %q,\nwant %q", file.Model.Merges, want)
	}
	if again, _ := written(t, smallVocab()); !bytes.Equal(data, again) {
		t.Error("a second writing gave other bytes")
	}
	var ids []int
	special := map[int]bool{}
	for _, a := range file.Added {
		ids = append(ids, a.ID)
		special[a.ID] = a.Special
		if a.Content != smallVocab().Pieces[a.ID] || a.Normalized {
			t.Errorf("added token %+v", a)
		}
	}
	if want := []int{0, 1, 2, 3, 4, 5}; !slices.Equal(ids, want) {
		t.Errorf("added tokens %v, want %v", ids, want)
	}
	if !special[0] || !special[1] || !special[2] || special[3] || special[4] {
		t.Errorf("special: %v", special)
	}
	if len(file.Post.Single) != 2 || file.Post.Single[0]["SpecialToken"]["id"] != "<bos>" {
		t.Errorf("post-processor %v does not add bos", file.Post.Single)
	}
}

// TestRenamedTokenIsNotSpelled: "<unused0>" becomes "abba", which the pieces
// could spell. Only the added-token table may give it.
func TestRenamedTokenIsNotSpelled(t *testing.T) {
	v := smallVocab()
	if err := v.Rename(3, "abba"); err != nil {
		t.Fatal(err)
	}
	_, file := written(t, v)
	if file.Model.Vocab["abba"] != 3 || !file.Added[3].Special || file.Added[3].Content != "abba" {
		t.Errorf("renamed token: id %d, %+v", file.Model.Vocab["abba"], file.Added[3])
	}
	if _, old := file.Model.Vocab["<unused0>"]; old {
		t.Error("the old name is still there")
	}
	for _, m := range file.Model.Merges {
		if m[0]+m[1] == "abba" {
			t.Errorf("merge %q spells the special token", m)
		}
	}
	for id, name := range map[int]string{7: "<x>", 99: "<x>", 1: "<eos>"} {
		if err := v.Rename(id, name); err == nil {
			t.Errorf("token %d became %s", id, name)
		}
	}
}

// digests are what testdata/published.py noted of the published tokenizer.json.
type digests struct {
	Vocab        int    `json:"vocab"`
	VocabSHA256  string `json:"vocab_sha256"`
	Merges       int    `json:"merges"`
	MergesSHA256 string `json:"merges_sha256"`
}

// TestRealVocabularyIsThePublishedOne compares the whole vocabulary and every
// merge, in order, with the tokenizer that the model was published with.
func TestRealVocabularyIsThePublishedOne(t *testing.T) {
	f, err := gguf.Open(gguftest.SmallModel(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v, err := FromGGUF(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/published.json")
	if err != nil {
		t.Fatal(err)
	}
	var want digests
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	_, file := written(t, v)
	got := digests{Vocab: len(file.Model.Vocab), Merges: len(file.Model.Merges)}
	vocab, merges := sha256.New(), sha256.New()
	for _, piece := range slices.SortedFunc(maps.Keys(file.Model.Vocab), func(a, b string) int {
		return file.Model.Vocab[a] - file.Model.Vocab[b]
	}) {
		fmt.Fprintf(vocab, "%d\x00%s\x00", file.Model.Vocab[piece], piece)
	}
	for _, m := range file.Model.Merges {
		fmt.Fprintf(merges, "%s\x00%s\x00", m[0], m[1])
	}
	got.VocabSHA256, got.MergesSHA256 = hex.EncodeToString(vocab.Sum(nil)), hex.EncodeToString(merges.Sum(nil))
	if got != want {
		t.Errorf("vocabulary and merges %+v,\nthe published ones are %+v", got, want)
	}
}

func TestFromGGUFRefuses(t *testing.T) {
	good := func() *gguftest.Builder {
		b := &gguftest.Builder{}
		b.Set("tokenizer.ggml.model", "llama")
		b.Set("tokenizer.ggml.tokens", []string{"<unk>", "a", "b"})
		b.Set("tokenizer.ggml.scores", []float32{0, -1, -2})
		b.Set("tokenizer.ggml.token_type", []int32{2, 1, 1})
		b.Set("tokenizer.ggml.unknown_token_id", uint32(0))
		b.Set("tokenizer.ggml.add_bos_token", false)
		b.Set("tokenizer.ggml.add_space_prefix", false)
		return b
	}
	open := func(b *gguftest.Builder) (*Vocab, error) {
		path := filepath.Join(t.TempDir(), "test.gguf")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return FromGGUF(f)
	}
	if _, err := open(good()); err != nil {
		t.Fatalf("the good file: %v", err)
	}
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"tokenizer.ggml.model", "gpt2", `tokenizer "gpt2" is not supported`},
		{"tokenizer.ggml.add_space_prefix", true, "adds a space before the text"},
		{"tokenizer.ggml.tokens", []string{"<unk>", "a", "a"}, `tokens 1 and 2 are both "a"`},
		{"tokenizer.ggml.tokens", []string{"<unk>", "a", "\xff"}, "token 2 is not valid UTF-8"},
		{"tokenizer.ggml.tokens", uint32(1), "is uint32, not []string"},
		{"tokenizer.ggml.scores", []float32{0}, "3 pieces, 1 scores and 3 kinds"},
		{"tokenizer.ggml.unknown_token_id", uint32(3), "3 is outside the vocabulary of 3"},
		{"tokenizer.ggml.add_bos_token", true, "adds a bos or eos token that it does not name"},
	} {
		b := good()
		b.Set(c.key, c.value)
		if _, err := open(b); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "test.gguf") {
			t.Errorf("%s = %v: error %v, want %q and the file", c.key, c.value, err, c.want)
		}
	}
}
