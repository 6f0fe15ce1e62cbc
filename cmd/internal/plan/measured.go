package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/speed"
)

// Measured puts a run's figures beside the plan's.
type Measured struct {
	From     string     `json:"from"`
	Model    string     `json:"model"`
	Machine  string     `json:"machine"`
	Compared []Compared `json:"compared"`
	Warnings []string   `json:"warnings,omitempty"`
}

// Compared is one figure, predicted and measured; what either does not know is null.
type Compared struct {
	Name      string   `json:"name"`
	Unit      string   `json:"unit"` // bytes, ms, tok/s, share
	Predicted *float64 `json:"predicted"`
	Measured  *float64 `json:"measured"`
	Note      string   `json:"note,omitempty"`
}

// Difference is measured ÷ predicted − 1, nil unless both are known.
func (c Compared) Difference() *float64 {
	if c.Predicted == nil || c.Measured == nil || *c.Predicted == 0 {
		return nil
	}
	d := *c.Measured / *c.Predicted - 1
	return &d
}

// Run is what was read of a run: a folder of `bench loop`, or the object that `bench speed --json` printed.
type Run struct {
	From  string
	loop  *loop.Summary
	speed *speed.Report
}

// ReadRun reads a run's folder or file.
func ReadRun(path string) (*Run, error) {
	file := path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		file = filepath.Join(path, loop.SummaryFile)
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("--measured %s: there is no %s: name the folder of a `bench loop` run, or a file that `bench speed --json` wrote", path, filepath.Base(file))
	}
	if err != nil {
		return nil, fmt.Errorf("--measured: %w", err)
	}
	var kind struct {
		Status string          `json:"status"`
		Points json.RawMessage `json:"points"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, fmt.Errorf("--measured %s: %w", file, err)
	}
	r := &Run{From: file}
	switch {
	case kind.Points != nil:
		r.speed = &speed.Report{}
		err = json.Unmarshal(raw, r.speed)
	case kind.Status != "":
		r.loop = &loop.Summary{}
		err = json.Unmarshal(raw, r.loop)
	default:
		return nil, fmt.Errorf("--measured %s: neither the summary of a `bench loop` run nor an object of `bench speed --json`", file)
	}
	if err != nil {
		return nil, fmt.Errorf("--measured %s: %w", file, err)
	}
	if r.loop != nil && r.loop.Mimic {
		return nil, fmt.Errorf("--measured %s: a dry run: no model ran, so nothing in it was measured", file)
	}
	return r, nil
}

// Suggest fills in what the run says and the options leave open.
func (r *Run) Suggest(o *Options) {
	if r.loop == nil {
		r.suggestPoint(o)
		return
	}
	if o.Profile == "" && o.Recipe == nil {
		o.Profile = r.loop.Options.Profile
	}
	if o.Turns == 0 {
		o.Turns = r.loop.Options.Turns
	}
	if o.Answer == 0 {
		o.Answer = r.loop.Options.MaxTokens
	}
}

// suggestPoint takes the longest of a speed run's points for a loop of one turn.
func (r *Run) suggestPoint(o *Options) {
	if o.Context != 0 || o.Profile != "" || o.Recipe != nil || len(r.speed.Points) == 0 {
		return
	}
	last := r.speed.Points[0]
	for _, x := range r.speed.Points {
		if x.Prompt > last.Prompt {
			last = x
		}
	}
	o.Context, o.Turns, o.Answer = last.Prompt+last.Generated, 1, last.Generated
}

// ModelName is the model that ran.
func (r *Run) ModelName() string {
	if r.loop != nil {
		return r.loop.Recipe.Model
	}
	return r.speed.Model
}

// Compare puts the run beside the plan.
func (p *Plan) Compare(r *Run) {
	m := &Measured{From: r.From, Model: r.ModelName()}
	if r.loop != nil {
		m.Machine = r.loop.Recipe.Hardware
		m.loop(p, r.loop)
	} else {
		m.Machine = r.speed.Machine.String()
		m.speed(p, r.speed)
	}
	if m.Model != p.Recipe.Model {
		m.Warnings = append(m.Warnings, fmt.Sprintf("the run's model is %s, the plan's %s", m.Model, p.Recipe.Model))
	}
	if !p.Hardware.Here {
		m.Warnings = append(m.Warnings, "the plan is for another machine than this one; see which one the run names")
	}
	p.Measured = m
}

func (m *Measured) add(name, unit string, predicted, measured *float64, note string) {
	m.Compared = append(m.Compared, Compared{name, unit, predicted, measured, note})
}

func of[T int | int64 | float64](n T) *float64 { x := float64(n); return &x }

func ofPointer[T int | int64 | float64](n *T) *float64 {
	if n == nil {
		return nil
	}
	return of(*n)
}

// live is the state that the plan has at a number of tokens.
func (p *Plan) live() int64 {
	var n int64
	for _, s := range p.State {
		n += s.Live
	}
	return n
}

// mlx is what the plan has MLX hold at its peak.
func (p *Plan) mlx() int64 {
	var n int64
	for _, l := range p.Lines {
		if l.Section != Process {
			n += l.Bytes
		}
	}
	return n
}

func (m *Measured) loop(p *Plan, s *loop.Summary) {
	phase := map[string]loop.Phase{}
	for _, x := range s.Phases {
		phase[x.Phase] = x
	}
	m.add("weights", "bytes", of(p.Total), ofPointer(phase[loop.PhaseLoad].Bytes), "")
	m.add("largest state held", "bytes", of(p.live()), ofPointer(phase[loop.PhasePrefill].Bytes), "the run keeps snapshots and other conversations' state too")
	m.add("MLX peak active", "bytes", of(p.mlx()), ofPointer(s.Peaks.MLX), "never to be mixed with the footprint")
	m.add("footprint peak", "bytes", of(p.Needs), ofPointer(s.Peaks.Footprint), "")
	m.add("reused", "share", of(p.Loop.Share), s.Reuse.HitShare, "predicted of a loop that only appends")
	warm, cold := p.Loop.middle()
	m.add("first token with reuse", "ms", warm, s.TTFT.Hit, "median; predicted: the loop's middle turn")
	m.add("first token without", "ms", cold, s.TTFT.Miss, fmt.Sprintf("median of %d turns", s.TTFT.MissTurns))
	m.add("prefill", "tok/s", p.Speed.Prefill, rate(phase[loop.PhasePrefill]), "")
	m.add("decode", "tok/s", p.Speed.CeilingFull, rate(phase[loop.PhaseDecode]), "predicted is a ceiling")
	if s.Status != "complete" {
		m.Warnings = append(m.Warnings, "the run is "+s.Status+": "+s.Why)
	}
}

// middle is the first token's time in the middle of the loop with reuse, and of its first turn without.
func (l *Loop) middle() (warm, cold *float64) {
	for _, r := range l.Rows {
		if r.Turn == 1 {
			cold = r.Cold
		}
		if r.Turn == (l.Turns+1)/2 {
			warm = r.Warm
		}
	}
	return warm, cold
}

func rate(p loop.Phase) *float64 {
	if p.Ms == nil || p.Tokens == nil || *p.Ms <= 0 {
		return nil
	}
	return of(float64(*p.Tokens) / *p.Ms * 1e3)
}

func (m *Measured) speed(p *Plan, s *speed.Report) {
	for _, l := range p.Lines {
		if l.Section == Weights {
			m.add("weights: "+l.Name, "bytes", of(l.Bytes), present(s.Parts[l.Name]), "")
		}
	}
	m.add("weights", "bytes", of(p.Total), present(s.Weights), "")
	var peak int64
	var decode, prefill float64
	for _, x := range s.Points {
		peak, decode, prefill = max(peak, x.MLXPeak), math.Max(decode, x.DecodeTPS), math.Max(prefill, x.PrefillTPS)
	}
	m.add("MLX peak active", "bytes", of(p.mlx()), present(peak), "the largest of the run's points; the plan's is at its own context")
	m.add("prefill", "tok/s", p.Speed.Prefill, present(prefill), "the fastest point")
	m.add("decode", "tok/s", p.Speed.CeilingEmpty, present(decode), "the fastest point; predicted is a ceiling")
}

// present is a figure, or nothing where it is 0: not measured.
func present[T int | int64 | float64](n T) *float64 {
	if n == 0 {
		return nil
	}
	return of(n)
}
