package openai

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"

	"reprise/server/api/wire"
	"reprise/server/engine"
)

// defaultCompletion is how long a completion is when the request does not say, tokens; OpenAI's figure.
const defaultCompletion = 16

// complete is POST /v1/completions: a text, or ids, as they are.
func (a *API) complete(w http.ResponseWriter, r *http.Request) error {
	leave, err := a.turns.Enter()
	if err != nil {
		return err
	}
	defer leave()
	o, err := wire.ReadObject(w, r)
	if err != nil {
		return err
	}
	c, err := continuation(o, r.Header, a.target())
	if err != nil {
		return err
	}
	err = a.answer(w, r, c, textFormat{})
	var refused *engine.RequestError
	if !errors.Is(err, wire.ErrCut) && errors.As(err, &refused) && refused.Param == "messages" { // the engine's word for any prompt
		return &engine.RequestError{Code: refused.Code, Param: "prompt", Message: refused.Message}
	}
	return err
}

// continuation takes a whole request for a completion.
func continuation(o *wire.Object, h http.Header, t Target) (*call, error) {
	c := common(o, h, t)
	c.raw(o)
	c.MaxTokens = defaultCompletion
	if n, ok := o.Count("max_tokens"); ok {
		c.MaxTokens = n
	}
	if n, ok := o.Int("logprobs"); ok {
		c.Logprobs, c.TopLogprobs = true, topLogprobs(o, "logprobs", n)
	}
	o.Only("echo", false, "the prompt is not repeated; leave it out")
	o.Only("suffix", "", "text is continued, not filled in; leave it out")
	o.Unknown()
	return c, o.Err()
}

// raw takes the prompt: a text or a list of ids, alone or in a list of one.
func (c *call) raw(o *wire.Object) {
	raw := o.Raw("prompt")
	if raw == nil {
		o.Missing("prompt", "a text or a list of token ids")
		return
	}
	if raw[0] == '[' {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil && len(list) > 0 && (list[0][0] == '"' || list[0][0] == '[') {
			if len(list) > 1 {
				o.Fail("prompt", wire.CodeUnsupported, "prompt holds %d prompts; a request continues one", len(list))
				return
			}
			raw = list[0]
		}
	}
	if raw[0] == '"' && json.Unmarshal(raw, &c.Prompt.Raw) == nil {
		return
	}
	ids, ok := tokenIDs(raw)
	if !ok {
		o.Fail("prompt", wire.CodeInvalidType, "prompt must be a string, a list of token ids, or a list of one of these")
		return
	}
	if len(ids) == 0 {
		o.Fail("prompt", wire.CodeInvalidValue, "prompt is empty: there is nothing to continue")
		return
	}
	c.Prompt.IDs = ids
}

// tokenIDs reads a list of whole numbers. Whether the vocabulary has them is the engine's question.
func tokenIDs(raw []byte) ([]int32, bool) {
	var list []*float64 // nil: a null, which encoding/json would make 0
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, false
	}
	ids := make([]int32, len(list))
	for i, number := range list {
		if number == nil {
			return nil, false
		}
		f := *number
		if f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
			return nil, false
		}
		ids[i] = int32(f)
	}
	return ids, true
}
