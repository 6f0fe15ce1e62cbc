package prompt

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"reprise/model/chat"
	"reprise/model/tokenizer"
)

// TestRealVocabulary plays the scripts on the small real model's tokenizer and template, with ids that its tokenizer
// would choose: the usual case, where only boundaries matter.
func TestRealVocabulary(t *testing.T) {
	dir := filepath.Join("..", "..", "third_party", "build", "models", "gemma-3-270m")
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tok.Close()
	tmpl, err := chat.LoadFor(dir)
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() *Assembler {
		return &Assembler{Tokenizer: tok, Template: tmpl, Vocab: tok.VocabSize(), BOS: "<bos>", EOS: "<eos>"}
	}
	for name, s := range echoes(t, "gemma4") {
		if name == "reasoning as text" {
			continue
		}
		t.Run(name, func(t *testing.T) { play(t, fresh(), "gemma4", Input{Tools: tools(t)}, s) })
	}
	in := Input{Tools: tools(t), Messages: messages(t, `[{"role":"system","content":"You are terse."},%s]`, user("What is the capital of France?"))}
	a := fresh()
	p := assemble(t, a, in)
	ids, err := tok.Encode("The capital of France is Paris.<turn|>", false)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Answer(p, ids); got.Role() != "assistant" || !a.Remember(p, ids, got) {
		t.Errorf("the answer %v is not remembered", got)
	}
	in.Messages = append(in.Messages, messages(t, "[%s,%s]", said1("The capital of France is Paris."), user("Of Italy?"))...)
	if next := assemble(t, a, in); !hasPrefix(next.IDs, slices.Concat(p.IDs, ids)) || next.Spliced != len(ids)-1 || next.Given > 200 {
		t.Errorf("%d tokens put back, %d characters tokenized, %d of %d tokens shared", next.Spliced, next.Given, common(next.IDs, p.IDs), len(p.IDs))
	}
}
