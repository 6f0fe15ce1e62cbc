package prompt

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"reprise/model/chat"
	"reprise/model/chat/jinja"
	"reprise/model/tokenizer"
)

// families are the two dialects, on the tokenizer package's small vocabularies.
var families = map[string]struct {
	base, template string
	special, plain []string // added tokens
	ends           []string
}{
	"gemma4": {"fallback", "gemma4", []string{"<bos>", "<eos>", "<|turn>", "<turn|>", "<|tool>", "<tool|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>",
		`<|"|>`, "<|think|>", "<|channel>", "<channel|>", "<|image|>"}, nil, []string{"<eos>", "<turn|>", "<|tool_response>"}},
	"qwen3.6": {"bytelevel", "qwen3.6", []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"},
		[]string{"<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"}, []string{"<|im_end|>", "<|endoftext|>"}},
}

var familyNames = []string{"gemma4", "qwen3.6"}

var loaded sync.Map // name → *tokenizer.Tokenizer, never closed

func loadTokenizer(t testing.TB, family string) *tokenizer.Tokenizer {
	t.Helper()
	if tok, ok := loaded.Load(family); ok {
		return tok.(*tokenizer.Tokenizer)
	}
	f := families[family]
	data, err := os.ReadFile("../../model/tokenizer/testdata/" + f.base + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	added := spec["added_tokens"].([]any)
	next := 0.0
	for _, a := range added {
		next = max(next, a.(map[string]any)["id"].(float64))
	}
	for _, id := range spec["model"].(map[string]any)["vocab"].(map[string]any) {
		next = max(next, id.(float64))
	}
	ids := map[string]int{}
	for i, content := range append(slices.Clone(f.special), f.plain...) {
		next++
		ids[content] = int(next)
		added = append(added, map[string]any{"id": next, "content": content, "special": i < len(f.special), "normalized": false, "single_word": false, "lstrip": false, "rstrip": false})
	}
	spec["added_tokens"] = added
	var ends []string
	for _, end := range f.ends {
		ends = append(ends, fmt.Sprint(ids[end]))
	}
	out, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"tokenizer.json": string(out), "generation_config.json": `{"eos_token_id":[` + strings.Join(ends, ",") + `]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	loaded.Store(family, tok)
	return tok
}

// assembler returns a new one, with an empty record.
func assembler(t testing.TB, family string) *Assembler {
	t.Helper()
	tmpl, err := chat.Builtin(families[family].template)
	if err != nil {
		t.Fatal(err)
	}
	tok := loadTokenizer(t, family)
	a := &Assembler{Tokenizer: tok, Template: tmpl, Vocab: tok.VocabSize()}
	if family == "gemma4" {
		a.BOS, a.EOS = "<bos>", "<eos>"
	}
	return a
}

func assemble(t testing.TB, a *Assembler, in Input) *Prompt {
	t.Helper()
	p, err := a.Assemble(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for i, s := range p.Spans {
		if s.Start != at || s.End <= s.Start {
			t.Fatalf("span %d is [%d, %d) where %d is next", i, s.Start, s.End, at)
		}
		at = s.End
	}
	if at != len(p.IDs) {
		t.Fatalf("the spans end at %d of %d", at, len(p.IDs))
	}
	for i, at := range p.Wanted {
		if at <= 0 || at >= len(p.IDs) || i > 0 && at <= p.Wanted[i-1] {
			t.Fatalf("wanted offsets %v of %d tokens", p.Wanted, len(p.IDs))
		}
	}
	return p
}

// messages reads a JSON array.
func messages(t testing.TB, format string, args ...any) []chat.Message {
	t.Helper()
	out, err := chat.DecodeMessages([]byte(fmt.Sprintf(format, args...)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func message(t testing.TB, format string, args ...any) chat.Message {
	t.Helper()
	return messages(t, "["+format+"]", args...)[0]
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// answer is what a model says.
type answer struct {
	reasoning, text string
	calls           []said
	cut             bool // by the limit: no end token
}

// said is a call as the model wrote it: its parameters as text, in its order.
type said struct {
	name   string
	params [][2]string // Gemma 4: the value as it is written there; Qwen3.6: the parameter's text
}

// output is the text of an answer in the model's own form, end token included.
func (x answer) output(family string, thinking bool) string {
	var b strings.Builder
	end := map[string]string{"gemma4": "<turn|>", "qwen3.6": "<|im_end|>"}[family]
	switch {
	case family == "gemma4" && x.reasoning != "":
		b.WriteString("<|channel>thought\n" + x.reasoning + "\n<channel|>")
	case family == "qwen3.6" && thinking:
		b.WriteString(x.reasoning + "\n</think>\n\n")
	}
	b.WriteString(x.text)
	for i, c := range x.calls {
		if family == "gemma4" {
			b.WriteString("<|tool_call>call:" + c.name + "{")
			for j, p := range c.params {
				if j > 0 {
					b.WriteString(",")
				}
				b.WriteString(p[0] + ":" + p[1])
			}
			b.WriteString("}<tool_call|>")
			end = "<|tool_response>"
			continue
		}
		if i > 0 || x.text != "" {
			b.WriteString("\n")
		}
		b.WriteString("<tool_call>\n<function=" + c.name + ">\n")
		for _, p := range c.params {
			b.WriteString("<parameter=" + p[0] + ">\n" + p[1] + "\n</parameter>\n")
		}
		b.WriteString("</function>\n</tool_call>")
	}
	if x.cut {
		end = ""
	}
	return b.String() + end
}

// sampled are ids for a text that no tokenizer would choose: cut at random, so that putting back and tokenizing anew
// cannot be mistaken for each other.
func sampled(t testing.TB, a *Assembler, text string) []int32 {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(len(text)), 9))
	var ids []int32
	for text != "" {
		n := 0
		for _, f := range families {
			for _, special := range append(slices.Clone(f.special), f.plain...) {
				if _, ok := a.Tokenizer.ID(special); ok && strings.HasPrefix(text, special) {
					n = len(special)
				}
			}
		}
		if n == 0 { // one to three characters, up to what may be a token of its own
			want := 1 + rng.IntN(3)
			n = len(text)
			for at, r := range text {
				if at > 0 && (want == 0 || r == '<') {
					n = at
					break
				}
				want--
			}
		}
		piece, err := a.Tokenizer.Encode(text[:n], false)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, piece...)
		text = text[n:]
	}
	return ids
}

func hasPrefix(ids, prefix []int32) bool {
	return len(ids) >= len(prefix) && slices.Equal(ids[:len(prefix)], prefix)
}

// common is how many first ids two runs share.
func common(x, y []int32) int {
	n := 0
	for n < min(len(x), len(y)) && x[n] == y[n] {
		n++
	}
	return n
}

// sharedDir is ../shared beside the checkout, or beside the folder of its worktrees.
func sharedDir(t testing.TB) string {
	t.Helper()
	for _, up := range []string{"../../../shared", "../../../../shared"} {
		if _, err := os.Stat(up + "/captures"); err == nil {
			return up
		}
	}
	t.Skip("no shared/captures beside this checkout: what the agents really sent cannot be tried")
	return ""
}

// captured reads a request that an agent sent.
func captured(t testing.TB, name string) Input {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(sharedDir(t), "captures", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := chat.DecodeOrdered(data)
	if err != nil {
		t.Fatal(err)
	}
	var in Input
	list, _ := v.(*chat.Dict).Get("messages")
	for _, item := range list.(*jinja.List).Items {
		m, err := chat.MessageOf(item)
		if err != nil {
			t.Fatal(err)
		}
		in.Messages = append(in.Messages, m)
	}
	if tools, ok := v.(*chat.Dict).Get("tools"); ok {
		in.Tools = tools.(*jinja.List).Items
	}
	return in
}

func inputTools(v chat.Value) []chat.Value {
	list, _ := v.(*chat.Dict).Get("tools")
	return list.(*jinja.List).Items
}
