package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/loop/mimic"
	"reprise/cmd/internal/version"
	"reprise/kvcache/ledger/footprint/machine"
	"reprise/server/engine"
)

// pretend makes the run a dry one: with the model's template and tokenizer where there are any. Sizes need neither.
func (f *loopFlags) pretend(c *cobra.Command, r *loop.Run, own string) (done func(), err error) {
	if f.out != "" {
		if err := writable("--out", f.out); err != nil {
			return nil, err
		}
	}
	p, err := engine.OpenPrompts(f.model, f.template)
	switch {
	case err == nil && p.Model().Template == nil:
		err = fmt.Errorf("the model %s has no chat template: name one with --chat-template", p.Model().Name)
		_ = p.Close() // a tokenizer's memory
	case err == nil:
		r.Mimic, r.Facts = mimic.New(p), dryFacts(p)
		return func() { _ = p.Close() }, nil
	}
	if own != "" {
		return nil, err
	}
	fmt.Fprintf(c.ErrOrStderr(), "sizes only, no tokens are counted: %v\n", err)
	return func() {}, nil
}

func dryFacts(p *engine.Prompts) loop.Facts {
	m := p.Model()
	f := loop.Facts{
		Model: m.Name, Quantization: quantization(m.Config), Runtime: fmt.Sprintf("%s, template %s, its tokenizer and a prefix tree; no model ran", version.Read(), m.TemplateName),
		Decode: func(ids []int32) string { return m.Tokenizer.Decode(ids, false) },
	}
	if computer, err := machine.Read(); err == nil {
		f.Machine = &computer
	}
	return f
}
