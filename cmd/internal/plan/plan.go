package plan

import (
	"fmt"

	"reprise/cmd/internal/loop"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/hub"
)

// Options say what to plan.
type Options struct {
	Recipe   *Recipe // nil: Model on Hardware
	Model    *Model  // of the recipe when nil
	Hardware *Hardware
	Profile  string             // "": a prompt that grows from a tenth of the context to it
	Context  int                // 0: what the last turn needs
	Turns    int                // 0: 50
	Answer   int                // tokens of an answer; 0: the profile's, or 256
	KV       state.Quantization // of growing layers' keys and values
	Vision   bool               // count the image tower as loaded
	Reserve  int64              // for the system and other programs; < 0: by rule
}

// Line is a row of the budget.
type Line struct {
	Section  string   `json:"section"`
	Name     string   `json:"name"`
	Bytes    int64    `json:"bytes"`
	Evidence Evidence `json:"evidence"`
	Note     string   `json:"note,omitempty"`
}

// Sections of the budget.
const (
	Weights     = "weights"
	KVState     = "state"
	Snapshots   = "snapshots"
	Activations = "activations"
	Process     = "process"
)

// Plan is what `reprise plan --json` prints.
type Plan struct {
	Name       string      `json:"name,omitempty"` // the recipe's
	Recipe     loop.Recipe `json:"recipe"`
	DoNotClaim []string    `json:"do_not_claim"`

	Hardware *Hardware `json:"machine"`
	Form     Form      `json:"state_form"`
	Context  int       `json:"context_tokens"`
	Trained  int       `json:"trained_context_tokens,omitempty"`

	Room    []Line    `json:"room"` // what the machine has, and what is not to be had of it
	RoomFor int64     `json:"room_bytes"`
	Lines   []Line    `json:"needs"`
	Needs   int64     `json:"needs_bytes"` // the sum of the lines
	Spare   int64     `json:"left_bytes"`  // room less needs; negative: missing
	Total   int64     `json:"weights_total_bytes"`
	Active  int64     `json:"weights_active_bytes"` // of them, read for a token
	Left    []Left    `json:"in_the_artifact_not_loaded"`
	State   []StateOf `json:"state_by_kind"`

	Cold    Line     `json:"a_cold_start_needs_instead"` // activations of the widest step
	Kept    *Kept    `json:"snapshots_that_fit,omitempty"`
	Speed   Speed    `json:"speed"`
	Loop    *Loop    `json:"loop"`
	Fleet   *Fleet   `json:"fleet,omitempty"` // of a machine with several devices
	Verdict Verdict  `json:"verdict"`
	Notes   []string `json:"assumptions_and_notes"`

	Measured *Measured `json:"measured,omitempty"`
}

// Kept is how many snapshots what is left could hold, beside those that the plan counts.
type Kept struct {
	One    int64 `json:"snapshot_bytes"`
	Wanted int   `json:"wanted"` // at the offsets where kvcache wants them
	Fit    int   `json:"fit"`
}

// Make plans.
func Make(o Options) (*Plan, error) {
	p := &Plan{Hardware: o.Hardware}
	m := o.Model
	if o.Recipe != nil {
		p.Name = o.Recipe.Name
		if m == nil {
			var err error
			if m, err = o.Recipe.model(o.Hardware.Backend); err != nil {
				return nil, err
			}
		}
	}
	if o.Vision {
		m = m.withVision()
	}
	if err := m.keeps(o.KV); err != nil {
		return nil, err
	}
	p.Total, p.Active = m.Weights()
	p.Form, p.Trained = FormOn(o.Hardware.Backend, o.KV, p.Total), m.Trained
	var err error
	if p.Loop, err = newLoop(&o); err != nil {
		return nil, err
	}
	p.Context = o.Context
	if p.Context == 0 {
		p.Context = p.Loop.Last + p.Loop.Answer
	}
	if p.Loop.Last+p.Loop.Answer > p.Context {
		return nil, fmt.Errorf("--ctx %d: the last prompt has %d tokens and its answer %d: raise it, or take another --profile or fewer --turns", p.Context, p.Loop.Last, p.Loop.Answer)
	}
	p.describe(&o, m)
	p.room(&o)
	p.needs(m)
	p.Speed = speedOf(p, m)
	p.Loop.cost(p, m)
	p.decide()
	p.fleet()
	p.notes(m)
	return p, nil
}

// keeps says why the heads of growing layers cannot be kept so.
func (m *Model) keeps(kv state.Quantization) error {
	for _, k := range m.Kinds {
		if k.Kind != hub.FullAttention || k.Cached == 0 {
			continue
		}
		if err := kv.Check(int(dimOf(k.Kind, &m.widths))); err != nil {
			return fmt.Errorf("--kv-group %d: %w", kv.Group, err)
		}
	}
	return nil
}

// withVision counts the tower among what is loaded. A decode step does not read it.
func (m *Model) withVision() *Model {
	with := *m
	with.Left = nil
	for _, l := range m.Left {
		if l.Name == "vision" {
			with.Parts = append(with.Parts[:len(with.Parts):len(with.Parts)], Part{"vision", l.Bytes, 0})
			continue
		}
		with.Left = append(with.Left, l)
	}
	return &with
}

// describe fills the six fields.
func (p *Plan) describe(o *Options, m *Model) {
	h := o.Hardware
	p.Left = m.Left
	p.Recipe = loop.Recipe{
		Model: m.Name, Quantization: m.Quantization, Hardware: h.text(),
		Workload: fmt.Sprintf("%d turns, prompts of %d to %d tokens, answers of %d", p.Loop.Turns, p.Loop.First, p.Loop.Last, p.Loop.Answer),
		Runtime:  fmt.Sprintf("reprise on MLX %s, %s, state in %s", mlx.Version(), h.Backend, p.Form.text()),
		Claim:    "the budget, line by line; no model ran",
	}
	if p.Loop.Profile != "" {
		p.Recipe.Workload = p.Loop.Profile + ": " + p.Recipe.Workload
	}
	if o.Recipe != nil {
		p.Recipe.Claim = o.Recipe.Target
		p.DoNotClaim = append(p.DoNotClaim, o.Recipe.NoClaim)
	}
	p.DoNotClaim = append(p.DoNotClaim, "speeds: the ceiling is a bound and times are estimates until a run stands beside them (--measured)",
		"that LMCache MP improves TTFT, or that vLLM or Mooncake avoids misses across workers")
	if h.Devices > 1 {
		p.DoNotClaim = append(p.DoNotClaim, "anything about this program on several GPUs: it computes on one, and nothing of this ran")
	}
	if h.Backend == Metal && !h.Here {
		p.DoNotClaim = append(p.DoNotClaim, "figures of a Mac: `reprise selftest` on it makes the file that such a claim needs")
	}
}

func (f Form) text() string {
	text := "bfloat16"
	if f.Element == 4 {
		text = "float32"
	}
	if f.kv().On() {
		text += fmt.Sprintf(", growing keys and values at %s", f.kv())
	}
	return text
}
