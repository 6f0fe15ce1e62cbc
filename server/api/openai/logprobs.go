package openai

import (
	"strings"

	"reprise/server/engine"
)

// chatLogprobs is a chat's choice's logprobs.
type chatLogprobs struct {
	Content []tokenLogprob `json:"content"`
	Refusal *struct{}      `json:"refusal"` // always null
}

type tokenLogprob struct {
	topLogprob
	Top []topLogprob `json:"top_logprobs"`
}

type topLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"` // of the token, which need not be whole characters
}

func newChatLogprobs(list []engine.Logprob) *chatLogprobs {
	if list == nil {
		return nil
	}
	out := &chatLogprobs{Content: make([]tokenLogprob, len(list))}
	for i, lp := range list {
		out.Content[i] = tokenLogprob{newTopLogprob(lp), make([]topLogprob, len(lp.Top))}
		for k, top := range lp.Top {
			out.Content[i].Top[k] = newTopLogprob(top)
		}
	}
	return out
}

func newTopLogprob(lp engine.Logprob) topLogprob {
	out := topLogprob{Token: tokenText(lp), Logprob: lp.Logprob, Bytes: make([]int, len(lp.Bytes))}
	for i, b := range lp.Bytes {
		out.Bytes[i] = int(b)
	}
	return out
}

// tokenText is a token as a text: where it is part of a character, that part is U+FFFD.
func tokenText(lp engine.Logprob) string { return strings.ToValidUTF8(string(lp.Bytes), "\uFFFD") }

// textLogprobs is the older form, of /v1/completions. text_offset, characters in the answer, is left out: parts of characters
// have none.
type textLogprobs struct {
	Tokens   []string             `json:"tokens"`
	Logprobs []float64            `json:"token_logprobs"`
	Top      []map[string]float64 `json:"top_logprobs"` // null when none were asked for
}

func newTextLogprobs(list []engine.Logprob, top int) *textLogprobs {
	if list == nil {
		return nil
	}
	out := &textLogprobs{}
	for _, lp := range list {
		out.Tokens, out.Logprobs = append(out.Tokens, tokenText(lp)), append(out.Logprobs, lp.Logprob)
		if top == 0 {
			continue
		}
		best := make(map[string]float64, len(lp.Top))
		for _, t := range lp.Top {
			if _, has := best[tokenText(t)]; !has { // the more probable of two with one text
				best[tokenText(t)] = t.Logprob
			}
		}
		out.Top = append(out.Top, best)
	}
	return out
}
