package engine

import (
	"context"
	"fmt"

	"reprise/server/prompt"
)

// mostAssembling is how many prompts are made into ids at once: a long one takes many times its size meanwhile, and the device
// reads one after the other anyway.
const mostAssembling = 2

// assemble makes ids of a request, when its turn has come.
func (e *Engine) assemble(ctx context.Context, in prompt.Input) (*prompt.Prompt, error) {
	select {
	case e.assembling <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-e.assembling }()
	return e.model.assembler.Assemble(ctx, in)
}

// Tokenize gives the ids that a turn of this request would begin with; no turn is run.
func (e *Engine) Tokenize(ctx context.Context, req Request) ([]int32, error) {
	p, err := e.assemble(ctx, req.Prompt)
	if err != nil {
		return nil, promptError(err)
	}
	return p.IDs, nil
}

// Encode gives the ids of a text, without those that would begin a prompt.
func (e *Engine) Encode(text string) ([]int32, error) {
	return e.model.Tokenizer.Encode(text, false)
}

// Decode gives the text of ids, special tokens included.
func (e *Engine) Decode(ids []int32) (string, error) {
	vocab := e.model.Info().Vocab
	for i, id := range ids {
		if id < 0 || int(id) >= vocab {
			return "", &RequestError{Code: "invalid_value", Param: "tokens", Message: fmt.Sprintf(
				"tokens[%d] is %d; this model's ids end at %d", i, id, vocab-1)}
		}
	}
	return e.model.Tokenizer.Decode(ids, false), nil
}
