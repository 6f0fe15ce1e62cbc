package openai

import (
	"encoding/json"
	"net/http"
	"strconv"

	"reprise/model/hub"
	"reprise/model/sample"
	"reprise/server/api/wire"
	"reprise/server/engine"
)

// call is what both kinds of completion have in common: the turn, and how it is answered.
type call struct {
	engine.Request
	choices int // answers to the same prompt, one after the other
	stream  bool
	usage   bool // a stream ends with usage
	own     wire.Extension
}

// Target is the model that requests are made for.
type Target struct {
	Name     string
	Defaults hub.Generation // of sampling
	Implied  bool           // a request need not name it
}

func (a *API) target() Target {
	m := a.model()
	return Target{Name: m.Name, Defaults: m.Config.Generation}
}

// Parse makes a turn's request of a body that POST /v1/chat/completions takes, or POST /v1/completions when it has a
// prompt in place of messages. How the answer would be delivered is read and dropped.
func Parse(body []byte, t Target) (engine.Request, error) {
	o, err := wire.ParseObject(body)
	if err != nil {
		return engine.Request{}, err
	}
	take := conversation
	if o.Raw("messages") == nil && o.Raw("prompt") != nil {
		take = continuation
	}
	c, err := take(o, http.Header{}, t)
	if err != nil {
		return engine.Request{}, err
	}
	return c.Request, nil
}

// common takes the fields that both endpoints know. The caller takes its own before it refuses the unknown ones.
func common(o *wire.Object, h http.Header, t Target) *call {
	c := &call{choices: choices(o)}
	t.known(o)
	c.stream, _ = o.Bool("stream")
	if opts := o.Object("stream_options"); opts != nil {
		c.usage, _ = opts.Bool("include_usage")
		opts.Bool("include_obfuscation") // padding against eavesdroppers: there is none on loopback
		opts.Unknown()
	}
	c.Params = sampling(o, t.Defaults)
	c.Stop = stops(o)
	if c.Held.Format = wire.Format(o, "response_format", wire.FormatShape{Nested: true, Grammars: true}); c.Held.Format != nil {
		c.Held.Param = "response_format"
	}
	key, _ := o.String("prompt_cache_key")
	c.Session = wire.Session(o, h, key, "prompt_cache_key")
	c.own = wire.TakeExtension(o, h)
	c.own.Give(&c.Request)
	refuse(o)
	accept(o)
	return c
}

// known takes the model, which some requests need not name.
func (t Target) known(o *wire.Object) {
	if !t.Implied || o.Raw("model") != nil {
		wire.Model(o, t.Name)
	} else {
		o.String("model")
	}
}

// sampling reads what all APIs have and what OpenAI's has beside it. Ranges are the sampler's business.
func sampling(o *wire.Object, d hub.Generation) sample.Params {
	number := func(name string, otherwise float64) float64 {
		if v, ok := o.Number(name); ok {
			return v
		}
		return otherwise
	}
	p := wire.Sampling(o, d)
	p.MinP = number("min_p", p.MinP)
	p.Repetition = number("repetition_penalty", 1)
	p.Presence = number("presence_penalty", 0)
	p.Frequency = number("frequency_penalty", 0)
	p.Bias = bias(o)
	if p.Repetition == 0 {
		o.Fail("repetition_penalty", wire.CodeInvalidValue, "repetition_penalty is 0; 1 leaves the logits as they are")
	}
	if p.Repetition == 1 {
		p.Repetition = 0 // off
	}
	if seed, ok := o.Int("seed"); ok {
		p.Seed = uint64(seed) // negative ones are seeds as well
	}
	return p
}

// maxChoices is how many answers a request may ask for: they are computed one after the other, and others wait.
const maxChoices = 16

// choices takes n.
func choices(o *wire.Object) int {
	n, ok := o.Count("n")
	if !ok {
		return 1
	}
	if n > maxChoices {
		o.Fail("n", wire.CodeInvalidValue, "n is %d; at most %d answers are possible", n, maxChoices)
	}
	return n
}

// bias reads logit_bias: numbers by the ids of tokens, written as texts.
func bias(o *wire.Object) map[int32]float64 {
	raw := o.Raw("logit_bias")
	if raw == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		o.Fail("logit_bias", wire.CodeInvalidType, "logit_bias must be an object: numbers by the ids of tokens")
		return nil
	}
	var out map[int32]float64
	for name, value := range fields {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			o.Fail("logit_bias", wire.CodeInvalidValue, "logit_bias has the key %s; its keys are ids of tokens", wire.Quoted(name))
			return nil
		}
		var b *float64 // nil: a null
		if json.Unmarshal(value, &b) != nil || b == nil {
			o.Fail("logit_bias", wire.CodeInvalidType, "logit_bias[%s] must be a number", wire.Quoted(name))
			return nil
		}
		if out == nil {
			out = map[int32]float64{}
		}
		out[int32(id)] = *b
	}
	return out
}

const maxStops = 16

func stops(o *wire.Object) []string {
	list := o.Texts("stop")
	if len(list) > maxStops {
		o.Fail("stop", wire.CodeInvalidValue, "stop has %d texts; at most %d are possible", len(list), maxStops)
	}
	for _, s := range list {
		if s == "" {
			o.Fail("stop", wire.CodeInvalidValue, "stop holds an empty text, which would end every answer at once")
		}
	}
	return list
}

// refuse lets the fields pass whose effect does not exist here only with the value that means no effect.
func refuse(o *wire.Object) {
	o.Only("best_of", 1.0, "answers are not compared; leave it out or send 1")
}

// accept takes the fields that clients send and that change nothing on one local model: OpenAI's storage, billing,
// abuse reports and caching hints.
func accept(o *wire.Object) {
	o.Bool("store")
	o.Object("metadata")
	o.String("user")
	o.String("safety_identifier")
	o.String("service_tier")
	o.String("prompt_cache_retention")
}
