package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// phase is the phase of a turn that a flag changes.
type phase string

// The phases in the order of their happening; flags of none of them change what is printed, or the server around
// the turns.
const (
	inLoad     phase = "load"
	inAssemble phase = "assemble"
	inPlan     phase = "plan"
	inPrefill  phase = "prefill"
	inDecode   phase = "decode"
	inServer   phase = "server"
	inOutput   phase = "output"
)

var phases = []struct {
	phase phase
	title string
}{
	{inLoad, "Load, before the first turn"},
	{inAssemble, "Assemble: how the prompt is made"},
	{inPlan, "Plan: what is looked up and reused"},
	{inPrefill, "Prefill: how the prompt is computed"},
	{inDecode, "Decode: how the answer is made"},
	{inServer, "The server, around the turns"},
	{inOutput, "Output: changes no phase of a turn"},
}

// phaseKey is the annotation of a flag that holds its phase.
const phaseKey = "reprise_phase"

// marked says which phase flags of cmd change.
func marked(cmd *cobra.Command, p phase, names ...string) {
	for _, name := range names {
		if err := cmd.Flags().SetAnnotation(name, phaseKey, []string{string(p)}); err != nil {
			panic(err) // a flag that the command does not have
		}
	}
}

// usage prints a command's usage with its flags by phase.
func usage(c *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND\n", c.CommandPath())
	} else {
		fmt.Fprintf(&b, "  %s\n", c.UseLine())
	}
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExample:\n%s\n", c.Example)
	}
	if c.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-10s %s\n", sub.Name(), sub.Short)
			}
		}
	}
	for _, p := range phases {
		if set := flagsOf(c, p.phase); set.HasFlags() {
			fmt.Fprintf(&b, "\n%s:\n%s", p.title, set.FlagUsagesWrapped(120))
		}
	}
	_, err := fmt.Fprint(c.OutOrStderr(), b.String())
	return err
}

func flagsOf(c *cobra.Command, p phase) *pflag.FlagSet {
	set := pflag.NewFlagSet(string(p), pflag.ContinueOnError)
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if v := f.Annotations[phaseKey]; len(v) == 1 && v[0] == string(p) {
			set.AddFlag(f)
		}
	})
	return set
}
