package wire

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"

	"reprise/kvcache/ledger"
	"reprise/model/chat"
	"reprise/model/hub"
	"reprise/model/sample"
	"reprise/server/engine"
)

// Model takes the request's model, which must be the loaded one.
func Model(o *Object, loaded string) {
	if name, ok := o.String("model"); ok {
		o.Add(Known(name, loaded))
	} else {
		o.Missing("model", "GET /v1/models lists what there is")
	}
}

// Known is the error of a model that is not the loaded one.
func Known(name, loaded string) error {
	if name == loaded {
		return nil
	}
	return &Error{Status: http.StatusNotFound, Code: CodeNoModel, Param: "model",
		Message: "the model " + Quoted(name) + " is not loaded; this server has " + Quoted(loaded)}
}

// Quoted is a client's word for a message, cut to a length that an error can carry.
func Quoted(name string) string {
	const most = 200
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strconv.Quote(name)
}

// Sampling takes temperature, top_p and top_k over the checkpoint's defaults, and over temperature 1. Ranges are the
// sampler's business.
func Sampling(o *Object, d hub.Generation) sample.Params {
	number := func(name string, fallback *float64) float64 {
		if v, ok := o.Number(name); ok {
			return v
		}
		if fallback != nil {
			return *fallback
		}
		return 1
	}
	p := sample.Params{Temperature: number("temperature", d.Temperature), TopP: number("top_p", d.TopP), Seed: rand.Uint64()}
	if d.MinP != nil {
		p.MinP = *d.MinP
	}
	if d.TopK != nil {
		p.TopK = *d.TopK
	}
	if k, ok := o.Int("top_k"); ok {
		if k < 0 || k > 1<<31-1 {
			o.Fail("top_k", CodeInvalidValue, "top_k is %d; it must be 0 (off) or a number of tokens", k)
		}
		p.TopK = int(k)
	}
	if p.TopP == 0 {
		p.TopP, p.Temperature = 1, 0
	}
	return p
}

// efforts are the words that clients know for how much a model is to reason.
var efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// Effort gives the template the effort that a request names in field: some read the word; for those that know only on and
// off, "none" is off.
func Effort(o *Object, field, effort string, req *engine.Request) {
	if !slices.Contains(efforts, effort) {
		o.Fail(field, CodeInvalidValue, "%s must be one of %v", field, efforts)
		return
	}
	if effort == "none" && req.Prompt.Thinking == nil {
		req.Prompt.Thinking = new(bool)
	}
	req.Prompt.Extra = chat.NewDict()
	req.Prompt.Extra.Set("reasoning_effort", effort)
}

// Session is the client's name for its conversation: the header's, or else key, which came from field.
func Session(o *Object, h http.Header, key, field string) string {
	const most, header = 256, "X-Session-Id"
	name, from := h.Get(header), header
	if name == "" {
		name, from = key, field
	}
	if len(name) > most {
		o.Add(BadRequest(from, CodeInvalidValue, "%s is longer than %d bytes", from, most))
	}
	return name
}

// Extension is what a request asks of reprise itself.
type Extension struct {
	Ledger  bool // usage carries the row
	IDs     bool // usage carries the ids
	NoReuse bool // look up and count, but compute everything
	Stored  bool // see engine.Request
	PD      engine.PD
}

// Give hands a turn what it is to do.
func (x Extension) Give(req *engine.Request) {
	req.NoReuse, req.Stored, req.PD = x.NoReuse, x.Stored, x.PD
}

// TakeExtension reads reprise's own object and header.
func TakeExtension(o *Object, h http.Header) Extension {
	const header = "X-Reprise-Ledger"
	var x Extension
	if v := h.Get(header); v != "" {
		var err error
		if x.Ledger, err = strconv.ParseBool(v); err != nil {
			o.Add(BadRequest(header, CodeInvalidValue, "%s must be 1 or 0, not %s", header, Quoted(v)))
		}
	}
	own := o.Object("reprise")
	if own == nil {
		return x
	}
	if on, ok := own.Bool("ledger"); ok {
		x.Ledger = on
	}
	x.IDs, _ = own.Bool("ids")
	if reuse, ok := own.Bool("reuse"); ok {
		x.NoReuse = !reuse
	}
	x.Stored, _ = own.Bool("stored")
	if half, ok := own.String("pd"); ok {
		if x.PD = engine.PD(half); x.PD != engine.PDPrefill && x.PD != engine.PDDecode {
			own.Fail("pd", CodeInvalidValue, "pd must be prefill or decode")
		}
	}
	own.Unknown()
	return x
}

// Said is what usage carries of an extension.
type Said struct {
	Row *ledger.Row `json:"row,omitempty"`
	IDs *SaidIDs    `json:"ids,omitempty"`
}

// SaidIDs are a turn's tokens.
type SaidIDs struct {
	Prompt    []int32 `json:"prompt"`
	Generated []int32 `json:"generated"`
	Computed  int     `json:"computed"` // of both together, what entered the model
	Static    int     `json:"static"`   // of the prompt, its static prefix: system text and tools
}

// Of is what the extension asked for, nil when that is nothing.
func (x Extension) Of(res *engine.Result) *Said {
	if !x.Ledger && !x.IDs {
		return nil
	}
	said := &Said{}
	if x.Ledger {
		said.Row = &res.Row
	}
	if x.IDs {
		said.IDs = &SaidIDs{Prompt: res.Prompt, Generated: res.IDs, Computed: res.Computed, Static: res.Static}
	}
	return said
}
