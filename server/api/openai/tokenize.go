package openai

import (
	"net/http"

	"reprise/server/api/wire"
)

// tokenized is the answer of POST /tokenize, in the shape that vLLM gave it.
type tokenized struct {
	Count   int     `json:"count"`
	Context int     `json:"max_model_len"`
	Tokens  []int32 `json:"tokens"`
}

// tokenize gives the prompt's ids of a body that one of the completions takes: what a turn would begin with. The model may
// go without saying.
func (a *API) tokenize(w http.ResponseWriter, r *http.Request) error {
	o, err := wire.ReadObject(w, r)
	if err != nil {
		return err
	}
	c, special, err := toTokenize(o, r.Header, a.target())
	if err != nil {
		return err
	}
	e := a.turns.Engine()
	var ids []int32
	if special {
		ids, err = e.Tokenize(r.Context(), c.Request)
	} else {
		ids, err = e.Encode(c.Prompt.Raw)
	}
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, tokenized{len(ids), a.model().Context, ids})
}

// toTokenize takes the body. special says whether what begins a prompt belongs to it.
func toTokenize(o *wire.Object, h http.Header, t Target) (c *call, special bool, err error) {
	special, given := o.Bool("add_special_tokens")
	special = special || !given
	t.Implied = true
	take := continuation
	if o.Raw("messages") != nil {
		take = conversation
	}
	if c, err = take(o, h, t); err != nil {
		return nil, false, err
	}
	if !special && (c.Prompt.Messages != nil || c.Prompt.IDs != nil) {
		return nil, false, wire.BadRequest("add_special_tokens", wire.CodeUnsupported, "add_special_tokens can be false for a text alone: a template writes its own special tokens")
	}
	return c, special, nil
}

// detokenize gives the text of ids.
func (a *API) detokenize(w http.ResponseWriter, r *http.Request) error {
	o, err := wire.ReadObject(w, r)
	if err != nil {
		return err
	}
	ids, err := toDetokenize(o, a.target())
	if err != nil {
		return err
	}
	text, err := a.turns.Engine().Decode(ids)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, struct {
		Prompt string `json:"prompt"`
	}{text})
}

func toDetokenize(o *wire.Object, t Target) (ids []int32, err error) {
	t.Implied = true
	t.known(o)
	if raw := o.Raw("tokens"); raw == nil {
		o.Missing("tokens", "a list of token ids")
	} else if list, ok := tokenIDs(raw); ok {
		ids = list
	} else {
		o.Fail("tokens", wire.CodeInvalidType, "tokens must be a list of token ids")
	}
	o.Unknown()
	return ids, o.Err()
}
