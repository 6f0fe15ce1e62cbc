package synth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"reprise/model/hub/importer"
)

// vocabulary is a borrowed tokenizer, ready to be written.
type vocabulary struct {
	tokenizer []byte         // tokenizer.json
	config    map[string]any // tokenizer_config.json
	ends      []int32        // ids that end a generation
	says      string         // whose it is and what was done to it
}

// token is a special token of a family. Only marked ones are left out of text that is shown.
type token struct {
	name   string
	marked bool
}

// qwenTokens are Qwen's, as its tokenizer marks them.
var qwenTokens = []token{
	{"<|endoftext|>", true}, {"<|im_start|>", true}, {"<|im_end|>", true}, {"<|vision_start|>", true}, {"<|vision_end|>", true},
	{"<|image_pad|>", true}, {"<|video_pad|>", true}, {"<tool_call>", false}, {"</tool_call>", false}, {"<tool_response>", false},
	{"</tool_response>", false}, {"<think>", false}, {"</think>", false},
}

func qwen(modelType string) bool { return strings.HasPrefix(modelType, "qwen") }

// tokenizerFile is tokenizer.json as far as relabelling goes.
type tokenizerFile struct {
	fields map[string]json.RawMessage
	added  []map[string]any
	model  map[string]json.RawMessage
	vocab  map[string]int // the model's
	ids    map[string]int // of every token, added ones too
}

// borrow takes the tokenizer of dir for the config, whose family's special tokens go to unused ids where they are
// missing, and fits the config to it.
func borrow(dir string, raw []byte) (*vocabulary, []byte, error) {
	c, err := parse(raw)
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(dir, "tokenizer.json")
	t, err := readTokenizer(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	v := &vocabulary{}
	if v.config, err = tokenizerConfig(dir); err != nil {
		return nil, nil, err
	}
	modelType, _ := c.top["model_type"].(string)
	names, ends := gemmaNames(t), []string{"<eos>", "<turn|>", "<|tool_response>"}
	if qwen(modelType) {
		names, ends = qwenNames(t), []string{"<|im_end|>", "<|endoftext|>"}
	}
	if err := t.rename(names); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if qwen(modelType) {
		t.fields["post_processor"] = json.RawMessage("null") // nothing stands before a text
		c.useQwenIDs(t.ids)
		v.config["add_bos_token"], v.config["bos_token"] = false, nil
		v.config["eos_token"], v.config["pad_token"] = "<|im_end|>", "<|endoftext|>"
	}
	for _, name := range ends {
		if id, ok := t.ids[name]; ok {
			v.ends = append(v.ends, int32(id))
		}
	}
	v.says = t.whose(dir, len(names))
	if size := len(t.ids); c.int("vocab_size") < size {
		v.says += fmt.Sprintf("; vocab_size was raised from %d to its %d", c.int("vocab_size"), size)
		c.raiseVocab(size)
	}
	if v.tokenizer, err = t.marshal(); err != nil {
		return nil, nil, err
	}
	out, err := json.Marshal(c.top)
	return v, out, err
}

// whose says whose vocabulary it is. Gemma 3's is known by its size and its thousands of unused ids.
func (t *tokenizerFile) whose(dir string, renamed int) string {
	from := "that of " + filepath.Base(filepath.Clean(dir))
	_, gemma := t.ids["<unused6241>"]
	if gemma {
		from = "Gemma 3's (from " + filepath.Base(filepath.Clean(dir)) + ")"
	}
	_, relabelled := t.ids["<|turn>"]
	switch {
	case renamed > 0:
		return fmt.Sprintf("it is %s, with %d special tokens relabelled onto unused ids", from, renamed)
	case gemma && relabelled:
		return fmt.Sprintf("it is %s, whose unused ids carry Gemma 4's special tokens", from)
	}
	return fmt.Sprintf("it is %s as it stands there", from)
}

func (c *config) raiseVocab(size int) {
	for _, m := range []map[string]any{c.top, c.text} {
		for _, key := range []string{"vocab_size", "vocab_size_per_layer_input"} {
			if _, ok := m[key]; ok {
				m[key] = size
			}
		}
	}
	c.text["vocab_size"] = size
}

// useQwenIDs points the config at where the special tokens are now.
func (c *config) useQwenIDs(ids map[string]int) {
	for key, name := range map[string]string{
		"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>", "vision_start_token_id": "<|vision_start|>",
		"vision_end_token_id": "<|vision_end|>", "eos_token_id": "<|endoftext|>", "bos_token_id": "<|endoftext|>",
	} {
		for _, m := range []map[string]any{c.top, c.text} {
			if _, ok := m[key]; ok {
				m[key] = ids[name]
			}
		}
	}
}

func readTokenizer(path string) (*tokenizerFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := &tokenizerFile{}
	if err := json.Unmarshal(data, &t.fields); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(t.fields["added_tokens"], &t.added); err != nil {
		return nil, fmt.Errorf("added_tokens: %w", err)
	}
	if err := json.Unmarshal(t.fields["model"], &t.model); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if err := json.Unmarshal(t.model["vocab"], &t.vocab); err != nil {
		return nil, fmt.Errorf("model.vocab: %w", err)
	}
	t.ids = maps.Clone(t.vocab)
	for _, a := range t.added {
		content, _ := a["content"].(string)
		id, ok := a["id"].(float64)
		if !ok {
			return nil, fmt.Errorf("added token %q has no id", content)
		}
		t.ids[content] = int(id)
	}
	return t, nil
}

// gemmaNames are Gemma 4's special tokens for the ids that it has them at, by the old token; none when they are there.
func gemmaNames(t *tokenizerFile) map[string]token {
	if _, ok := t.ids["<|turn>"]; ok {
		return nil
	}
	byID := map[int]string{}
	for name, id := range t.ids {
		byID[id] = name
	}
	names := map[string]token{}
	for id, name := range importer.Gemma4Tokens() {
		names[byID[id]] = token{name, true}
	}
	return names
}

// qwenNames are Qwen's for the first unused ids, by the old token; none when they are there.
func qwenNames(t *tokenizerFile) map[string]token {
	if _, ok := t.ids["<|im_start|>"]; ok {
		return nil
	}
	var unused []string
	for name := range t.ids {
		if strings.HasPrefix(name, "<unused") {
			unused = append(unused, name)
		}
	}
	slices.SortFunc(unused, func(a, b string) int { return t.ids[a] - t.ids[b] })
	names := map[string]token{}
	for i, tok := range qwenTokens[:min(len(unused), len(qwenTokens))] {
		names[unused[i]] = tok
	}
	if len(unused) < len(qwenTokens) {
		names[""] = qwenTokens[len(unused)] // rename says that there is no place
	}
	return names
}

// rename gives added tokens other names.
func (t *tokenizerFile) rename(names map[string]token) error {
	for _, old := range slices.Sorted(maps.Keys(names)) {
		to := names[old]
		if !importer.Replaceable(old) {
			return fmt.Errorf("there is no unused id for %s: %q is in its place", to.name, old)
		}
		i := slices.IndexFunc(t.added, func(a map[string]any) bool { return a["content"] == old })
		if i < 0 {
			return fmt.Errorf("%q is not among the added tokens", old)
		}
		t.added[i]["content"], t.added[i]["special"] = to.name, to.marked
		if id, ok := t.vocab[old]; ok {
			t.vocab[to.name] = id
			delete(t.vocab, old)
		}
		t.ids[to.name] = t.ids[old]
		delete(t.ids, old)
	}
	return nil
}

func (t *tokenizerFile) marshal() ([]byte, error) {
	var err error
	if t.model["vocab"], err = unescaped(t.vocab); err != nil {
		return nil, err
	}
	if t.fields["model"], err = unescaped(t.model); err != nil {
		return nil, err
	}
	if t.fields["added_tokens"], err = unescaped(t.added); err != nil {
		return nil, err
	}
	return unescaped(t.fields)
}

// unescaped is v's JSON with <, > and & as they are.
func unescaped(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// tokenizerConfig is dir's, without a template.
func tokenizerConfig(dir string) (map[string]any, error) {
	path := filepath.Join(dir, "tokenizer_config.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	delete(out, "chat_template")
	return out, nil
}
