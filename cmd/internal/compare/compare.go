package compare

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"reprise/cmd/internal/report"
)

// Table is runs side by side; the first is what the others are divided by.
type Table struct {
	Runs     []Head   `json:"runs"`
	Differ   []string `json:"recipe_fields_that_differ"`
	Figures  []Figure `json:"figures"`
	Warnings []string `json:"warnings"` // why the runs may not be comparable; empty when nothing says so
}

// Head is what stands above a run's figures.
type Head struct {
	Letter  string            `json:"letter"` // A, B, …: its name in the text
	Name    string            `json:"name"`
	Path    string            `json:"path"`
	State   string            `json:"state"` // complete, or what it is instead
	Turns   int               `json:"turns"`
	Recipe  map[string]string `json:"recipe"`
	Options map[string]any    `json:"options"`      // null: not known
	Same    *int              `json:"same_prompts"` // turns whose prompt has the ids of the first run's; null: a run does not say
}

// Figure is one line: a value of each run, nil where it was not measured.
type Figure struct {
	Name     string     `json:"name"` // as in turns.csv or summary.json
	Title    string     `json:"title"`
	Values   []*float64 `json:"values"`
	Evidence []string   `json:"evidence"` // measured, or the ledger's word
	Ratios   []*float64 `json:"ratios"`   // to the first run; null unless both are more than estimates

	field report.Field
	group int
}

// groups are the figures in their order.
var groups = [][]string{
	{"prompt_tokens", "lookup_hit_tokens", "l0_hit_tokens", "l1_hit_tokens", "l2_hit_tokens"},
	{"hit_share", "hit_of_ceiling"},
	{"paid_again_tokens", "recompute_tokens", "displaced_tokens", "new_tokens", "prefill_tokens"},
	{"ttft_warm_ms", "ttft_cold_ms", "ttft_ms", "prefill_tps", "decode_tps"},
	{"pd_transfer_ms", "l2_transfer_ms"},
	{"mlx_peak_bytes", "footprint_peak_bytes"},
}

// recipe are the fields of a recipe, in their order.
var recipe = []string{"model", "quantization", "workload", "hardware", "runtime", "claim"}

// Of makes the table of two runs or more.
func Of(runs []*report.Run) *Table {
	t := &Table{Differ: []string{}, Warnings: warnings(runs)}
	for i, r := range runs {
		t.Runs = append(t.Runs, head(i, r, runs[0]))
	}
	for _, field := range recipe {
		if slices.ContainsFunc(t.Runs, func(h Head) bool { return h.Recipe[field] != t.Runs[0].Recipe[field] }) {
			t.Differ = append(t.Differ, field)
		}
	}
	for at, names := range groups {
		for _, name := range names {
			i := slices.IndexFunc(report.Fields, func(f report.Field) bool { return f.Name == name })
			t.Figures = append(t.Figures, figure(report.Fields[i], at, runs))
		}
	}
	return t
}

func letter(i int) string { return string(rune('A' + i)) }

func head(at int, r, first *report.Run) Head {
	h := Head{Letter: letter(at), Name: r.Name, Path: r.Path, State: r.State(), Turns: len(r.Turns), Recipe: map[string]string{}, Options: r.Options, Same: same(r, first)}
	if h.State == "" {
		h.State = r.Status
	}
	for _, p := range r.Recipe {
		h.Recipe[p.Name] = p.Value
	}
	return h
}

// same counts the turns whose prompt is the first run's, id by id.
func same(r, first *report.Run) *int {
	n := 0
	for i := range min(len(r.Turns), len(first.Turns)) {
		a, b := r.Turns[i].Checksum, first.Turns[i].Checksum
		if a == "" || b == "" {
			return nil
		}
		if a == b {
			n++
		}
	}
	return &n
}

func figure(field report.Field, group int, runs []*report.Run) Figure {
	f := Figure{Name: field.Name, Title: field.Title, field: field, group: group}
	for _, r := range runs {
		f.Values = append(f.Values, field.Of(r))
		f.Evidence = append(f.Evidence, r.Kind(field.From...))
	}
	for i := range runs {
		f.Ratios = append(f.Ratios, f.ratio(i))
	}
	return f
}

// ratio is the run's value ÷ the first run's.
func (f *Figure) ratio(i int) *float64 {
	a, b := f.Values[0], f.Values[i]
	if a == nil || b == nil || *a == 0 || f.Evidence[0] == report.Estimate || f.Evidence[i] == report.Estimate {
		return nil
	}
	x := *b / *a
	return &x
}

// alike are the options in which runs must agree to be comparable; layout, session and reuse are what experiments change.
var alike = []struct{ option, says string }{
	{"profile", "profile"}, {"scale", "scale of the profile"}, {"assistant", "assistant mode"}, {"max_tokens", "length of answers (--max-tokens)"}, {"fixtures", "texts (--fixtures)"},
}

// warnings are what speaks against comparing the runs.
func warnings(runs []*report.Run) []string {
	out := []string{}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for i, r := range runs {
		if text := r.State(); text != "" {
			say("%s: %s", letter(i), text)
		}
		if n := len(r.Problems); n > 0 {
			say("%s: %d problems, the first: %s", letter(i), n, r.Problems[0])
		}
	}
	a := runs[0]
	for i, b := range runs[1:] {
		pair := "A and " + letter(i+1)
		if a.Options == nil || b.Options == nil {
			say("%s: whether model, machine and workload are the same is not known without a summary.json", pair)
		} else {
			for _, what := range differences(a, b) {
				say("%s: %s", pair, what)
			}
		}
		if x, y := len(a.Turns), len(b.Turns); x != y {
			say("%s: %d turns and %d: sums over them are of different prompts", pair, x, y)
		}
	}
	return out
}

// differences are between two runs whose summaries are there.
func differences(a, b *report.Run) []string {
	var out []string
	say := func(what string, x, y any) { out = append(out, fmt.Sprintf("another %s: %v and %v", what, x, y)) }
	for _, field := range []struct{ name, says string }{{"model", "model"}, {"quantization", "quantization"}, {"hardware", "machine"}} {
		if x, y := said(a, field.name), said(b, field.name); x != y {
			say(field.says, x, y)
		}
	}
	for _, o := range alike {
		if x, y := a.Options[o.option], b.Options[o.option]; !reflect.DeepEqual(x, y) && !(absent(x) && absent(y)) {
			say(o.says, orNone(x), orNone(y))
		}
	}
	// What somebody else drove has no profile: its workload says what it is.
	if x, y := kind(a), kind(b); x != y && absent(a.Options["profile"]) && absent(b.Options["profile"]) {
		say("workload", x, y)
	}
	return out
}

func absent(v any) bool { return v == nil || v == "" }

func orNone(v any) any {
	if absent(v) {
		return "none"
	}
	return v
}

func said(r *report.Run, field string) string {
	for _, p := range r.Recipe {
		if p.Name == field {
			return p.Value
		}
	}
	return ""
}

// kind is what ran, without how many turns of it.
func kind(r *report.Run) string {
	what, _, _ := strings.Cut(said(r, "workload"), ", ")
	return what
}
