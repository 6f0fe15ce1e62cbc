package doctor

import (
	"context"
	"fmt"
	"io"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/version"
)

// Level says how a finding is meant.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // it works, but not well or not everywhere
	Problem Level = "problem" // something will fail
)

// Finding is one thing that was looked at.
type Finding struct {
	Name  string `json:"name"`
	Level Level  `json:"level"`
	Says  string `json:"says"`
	Mend  string `json:"mend,omitempty"` // what to do; never empty unless OK
}

// Options say what is going to be used.
type Options struct {
	Model   string // what hub.Resolve takes
	Device  string // auto, cpu, gpu
	Context int    // 0: the checkpoint's
	Addr    string // of the server
	Key     string // that the server asks for
}

// Report is what `reprise doctor --json` prints.
type Report struct {
	Version  version.Info `json:"version"`
	Findings []Finding    `json:"findings"`

	system probe
}

// Examine looks at everything. It never fails: what cannot be looked at is a finding.
func Examine(ctx context.Context, o Options) *Report { return look(ctx, o, system()) }

func look(ctx context.Context, o Options, p probe) *Report {
	r := &Report{Version: version.Read(), system: p}
	r.machine()
	r.libraries()
	device := r.mlx(ctx, o.Device)
	r.mac(device)
	r.blas()
	r.models()
	r.checkpoint(ctx, o, device)
	r.folders()
	r.disk()
	r.port(o.Addr)
	r.agents(ctx, o)
	return r
}

// Problems is the number of findings that will make something fail.
func (r *Report) Problems() int {
	n := 0
	for _, f := range r.Findings {
		if f.Level == Problem {
			n++
		}
	}
	return n
}

func (r *Report) ok(name, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Name: name, Level: OK, Says: fmt.Sprintf(format, args...)})
}

func (r *Report) add(name string, level Level, mend, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Name: name, Level: level, Mend: mend, Says: console.OneLine(fmt.Sprintf(format, args...))})
}

// WriteText prints the report for a terminal.
func (r *Report) WriteText(out io.Writer) error {
	if _, err := fmt.Fprintln(out, r.Version); err != nil {
		return err
	}
	marks := map[Level]string{OK: "ok     ", Warning: "warning", Problem: "PROBLEM"}
	for _, f := range r.Findings {
		fmt.Fprintf(out, "%s  %-14s %s\n", marks[f.Level], f.Name, f.Says)
		if f.Mend != "" {
			fmt.Fprintf(out, "%s  %-14s → %s\n", "       ", "", f.Mend)
		}
	}
	return nil
}
