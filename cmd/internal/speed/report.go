package speed

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/version"
	"reprise/kvcache/ledger/footprint/machine"
	"reprise/mlx"
	"reprise/server/engine"
)

// Method is how the figures came about; it is printed with them.
const Method = "through the engine, reuse off, greedy; one warm-up round, then medians; prefill is prompt tokens ÷ time to the first token"

// Report is what `reprise bench speed --json` prints.
type Report struct {
	Method  string          `json:"method"`
	Machine machine.Machine `json:"machine"`
	Version version.Info    `json:"version"`
	Model   string          `json:"model"`
	Device  string          `json:"device"`
	Name    string          `json:"device_name,omitempty"`
	Dtype   string          `json:"dtype"`
	Weights int64           `json:"weights_bytes"`
	Synth   string          `json:"synth,omitempty"` // the config of made-up weights
	Load    float64         `json:"load_seconds"`
	// LoadPeak is MLX's peak of active bytes during the load, Parts what of the model holds them.
	LoadPeak int64            `json:"load_peak_bytes"`
	Parts    map[string]int64 `json:"weights_by_component"`
	Sizes    *Sizes           `json:"sizes,omitempty"` // on a GPU
	Grid     int              `json:"prefill_grid_tokens"`
	Kernels  string           `json:"kernels,omitempty"`         // of the CPU device: their instruction set
	KV       string           `json:"keys_and_values,omitempty"` // where they are quantized
	Act      string           `json:"activations,omitempty"`
	Threads  int              `json:"threads,omitempty"`
	Repeat   int              `json:"repeat"`
	Points   []Point          `json:"points"`
	Graph    *Graph           `json:"decode_graph,omitempty"`
	Profile  *Profile         `json:"profile,omitempty"` // of the longest prompt
}

// NewReport describes what computes; Points are the caller's.
func NewReport(e *engine.Engine, info mlx.DeviceInfo) (*Report, error) {
	m, d := e.Model(), e.Worker().Device()
	computer, err := machine.Read()
	if err != nil {
		return nil, err
	}
	r := &Report{
		Method: Method, Machine: computer, Version: version.Read(), Model: m.Name, Device: d.String(), Name: info.Name,
		Dtype: m.Info().Dtype.String(), Weights: m.Info().Bytes, Grid: m.Grid(),
		Load: m.LoadTime.Seconds(), LoadPeak: m.LoadPeak, Parts: m.Parts,
	}
	if m.KV.On() {
		r.KV = m.KV.String()
	}
	if d == mlx.CPU {
		r.Kernels, r.Threads = e.Worker().KernelLevel()
		r.Act = e.Worker().Activations()
	}
	return r, nil
}

// WriteText prints the report for a terminal.
func (r *Report) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "%s on %s, %s, weights %s\n", r.Model, r.Device, r.Dtype, console.Bytes(r.Weights))
	if r.Synth != "" {
		fmt.Fprintf(out, "made-up weights of the shapes in %s\n", r.Synth)
	}
	if r.Name != "" && r.Kernels == "" { // on the CPU device it is the machine's
		fmt.Fprintf(out, "%s\n", r.Name)
	}
	fmt.Fprintf(out, "%s\n%s\n", r.Machine, r.Version)
	if r.Kernels != "" {
		fmt.Fprintf(out, "%s kernels, %s activations, %d threads\n", r.Kernels, r.Act, r.Threads)
	}
	if r.KV != "" {
		fmt.Fprintf(out, "keys and values %s\n", r.KV)
	}
	fmt.Fprintf(out, "%s\n\n", r.Method)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "prompt\tprefill tok/s\trange\tfirst token\tgenerated\tdecode tok/s\trange\tMLX peak\tfootprint peak\t")
	for _, p := range r.Points {
		fmt.Fprintf(w, "%s\t%.1f\t%s\t%s\t%s\t%.1f\t%s\t%s\t%s\t\n", console.Count(p.Prompt), p.PrefillTPS, rangeText(p.PrefillRange), console.Millis(p.TTFTMs),
			console.Count(p.Generated), p.DecodeTPS, rangeText(p.DecodeRange), console.Bytes(p.MLXPeak), console.Bytes(p.Footprint))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	r.writeModel(out)
	if r.Profile == nil {
		return nil
	}
	return r.Profile.WriteText(out)
}

// writeModel prints what the load and a decode step cost.
func (r *Report) writeModel(out io.Writer) {
	fmt.Fprintf(out, "\nloaded in %.2f s, MLX peak %s\n", r.Load, console.Bytes(r.LoadPeak))
	if r.Sizes != nil {
		r.Sizes.writeText(out)
	} else {
		parts := slices.SortedFunc(maps.Keys(r.Parts), func(a, b string) int { return cmp.Or(cmp.Compare(r.Parts[b], r.Parts[a]), cmp.Compare(a, b)) })
		for _, name := range parts {
			fmt.Fprintf(out, "  %-22s %10s\n", strings.ReplaceAll(name, "_", " "), console.Bytes(r.Parts[name]))
		}
	}
	if r.Graph != nil {
		fmt.Fprintf(out, "a decode step: %.0f nodes of MLX's graph, %.0f of them launch something\n", r.Graph.Nodes, r.Graph.Launches)
	}
}

func rangeText(r [2]float64) string { return fmt.Sprintf("%.1f–%.1f", r[0], r[1]) }
