package machine

import (
	"context"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Conditions are what a timing depends on besides the machine. Nil where the system does not tell: only macOS does.
type Conditions struct {
	PowerSource *string `json:"power_source"`  // "AC Power", "Battery Power", as pmset names it
	Thermal     *string `json:"thermal_state"` // "nominal", or what pmset says of limits
}

// askingTakes is how long pmset may take.
const askingTakes = 5 * time.Second

// ReadConditions asks pmset, on macOS; elsewhere both are unknown.
func ReadConditions(ctx context.Context) Conditions {
	if runtime.GOOS != "darwin" {
		return Conditions{}
	}
	ctx, cancel := context.WithTimeout(ctx, askingTakes)
	defer cancel()
	say := func(what string) string {
		out, err := exec.CommandContext(ctx, "pmset", "-g", what).Output()
		if err != nil {
			return "" // not told
		}
		return string(out)
	}
	return conditionsOf(say("batt"), say("therm"))
}

var source = regexp.MustCompile(`drawing from '([^']+)'`)

// conditionsOf reads what `pmset -g batt` and `pmset -g therm` print.
func conditionsOf(batt, therm string) Conditions {
	var c Conditions
	if m := source.FindStringSubmatch(batt); m != nil {
		c.PowerSource = &m[1]
	}
	if strings.TrimSpace(therm) == "" {
		return c
	}
	var limits []string
	for line := range strings.Lines(therm) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, "=")
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); strings.HasSuffix(name, "_Limit") && value != "100" {
			limits = append(limits, name+" = "+value)
		}
	}
	state := "nominal"
	if len(limits) > 0 {
		state = strings.Join(limits, ", ")
	}
	c.Thermal = &state
	return c
}
