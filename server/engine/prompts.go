package engine

import (
	"context"

	"reprise/model/chat"
	"reprise/model/hub"
	"reprise/model/tokenizer"
	"reprise/server/prompt"
)

// Prompts makes the ids that an engine would make of requests, without weights or device: a checkpoint's tokenizer and template.
type Prompts struct{ m *Model }

// OpenPrompts reads them; template is what Options.ChatTemplate takes.
func OpenPrompts(model, template string) (*Prompts, error) {
	ckpt, err := hub.Resolve(model)
	if err != nil {
		return nil, err
	}
	m := &Model{Name: ckpt.Name, Checkpoint: ckpt}
	if m.Config, err = hub.ReadConfig(ckpt.Dir); err != nil {
		return nil, err
	}
	if err := m.findTemplate(template); err != nil {
		return nil, err
	}
	if m.Tokenizer, err = tokenizer.Load(ckpt.Dir); err != nil {
		return nil, err
	}
	if err := m.equip(m.Tokenizer.VocabSize(), prompt.SpliceOn); err != nil {
		_ = m.Tokenizer.Close() // what is wrong was said
		return nil, err
	}
	return &Prompts{m}, nil
}

// Model is what the checkpoint says; nothing of it is loaded.
func (p *Prompts) Model() *Model { return p.m }

// Assemble makes a prompt.
func (p *Prompts) Assemble(ctx context.Context, in prompt.Input) (*prompt.Prompt, error) {
	made, err := p.m.assembler.Assemble(ctx, in)
	if err != nil {
		return nil, promptError(err)
	}
	return made, nil
}

// Encode makes ids of an answer's text.
func (p *Prompts) Encode(text string) ([]int32, error) { return p.m.Tokenizer.Encode(text, false) }

// Remember notes an answer, so that it is put back when it is sent along.
func (p *Prompts) Remember(made *prompt.Prompt, ids []int32, text string) {
	p.m.assembler.Remember(made, ids, chat.NewMessage("assistant", text))
}

// Close frees the tokenizer.
func (p *Prompts) Close() error { return p.m.Tokenizer.Close() }
