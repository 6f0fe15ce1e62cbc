package selftest

import (
	"fmt"
	"io"

	"reprise/cmd/internal/doctor"
)

// WriteText prints the page.
func (r *Report) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "reprise selftest, %s\n%s\n%s\ndevice %s", r.Time.Format("2006-01-02 15:04 MST"), r.Version, r.Machine, r.Device)
	if r.DeviceName != "" {
		fmt.Fprintf(out, ", %s", r.DeviceName)
	}
	fmt.Fprintln(out)
	marks := map[Status]string{Pass: "pass   ", Fail: "FAIL   ", Skipped: "skipped"}
	section := ""
	for _, c := range r.Checks {
		if c.Section != section {
			section = c.Section
			fmt.Fprintf(out, "\n%s\n", section)
		}
		fmt.Fprintf(out, "  %s  %s: %s\n", marks[c.Status], c.Name, c.Says)
	}
	fmt.Fprintln(out)
	for _, f := range r.Doctor {
		if f.Level != doctor.OK {
			fmt.Fprintf(out, "doctor   %s, %s: %s → %s\n", f.Name, f.Level, f.Says, f.Mend)
		}
	}
	for _, text := range r.Claims {
		fmt.Fprintf(out, "claim    %s\n", text)
	}
	for _, text := range r.DoNotClaim {
		fmt.Fprintf(out, "not      %s\n", text)
	}
	passed, other := 0, 0
	for _, c := range r.Checks {
		switch c.Status {
		case Pass:
			passed++
		case Skipped:
			other++
		}
	}
	_, err := fmt.Fprintf(out, "%d passed, %d failed, %d skipped, in %.0f s\n", passed, len(r.Failed()), other, r.Seconds)
	return err
}
