package openai

import (
	"encoding/json"
	"math/rand/v2"
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
	ledger  bool // usage carries the row
	ids     bool // usage carries the ids
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
	if name, ok := o.String("model"); ok {
		o.Add(t.known(name))
	} else if !t.Implied {
		o.Missing("model", "GET /v1/models lists what there is")
	}
	c.stream, _ = o.Bool("stream")
	if opts := o.Object("stream_options"); opts != nil {
		c.usage, _ = opts.Bool("include_usage")
		opts.Bool("include_obfuscation") // padding against eavesdroppers: there is none on loopback
		opts.Unknown()
	}
	c.Params = sampling(o, t.Defaults)
	c.Stop = stops(o)
	c.form(o)
	c.Session = session(o, h)
	c.extension(o, h)
	refuse(o)
	accept(o)
	return c
}

// sampling reads the parameters over the checkpoint's defaults, and over OpenAI's. Ranges are the sampler's business.
func sampling(o *wire.Object, d hub.Generation) sample.Params {
	number := func(name string, fallback *float64, otherwise float64) float64 {
		if v, ok := o.Number(name); ok {
			return v
		}
		if fallback != nil {
			return *fallback
		}
		return otherwise
	}
	p := sample.Params{
		Temperature: number("temperature", d.Temperature, 1),
		TopP:        number("top_p", d.TopP, 1),
		MinP:        number("min_p", d.MinP, 0),
	}
	if d.TopK != nil {
		p.TopK = *d.TopK
	}
	if k, ok := o.Int("top_k"); ok {
		if k < 0 || k > 1<<31-1 {
			o.Fail("top_k", wire.CodeInvalidValue, "top_k is %d; it must be 0 (off) or a number of tokens", k)
		}
		p.TopK = int(k)
	}
	p.Repetition = number("repetition_penalty", nil, 1)
	p.Presence = number("presence_penalty", nil, 0)
	p.Frequency = number("frequency_penalty", nil, 0)
	p.Bias = bias(o)
	if p.Repetition == 0 {
		o.Fail("repetition_penalty", wire.CodeInvalidValue, "repetition_penalty is 0; 1 leaves the logits as they are")
	}
	if p.Repetition == 1 {
		p.Repetition = 0 // off
	}
	if p.TopP == 0 {
		p.TopP, p.Temperature = 1, 0
	}
	p.Seed = rand.Uint64()
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
			o.Fail("logit_bias", wire.CodeInvalidValue, "logit_bias has the key %s; its keys are ids of tokens", quoted(name))
			return nil
		}
		var b float64
		if json.Unmarshal(value, &b) != nil {
			o.Fail("logit_bias", wire.CodeInvalidType, "logit_bias[%s] must be a number", quoted(name))
			return nil
		}
		if out == nil {
			out = map[int32]float64{}
		}
		out[int32(id)] = b
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

// session is the client's name for its conversation.
func session(o *wire.Object, h http.Header) string {
	const most = 256
	name, from := h.Get("X-Session-Id"), "X-Session-Id"
	if key, ok := o.String("prompt_cache_key"); ok && name == "" {
		name, from = key, "prompt_cache_key"
	}
	if len(name) > most {
		o.Fail(from, wire.CodeInvalidValue, "%s is longer than %d bytes", from, most)
	}
	return name
}

// extension reads reprise's own object and header.
func (c *call) extension(o *wire.Object, h http.Header) {
	const header = "X-Reprise-Ledger"
	if v := h.Get(header); v != "" {
		var err error
		if c.ledger, err = strconv.ParseBool(v); err != nil {
			o.Add(wire.BadRequest(header, wire.CodeInvalidValue, "%s must be 1 or 0, not %s", header, quoted(v)))
		}
	}
	own := o.Object("reprise")
	if own == nil {
		return
	}
	if on, ok := own.Bool("ledger"); ok {
		c.ledger = on
	}
	c.ids, _ = own.Bool("ids")
	if reuse, ok := own.Bool("reuse"); ok {
		c.NoReuse = !reuse
	}
	c.Stored, _ = own.Bool("stored")
	if half, ok := own.String("pd"); ok {
		if c.PD = engine.PD(half); c.PD != engine.PDPrefill && c.PD != engine.PDDecode {
			own.Fail("pd", wire.CodeInvalidValue, "pd must be prefill or decode")
		}
	}
	own.Unknown()
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
