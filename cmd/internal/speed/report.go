package speed

import (
	"fmt"
	"io"
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
	Grid    int             `json:"prefill_grid_tokens"`
	Kernels string          `json:"kernels,omitempty"` // of the CPU device: their instruction set
	Act     string          `json:"activations,omitempty"`
	Threads int             `json:"threads,omitempty"`
	Repeat  int             `json:"repeat"`
	Points  []Point         `json:"points"`
	Profile *Profile        `json:"profile,omitempty"` // of the longest prompt
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
	fmt.Fprintf(out, "%s\n%s\n", r.Machine, r.Version)
	if r.Kernels != "" {
		fmt.Fprintf(out, "%s kernels, %s activations, %d threads\n", r.Kernels, r.Act, r.Threads)
	}
	fmt.Fprintf(out, "%s\n\n", r.Method)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "prompt\tprefill tok/s\tfirst token\tgenerated\tdecode tok/s\tMLX peak\tfootprint peak\t")
	for _, p := range r.Points {
		fmt.Fprintf(w, "%s\t%.1f\t%s\t%s\t%.1f\t%s\t%s\t\n", console.Count(p.Prompt), p.PrefillTPS, console.Millis(p.TTFTMs),
			console.Count(p.Generated), p.DecodeTPS, console.Bytes(p.MLXPeak), console.Bytes(p.Footprint))
	}
	if err := w.Flush(); err != nil || r.Profile == nil {
		return err
	}
	return r.Profile.WriteText(out)
}
