package selftest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"reprise/cmd/internal/doctor"
	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/speed"
	"reprise/cmd/internal/version"
	"reprise/kvcache/ledger/footprint/machine"
	"reprise/mlx"
)

// Status of a check.
type Status string

// The states.
const (
	Pass    Status = "pass"
	Fail    Status = "fail"
	Skipped Status = "skipped"
)

// Check is one line of the page.
type Check struct {
	Section string         `json:"section"`
	Name    string         `json:"name"`
	Status  Status         `json:"status"`
	Says    string         `json:"says"`
	Figures map[string]any `json:"figures,omitempty"`
}

// Report is the file.
type Report struct {
	Time       time.Time        `json:"time"`
	Version    version.Info     `json:"version"`
	Machine    machine.Machine  `json:"machine"`
	Device     string           `json:"device"`
	DeviceName string           `json:"device_name"`
	WorkingSet int64            `json:"recommended_working_set_bytes,omitempty"`
	Recipe     loop.Recipe      `json:"recipe"`
	Claims     []string         `json:"claims"`
	DoNotClaim []string         `json:"do_not_claim"`
	Checks     []Check          `json:"checks"`
	Doctor     []doctor.Finding `json:"doctor"`
	Speed      *speed.Report    `json:"speed"` // null: no model ran
	Seconds    float64          `json:"seconds"`
}

// Options say what to test with.
type Options struct {
	Model  string // what hub.Resolve takes
	Device mlx.Device
	// Prompts are the lengths that speed is measured at; nil: 512, and 2,048 where that does not take long.
	Prompts  []int
	Progress func(section string) // may be nil
}

// Run makes every check. Only a machine that cannot be described is an error: all else is a check that fails.
func Run(ctx context.Context, o Options) (*Report, error) {
	start := time.Now()
	r := &Report{Time: start.UTC(), Version: version.Read(), Device: o.Device.String()}
	var err error
	if r.Machine, err = machine.Read(); err != nil {
		return nil, err
	}
	for _, section := range []struct {
		name string
		run  func(context.Context, Options)
	}{{"parity", r.parity}, {"kernels", r.kernels}, {"memory", r.memory}, {"model", r.model}, {"doctor", r.doctor}} {
		if o.Progress != nil {
			o.Progress(section.name)
		}
		section.run(ctx, o)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("selftest was cancelled in its section %s: %w", section.name, err)
		}
	}
	r.claims()
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// Failed are the checks that did not pass, without those that were skipped.
func (r *Report) Failed() []Check {
	var out []Check
	for _, c := range r.Checks {
		if c.Status == Fail {
			out = append(out, c)
		}
	}
	return out
}

func (r *Report) check(section, name string, err error, figures map[string]any, format string, args ...any) {
	c := Check{section, name, Pass, fmt.Sprintf(format, args...), figures}
	var skipped *skip
	switch {
	case errors.As(err, &skipped):
		c.Status, c.Says = Skipped, skipped.why
	case err != nil:
		c.Status = Fail
		if c.Says != "" {
			c.Says += ": "
		}
		c.Says += err.Error()
	}
	r.Checks = append(r.Checks, c)
}

// skip is why a check could not be made.
type skip struct{ why string }

func (s *skip) Error() string { return s.why }

func skipped(format string, args ...any) error { return &skip{fmt.Sprintf(format, args...)} }

// doctor adds what `reprise doctor` says of this machine.
func (r *Report) doctor(ctx context.Context, o Options) {
	d := doctor.Examine(ctx, doctor.Options{Model: o.Model, Device: o.Device.String(), Addr: "127.0.0.1:0"})
	r.Doctor = d.Findings
}

// claims say what this file may be used for.
func (r *Report) claims() {
	if len(r.Failed()) > 0 {
		r.DoNotClaim = append(r.DoNotClaim, "anything: a check failed")
		return
	}
	r.Claims = append(r.Claims, fmt.Sprintf("this build computes what mlx-lm does on tiny checkpoints of every family, on %s", r.Machine))
	if r.Speed != nil {
		r.Claims = append(r.Claims, fmt.Sprintf("the speeds and both memory peaks of %s in this file, on this machine", r.Speed.Model))
	} else {
		r.DoNotClaim = append(r.DoNotClaim, "speeds or memory of a model: none ran")
	}
	if runtime.GOOS != "darwin" {
		r.DoNotClaim = append(r.DoNotClaim, "figures of a Mac: this is none")
	}
	r.DoNotClaim = append(r.DoNotClaim, "images: this build reads text only", "what another model or machine would do", "a 50-turn loop: `reprise bench loop` makes that file")
}
