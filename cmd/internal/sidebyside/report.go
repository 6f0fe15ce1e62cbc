package sidebyside

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"reprise/cmd/internal/speed"
	"reprise/cmd/internal/version"
	"reprise/kvcache/ledger/footprint/machine"
)

// The names of the engines, and so the columns of the tables. Ratios are Ours ÷ a peer's.
const (
	Ours     = "reprise"
	LlamaCPP = "llama.cpp"
	MLXLM    = "mlx-lm"
)

// Engines are all of them, in the order of the columns.
var Engines = []string{Ours, LlamaCPP, MLXLM}

// Report is what `reprise bench peers --json` writes.
type Report struct {
	Method  []string        `json:"method"` // how the figures came about, a sentence each
	Date    string          `json:"date"`   // UTC
	Machine machine.Machine `json:"machine"`
	Version version.Info    `json:"version"`
	Model   string          `json:"model"`
	Threads int             `json:"threads"` // of every engine
	Rounds  int             `json:"rounds"`
	Engines []About         `json:"engines"`
	LeftOut []string        `json:"left_out,omitempty"` // what was not measured, and why
	Others  []Others        `json:"others"`             // what else ran on the machine, by round
	Series  []Series        `json:"series"`
}

// About says what an engine is and what it computed on.
type About struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Weights string `json:"weights"`
	Server  string `json:"server"` // its command line, without folders and port
}

// Series holds one figure of one engine over the rounds.
type Series struct {
	Metric string    `json:"metric"`       // the name of one of metrics
	At     string    `json:"at,omitempty"` // context in tokens, or the step of the conversation
	Engine string    `json:"engine"`
	Rounds []float64 `json:"rounds"`
}

// add keeps a figure of this round.
func (r *Report) add(metric, at, engine string, value float64) {
	value = math.Round(value*1e3) / 1e3
	for i := range r.Series {
		if s := &r.Series[i]; s.Metric == metric && s.At == at && s.Engine == engine {
			s.Rounds = append(s.Rounds, value)
			return
		}
	}
	r.Series = append(r.Series, Series{metric, at, engine, []float64{value}})
}

// rounds are the figures of a series, none when it was not measured.
func (r *Report) rounds(metric, at, engine string) []float64 {
	for _, s := range r.Series {
		if s.Metric == metric && s.At == at && s.Engine == engine {
			return s.Rounds
		}
	}
	return nil
}

// ratio is that of the medians, ours to the peer's; false when one of them was not measured.
func (r *Report) ratio(metric, at, peer string) (float64, bool) {
	ours, theirs := r.rounds(metric, at, Ours), r.rounds(metric, at, peer)
	if len(ours) == 0 || len(theirs) == 0 || speed.Median(theirs) == 0 {
		return 0, false
	}
	return speed.Median(ours) / speed.Median(theirs), true
}

// places are the contexts or steps at which a metric was measured, in the order of measuring.
func (r *Report) places(metric string) []string {
	var out []string
	for _, s := range r.Series {
		if s.Metric == metric && !slices.Contains(out, s.At) {
			out = append(out, s.At)
		}
	}
	return out
}

// measured are the engines of the report, in the order of the columns.
func (r *Report) measured() []string {
	var out []string
	for _, name := range Engines {
		if slices.ContainsFunc(r.Series, func(s Series) bool { return s.Engine == name }) {
			out = append(out, name)
		}
	}
	return out
}

// Read reads what Write wrote.
func Read(file string) (*Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s is not what `reprise bench peers --json` writes: %w", file, err)
	}
	for _, s := range r.Series {
		if _, ok := metricOf(s.Metric); !ok || len(s.Rounds) == 0 {
			return nil, fmt.Errorf("%s holds a series %q of %d rounds, which this build does not know", file, s.Metric, len(s.Rounds))
		}
	}
	return r, nil
}

// Write puts the report into a file; its folder is made when it is not there. One series stands on one line, so that
// two reports can be compared.
func (r *Report) Write(file string) error {
	plain := *r
	plain.Series = nil
	head, err := json.MarshalIndent(plain, "", "  ")
	if err != nil {
		return err
	}
	text := string(head[:len(head)-len("null\n}")]) + "[\n"
	for i, s := range r.Series {
		line, err := json.Marshal(s)
		if err != nil {
			return err
		}
		comma := ","
		if i == len(r.Series)-1 {
			comma = ""
		}
		text += "    " + string(line) + comma + "\n"
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text+"  ]\n}\n"), 0o644)
}
