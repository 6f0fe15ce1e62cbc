package openai_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"reprise/kvcache"
	"reprise/model/chat"
	"reprise/model/tokenizer"
	"reprise/server/api/openai"
	"reprise/server/prompt"
)

// restTime is what acceptance line 4.5 allows for everything but rendering and the forward pass.
const restTime = 30 * time.Millisecond

// TestOverhead measures what a request costs beside rendering and the forward pass when its ids are known: taking its JSON
// apart, ids, layout, lookup. It is OpenClaw's largest request again and again, tokenized with the small model's real
// vocabulary, to which the marks that Qwen's template writes are added.
func TestOverhead(t *testing.T) {
	if os.Getenv("REPRISE_PROVE") == "" {
		t.Skip("measures times: with REPRISE_PROVE=1 (make prove)")
	}
	body, err := os.ReadFile("../../../../shared/captures/openclaw-all-tools.json")
	if err != nil {
		body, err = os.ReadFile("../../../../../shared/captures/openclaw-all-tools.json")
	}
	if err != nil {
		t.Skip("no captures: shared is not beside this checkout")
	}
	dir := filepath.Join("..", "..", "..", "third_party", "build", "models", "gemma-3-270m")
	tok := withMarks(t, dir, "<|im_start|>", "<|im_end|>")
	for family, renderTime := range map[string]time.Duration{"gemma4": 60 * time.Millisecond, "qwen3.6": 10 * time.Millisecond} {
		t.Run(family, func(t *testing.T) {
			tmpl, err := chat.Builtin(family)
			if err != nil {
				t.Fatal(err)
			}
			a := &prompt.Assembler{Tokenizer: tok, Template: tmpl, Vocab: tok.VocabSize(), BOS: "<bos>", EOS: "<eos>"}
			cache := kvcache.New(kvcache.Options{Budget: 1 << 30})
			cache.Add(kvcache.Model{Fingerprint: "f", RowBytes: 1, Grid: 256, Sparse: 1024})
			times := map[string][]time.Duration{}
			for round := range 12 {
				start := time.Now()
				req, err := openai.Parse(body, openai.Target{Name: "mock-model"})
				if err != nil {
					t.Fatal(err)
				}
				parsed := time.Now()
				p, err := a.Assemble(t.Context(), req.Prompt)
				if err != nil {
					t.Fatal(err)
				}
				assembled := time.Now()
				_, err = cache.Lookup(kvcache.Request{Model: "f", Prompt: kvcache.Prompt{Sequence: kvcache.Sequence{IDs: p.IDs}, Static: p.StaticEnd, FirstUser: p.FirstUserEnd, Wants: p.Wanted}})
				if err != nil {
					t.Fatal(err)
				}
				found := time.Now()
				if round < 2 {
					continue // the first one tokenizes all of it
				}
				if len(p.IDs) < 30000 || p.Given > 1000 {
					t.Fatalf("%d tokens, of which %d characters were tokenized again", len(p.IDs), p.Given)
				}
				for name, d := range map[string]time.Duration{"json": parsed.Sub(start), "render": p.TemplateTime, "ids and layout": assembled.Sub(parsed) - p.TemplateTime,
					"lookup": found.Sub(assembled), "rest": found.Sub(start) - p.TemplateTime} {
					times[name] = append(times[name], d)
				}
			}
			median := func(name string) time.Duration {
				slices.Sort(times[name])
				return times[name][len(times[name])/2].Round(10 * time.Microsecond)
			}
			t.Logf("render %v; everything else %v: json %v, ids and layout %v, lookup %v", median("render"), median("rest"), median("json"), median("ids and layout"), median("lookup"))
			if median("render") > renderTime || median("rest") > restTime {
				t.Errorf("rendering may take %v, everything else %v", renderTime, restTime)
			}
		})
	}
}

// withMarks loads a checkpoint's tokenizer with more special tokens.
func withMarks(t *testing.T, dir string, marks ...string) *tokenizer.Tokenizer {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatalf("%v: run make build", err)
	}
	var spec map[string]any
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	added := spec["added_tokens"].([]any)
	next := len(spec["model"].(map[string]any)["vocab"].(map[string]any)) + len(added)
	for i, mark := range marks {
		added = append(added, map[string]any{"id": next + i, "content": mark, "special": true, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false})
	}
	spec["added_tokens"] = added
	if data, err = json.Marshal(spec); err != nil {
		t.Fatal(err)
	}
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(own, "tokenizer.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(own)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tok.Close() })
	return tok
}
