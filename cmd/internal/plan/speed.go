package plan

import (
	"fmt"
	"math"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/loop"
	"reprise/model/hub"
)

// Speed are bounds and estimates.
type Speed struct {
	ReadEmpty int64 `json:"bytes_a_token_reads"`            // weights alone
	ReadFull  int64 `json:"bytes_a_token_reads_at_context"` // with the state at the context's end
	// Ceilings are bandwidth ÷ bytes: no decode of one sequence can be faster. Null without a bandwidth.
	CeilingEmpty *float64 `json:"decode_ceiling_tps"`
	CeilingFull  *float64 `json:"decode_ceiling_at_context_tps"`
	// Prefill is estimated: what the machine is assumed to sustain ÷ what a token costs.
	Prefill     *float64 `json:"prefill_tps_estimated"` // of a first step
	PrefillFull *float64 `json:"prefill_at_context_tps_estimated"`
}

func speedOf(p *Plan, m *Model) Speed {
	h := p.Hardware
	s := Speed{ReadEmpty: p.Active, ReadFull: p.Active + m.readState(p.Context, p.Form)}
	if h.Bandwidth != nil {
		all := *h.Bandwidth * 1e9 * float64(h.Devices)
		s.CeilingEmpty, s.CeilingFull = ratio(all, s.ReadEmpty), ratio(all, s.ReadFull)
	}
	if t := p.prefill(m, 0, p.Form.Step); t != nil && *t > 0 {
		s.Prefill = ratio(float64(p.Form.Step), *t)
	}
	if t := p.prefill(m, max(0, p.Context-p.Form.Step), p.Form.Step); t != nil && *t > 0 {
		s.PrefillFull = ratio(float64(p.Form.Step), *t)
	}
	return s
}

func ratio[T int64 | float64](a float64, b T) *float64 {
	if b == 0 {
		return nil
	}
	x := a / float64(b)
	return &x
}

// prefill estimates the seconds that n tokens behind at others take; nil without an assumption about the machine. Every step
// reads the weights at least once, which bounds short ones.
func (p *Plan) prefill(m *Model, at, n int) *float64 {
	h := p.Hardware
	if h.Compute == nil || m.Through == 0 || n <= 0 {
		if n <= 0 && h.Compute != nil {
			return new(float64)
		}
		return nil
	}
	w := &m.widths
	flops := 2 * float64(m.Through) * float64(n)
	for _, k := range m.Kinds {
		reach := float64(at) + float64(n)/2
		dim := max(w.HeadDim, dimOf(k.Kind, w))
		switch k.Kind {
		case hub.LinearAttention:
			reach, dim = 0, 0 // its products are part of the weights'; the recurrence is small
		case hub.SlidingAttention:
			reach = math.Min(reach, float64(m.Window))
		}
		flops += 4 * float64(k.Layers) * float64(w.Heads*dim) * reach * float64(n)
	}
	seconds := flops / (*h.Compute * 1e12 * float64(h.Devices))
	if h.Bandwidth != nil {
		read := float64(p.Total) // a step of many tokens goes through most experts
		if n == 1 {
			read = float64(p.Active)
		}
		count := math.Ceil(float64(n) / float64(p.Form.Step))
		seconds = math.Max(seconds, count*read/(*h.Bandwidth*1e9*float64(h.Devices)))
	}
	return &seconds
}

// Loop is what a loop of turns takes, each prompt continuing the last one.
type Loop struct {
	Profile string `json:"profile,omitempty"`
	Turns   int    `json:"turns"`
	First   int    `json:"first_prompt_tokens"`
	Last    int    `json:"last_prompt_tokens"`
	Answer  int    `json:"answer_tokens"`

	Prompts int     `json:"prompt_tokens"`       // of all turns
	With    int     `json:"computed_with_reuse"` // of them
	Share   float64 `json:"reused_share"`        // of a loop that starts cold and only appends
	Seconds struct {
		With    *float64 `json:"with_reuse_estimated"`
		Without *float64 `json:"without_reuse_estimated"`
		Decode  *float64 `json:"decode_at_the_ceiling"`
	} `json:"prefill_seconds"`
	Rows []TurnCost `json:"turns_shown"`
}

// TurnCost is a turn's first token.
type TurnCost struct {
	Turn   int      `json:"turn"`
	Prompt int      `json:"prompt_tokens"`
	New    int      `json:"computed_with_reuse"`
	Warm   *float64 `json:"ttft_with_reuse_ms_estimated"`
	Cold   *float64 `json:"ttft_without_reuse_ms_estimated"`
}

func newLoop(o *Options) (*Loop, error) {
	l := &Loop{Turns: o.Turns, Answer: o.Answer}
	if l.Turns == 0 {
		l.Turns = 50
	}
	name := o.Profile
	if name == "" && o.Recipe != nil {
		name = o.Recipe.Profile
	}
	if name == "" {
		if l.Answer == 0 {
			l.Answer = 256
		}
		context := o.Context
		if context == 0 {
			context = 32768
		}
		l.Last = context - l.Answer
		l.First = max(1, l.Last/10)
		if l.Last < 1 {
			return nil, fmt.Errorf("--ctx %d leaves no room for a prompt before an answer of %d tokens", context, l.Answer)
		}
		return l, nil
	}
	profile, err := loop.FindProfile(name)
	if err != nil {
		return nil, err
	}
	l.Profile, l.First, l.Last = name, profile.First, profile.Last
	if l.Turns < 50 { // the first ones of the profile's line
		l.Last = l.First + (profile.Last-profile.First)*(l.Turns-1)/49
	}
	if l.Answer == 0 {
		l.Answer = profile.MaxTokens
	}
	return l, nil
}

// prompt is a turn's, on the straight line from the first to the last.
func (l *Loop) prompt(turn int) int {
	if l.Turns == 1 {
		return l.Last
	}
	return l.First + int(math.Round(float64(l.Last-l.First)*float64(turn-1)/float64(l.Turns-1)))
}

// computed are the tokens of a turn's prompt that reuse leaves: what was appended, and always one.
func (l *Loop) computed(turn int) int {
	if turn == 1 {
		return l.prompt(1)
	}
	return max(1, l.prompt(turn)-l.prompt(turn-1))
}

// widest is the most that a turn computes behind the first one.
func (l *Loop) widest() int {
	n := 1
	for turn := 2; turn <= l.Turns; turn++ {
		n = max(n, l.computed(turn))
	}
	return n
}

// cost sums the turns up.
func (l *Loop) cost(p *Plan, m *Model) {
	var with, without float64
	known := true
	shown := map[int]bool{1: true, 2: true, (l.Turns + 1) / 2: true, l.Turns: true}
	for turn := 1; turn <= l.Turns; turn++ {
		n, fresh := l.prompt(turn), l.computed(turn)
		l.Prompts, l.With = l.Prompts+n, l.With+fresh
		warm, cold := p.prefill(m, n-fresh, fresh), p.prefill(m, 0, n)
		known = known && warm != nil && cold != nil
		if known {
			with, without = with+*warm, without+*cold
		}
		if shown[turn] {
			l.Rows = append(l.Rows, TurnCost{turn, n, fresh, millis(warm), millis(cold)})
		}
	}
	l.Share = 1 - float64(l.With)/float64(l.Prompts)
	if known {
		l.Seconds.With, l.Seconds.Without = &with, &without
	}
	if p.Speed.CeilingFull != nil {
		l.Seconds.Decode = ratio(float64(l.Turns*l.Answer), *p.Speed.CeilingFull)
	}
}

func millis(seconds *float64) *float64 {
	if seconds == nil {
		return nil
	}
	ms := *seconds * 1e3
	return &ms
}

// Fleet is arithmetic about many agents on many devices.
type Fleet struct {
	Agents       int64    `json:"conversations_at_context_that_fit"`
	Conversation int64    `json:"conversation_bytes"`
	Link         float64  `json:"link_gb_s_assumed"`
	TransferMs   float64  `json:"transfer_ms"` // of one conversation's state, over one link
	MissMs       *float64 `json:"recompute_ms_estimated"`
}

// link is an assumption: a network port of 400 Gb/s.
const link = 50

// fleet fills in what only matters where several devices share the work.
func (p *Plan) fleet() {
	if p.Hardware.Devices <= 1 {
		return
	}
	var one int64
	for _, s := range p.State {
		one += s.Live
	}
	f := &Fleet{Conversation: one, Link: link, TransferMs: float64(one) / (link * 1e9) * 1e3}
	if one > 0 {
		f.Agents = max(0, p.Spare+one) / one
	}
	if n := len(p.Loop.Rows); n > 0 {
		f.MissMs = p.Loop.Rows[n-1].Cold
	}
	p.Fleet = f
}

// notes say what the figures assume.
func (p *Plan) notes(m *Model) {
	h := p.Hardware
	add := func(format string, args ...any) { p.Notes = append(p.Notes, fmt.Sprintf(format, args...)) }
	if p.Trained > 0 && p.Context > p.Trained {
		add("the context of %s tokens is beyond the %s that the weights were trained for", console.Count(p.Context), console.Count(p.Trained))
	}
	add("tokens: one for four characters, as the profiles count; a tokenizer makes more or fewer of them (estimated)")
	add("reuse: the loop starts cold, every prompt continues the last one, nothing is evicted; what moves or disappears costs more")
	add("decode: one sequence; bandwidth ÷ bytes read a token is a ceiling, not a forecast")
	if h.Compute != nil {
		add("prefill: %.0f TFLOP/s sustained in 4 bit are assumed of one device (estimated); `bench speed` measures, --measured puts it beside", *h.Compute)
	} else {
		add("prefill: nothing is assumed of this machine's speed, so times are null; `bench speed` measures them, --measured puts them beside")
	}
	if share := inFlight[h.Backend]; share > 0 {
		add("activations: %.0f %% of all layers' outputs of a step are taken to be in flight on %s (estimated, fitted to one measured peak)", 100*share, h.Backend)
	} else {
		add("activations: one layer's outputs of a step are taken to be held at a time (estimated)")
	}
	if h.Note != "" {
		add("machine: %s", h.Note)
	}
	p.Notes = append(p.Notes, m.Notes...)
}
