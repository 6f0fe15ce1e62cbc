package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"reprise/cmd/internal/loop"
	"reprise/kvcache/ledger"
)

// Run is one run as the page shows it.
type Run struct {
	Name      string // of its folder
	Path      string
	Status    string // complete, incomplete, or "not known" without a summary
	Why       string // it is incomplete
	Estimated bool   // its columns are the article's estimates
	Mimic     bool   // no model ran
	Recipe    []Pair
	Options   map[string]any // what was run; nil: not known
	Claims    []loop.Claim
	NotClaim  []string
	Evidence  []Pair // fields that are not plainly measured
	Verdict   string // on what could still be saved
	Problems  []string
	Limit     *float64 // bytes of the machine's memory; nil: not known
	Notes     []string // what this page could not find out
	Turns     []Turn
}

// Pair is a name and what is said of it.
type Pair struct{ Name, Value string }

// Decoder makes text of a model's ids; the error says why it cannot.
type Decoder func(model string) (func(ids []int32) string, error)

// Read reads a run: a folder with turns.csv, or a CSV file of such columns or of the article's.
func Read(path string, decode Decoder) (*Run, error) {
	r := &Run{Name: filepath.Base(filepath.Clean(path)), Path: path, Status: "not known"}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: name the folder of a run (`reprise bench loop --out`), or a CSV", path, errors.Unwrap(err))
	}
	file := path
	if info.IsDir() {
		file = filepath.Join(path, loop.TurnsFile)
	}
	if err := r.readCSV(file); err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return r, nil
	}
	if err := r.readSummary(filepath.Join(path, loop.SummaryFile)); err != nil {
		return nil, err
	}
	return r, r.readTrace(filepath.Join(path, loop.TraceFile), decode)
}

// summary is what the page takes from a summary; fields that it does not know are left alone.
type summary struct {
	Status   string            `json:"status"`
	Why      string            `json:"why"`
	Mimic    bool              `json:"observability_mimic"`
	Recipe   loop.Recipe       `json:"recipe"`
	Claims   []loop.Claim      `json:"claims"`
	NotClaim []string          `json:"do_not_claim"`
	Options  map[string]any    `json:"options"`
	Evidence map[string]string `json:"evidence"`
	Problems []string          `json:"problems"`
	Machine  *struct {
		Memory float64 `json:"memory_bytes"`
	} `json:"machine"`
	Potential struct {
		Verdict string `json:"verdict"`
	} `json:"could_still_save"`
}

func (r *Run) readSummary(path string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		r.Notes = append(r.Notes, "no "+loop.SummaryFile+": recipe, claims and whether the run is complete are not known")
		return nil
	}
	var s summary
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil {
		return fmt.Errorf("%s is no run's summary: %w", path, err)
	}
	r.Status, r.Why, r.Mimic, r.Claims, r.NotClaim, r.Options = s.Status, s.Why, s.Mimic, s.Claims, s.NotClaim, s.Options
	r.Problems, r.Verdict = s.Problems, s.Potential.Verdict
	k := s.Recipe
	r.Recipe = []Pair{{"model", k.Model}, {"quantization", k.Quantization}, {"workload", k.Workload}, {"hardware", k.Hardware}, {"runtime", k.Runtime}, {"claim", k.Claim}}
	for field, kind := range s.Evidence {
		r.Evidence = append(r.Evidence, Pair{field, kind})
	}
	slices.SortFunc(r.Evidence, func(a, b Pair) int { return strings.Compare(a.Value+a.Name, b.Value+b.Name) })
	if s.Machine != nil && s.Machine.Memory > 0 {
		r.Limit = &s.Machine.Memory
	}
	return nil
}

// State is the run's state in a few words, "" when it is complete and measured.
func (r *Run) State() string {
	var parts []string
	switch {
	case r.Estimated:
		parts = append(parts, "estimates: the article's proxy columns, nothing measured")
	case r.Status != "complete":
		parts = append(parts, strings.TrimSuffix(r.Status+": "+r.Why, ": "))
	}
	if r.Mimic {
		parts = append(parts, "no model ran")
	}
	return strings.Join(parts, "; ")
}

// Kinds of evidence of a figure: the ledger's, and what needs no word there.
const (
	Measured = "measured"
	Estimate = string(ledger.Estimated)
)

// Kind is what kind of evidence a figure of these row fields is: that of an estimate among them, or of the first one that is not
// plainly measured, or Measured.
func (r *Run) Kind(fields ...string) string {
	if r.Estimated {
		return Estimate
	}
	kind := Measured
	for _, field := range fields {
		switch e := r.evidence(field); {
		case e == Estimate:
			return e
		case e != "" && kind == Measured:
			kind = e
		}
	}
	return kind
}

// evidence is what the summary says of a row's field, or without one, the last turn that says something.
func (r *Run) evidence(field string) string {
	for _, p := range r.Evidence {
		if p.Name == field {
			return p.Value
		}
	}
	for i := len(r.Turns) - 1; i >= 0; i-- {
		var of map[string]string
		if json.Unmarshal([]byte(r.Turns[i].Evidence), &of) == nil && of[field] != "" {
			return of[field]
		}
	}
	return ""
}
