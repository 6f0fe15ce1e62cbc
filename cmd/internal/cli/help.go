package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

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

// titled is a phase as help calls it.
type titled struct {
	phase phase
	title string
}

var phases = []titled{
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

// newHelp is `reprise help [COMMAND]`, for those who try it; lists name --help alone.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 && of.HasSubCommands() {
				return usagef("reprise has no command %q (`reprise --help` lists them)", strings.Join(args, " "))
			}
			return of.Help()
		},
	}
}

// How wide help is, and how far to the right what a name means begins at most.
const (
	helpWidth  = 104
	helpIndent = 34
)

// help prints what a command is for, and its usage.
func help(c *cobra.Command, _ []string) {
	out := c.OutOrStdout()
	for _, text := range []string{c.Short, c.Long} {
		if text != "" {
			fmt.Fprintf(out, "%s\n\n", strings.Join(fill(text, helpWidth), "\n"))
		}
	}
	fmt.Fprint(out, c.UsageString())
}

// usage prints a command's usage with its flags by phase.
func usage(c *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	switch {
	case c.HasAvailableSubCommands():
		fmt.Fprintf(&b, "  %s COMMAND\n", c.CommandPath())
	case !slices.ContainsFunc(phases, func(p titled) bool { return flagsOf(c, p.phase).HasFlags() }):
		fmt.Fprintf(&b, "  %s\n", strings.TrimSuffix(c.UseLine(), " [flags]"))
	default:
		fmt.Fprintf(&b, "  %s\n", c.UseLine())
	}
	if c.HasExample() {
		fmt.Fprintf(&b, "\nExample:\n%s\n", c.Example)
	}
	if c.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		var rows [][2]string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				rows = append(rows, [2]string{"  " + sub.Name(), sub.Short})
			}
		}
		writeRows(&b, rows)
		fmt.Fprintf(&b, "\n`%s COMMAND --help` explains one of them.\n", c.CommandPath())
	}
	for _, p := range phases {
		if set := flagsOf(c, p.phase); set.HasFlags() {
			fmt.Fprintf(&b, "\n%s:\n", p.title)
			writeRows(&b, flagRows(set))
		}
	}
	_, err := fmt.Fprint(c.OutOrStderr(), b.String())
	return err
}

// flagRows are the flags of a set, by name, and what each one does, with its default where it is not plainly off.
func flagRows(set *pflag.FlagSet) [][2]string {
	var rows [][2]string
	set.VisitAll(func(f *pflag.Flag) {
		name := "      --" + f.Name
		if f.Shorthand != "" {
			name = "  -" + f.Shorthand + ", --" + f.Name
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			name += " " + value
		}
		// A flag whose value is one of a few says so before what it means.
		means := strings.TrimPrefix(usage, value+": ")
		if list := strings.Trim(f.DefValue, "[]"); value != "" && list != "" {
			means += " (default " + list + ")"
		}
		rows = append(rows, [2]string{name, means})
	})
	return rows
}

// writeRows prints names with what they mean beside them, folded under each other; a name that is too long has a line of its own.
func writeRows(b *strings.Builder, rows [][2]string) {
	width := 0
	for _, row := range rows {
		if n := utf8.RuneCountInString(row[0]); n < helpIndent {
			width = max(width, n+2)
		}
	}
	if width == 0 {
		width = helpIndent
	}
	for _, row := range rows {
		lines := fill(row[1], helpWidth-width)
		if utf8.RuneCountInString(row[0])+2 > width {
			fmt.Fprintln(b, row[0])
		} else {
			fmt.Fprintf(b, "%-*s%s\n", width, row[0], lines[0])
			lines = lines[1:]
		}
		for _, line := range lines {
			fmt.Fprintf(b, "%*s%s\n", width, "", line)
		}
	}
}

// fill breaks a text between words into lines of at most width runes, whatever lines it had; a longer word has one of its own.
func fill(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
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
