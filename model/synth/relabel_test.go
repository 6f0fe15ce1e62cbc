package synth

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/model/chat"
	"reprise/model/hub"
	"reprise/model/tokenizer"
)

// tokenizerDir writes a tokenizer of a few pieces with that many unused ids from 2 on, as the importer writes one.
func tokenizerDir(t *testing.T, unused int) string {
	t.Helper()
	type added struct {
		ID      int    `json:"id"`
		Content string `json:"content"`
		Special bool   `json:"special"`
		Single  bool   `json:"single_word"`
		L       bool   `json:"lstrip"`
		R       bool   `json:"rstrip"`
		Norm    bool   `json:"normalized"`
	}
	vocab := map[string]int{"<eos>": 0, "<bos>": 1}
	list := []added{{ID: 0, Content: "<eos>", Special: true}, {ID: 1, Content: "<bos>", Special: true}}
	for i := range unused {
		name := fmt.Sprintf("<unused%d>", i)
		vocab[name] = 2 + i
		list = append(list, added{ID: 2 + i, Content: name})
	}
	for _, piece := range []string{"a", "b", "▁"} {
		vocab[piece] = len(vocab)
	}
	dir := t.TempDir()
	for name, content := range map[string]any{
		"tokenizer.json": map[string]any{
			"version": "1.0", "added_tokens": list, "normalizer": nil, "pre_tokenizer": nil,
			"post_processor": map[string]any{"type": "TemplateProcessing", "single": []any{
				map[string]any{"SpecialToken": map[string]any{"id": "<bos>", "type_id": 0}}, map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}}},
				"pair": []any{}, "special_tokens": map[string]any{"<bos>": map[string]any{"id": "<bos>", "ids": []int{1}, "tokens": []string{"<bos>"}}}},
			"decoder": map[string]any{"type": "Fuse"}, "model": map[string]any{"type": "BPE", "vocab": vocab, "merges": []any{}},
		},
		"tokenizer_config.json": map[string]any{"bos_token": "<bos>", "eos_token": "<eos>", "chat_template": "old"},
	} {
		raw, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestQwensTokensOnABorrowedVocabulary(t *testing.T) {
	file := configFile(t, strings.Replace(small["qwen in mxfp4"], `"vocab_size": 640`, `"vocab_size": 12, "eos_token_id": 248044`, 1))
	dir := write(t, Options{Config: file, Tokenizer: tokenizerDir(t, 20), Template: chat.Qwen36Template})
	tok, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	ids, err := tok.Encode("<|im_start|>ab<think><|im_end|>", true)
	if want := []int32{3, 22, 23, 13, 4}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("ids %v, %v; want %v and no <bos>", ids, err, want)
	}
	if shown := tok.Decode(ids, true); shown != "ab<think>" {
		t.Errorf("shown is %q: marks are left out, <think> is not one", shown)
	}
	if !slices.Equal(tok.EOS(), []int32{4, 2}) {
		t.Errorf("ends are %v", tok.EOS())
	}
	c, err := hub.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(c.Text), `"vocab_size": 25`) || !strings.Contains(string(c.Text), `"eos_token_id": 2`) {
		t.Errorf("the config was not fitted: %s", c.Text)
	}
	if _, err := chat.LoadFor(dir); err != nil {
		t.Error(err)
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	for _, part := range []string{"Random weights", "not the model's own", "13 special tokens relabelled", "raised from 12"} {
		if err != nil || !strings.Contains(string(readme), part) {
			t.Errorf("the README lacks %q: %s, %v", part, readme, err)
		}
	}
}

func TestVocabulariesThatCannotBeBorrowed(t *testing.T) {
	file := configFile(t, small["qwen in mxfp4"])
	other := configFile(t, small["gemma4 with a table of 8 bit"])
	for _, tt := range []struct {
		config, tokenizer, want string
	}{
		{file, tokenizerDir(t, 5), "<|image_pad|>"},
		{other, tokenizerDir(t, 50), "no unused id"}, // Gemma 4's tokens have ids of their own, beyond this vocabulary
		{file, t.TempDir(), "tokenizer.json"},
	} {
		parent := t.TempDir()
		_, err := Write(context.Background(), filepath.Join(parent, "out"), Options{Config: tt.config, Tokenizer: tt.tokenizer})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want it to name %s", err, tt.want)
		}
		if left, _ := os.ReadDir(parent); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}
