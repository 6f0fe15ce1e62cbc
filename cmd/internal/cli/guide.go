package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"reprise/cmd/reprise/guide"
)

func newGuide() *cobra.Command {
	return &cobra.Command{
		Use:     "guide [CHAPTER]",
		Short:   "The experiment in twelve steps, from the recipe to what may be claimed",
		Long:    "Prints the table of contents, or a chapter by its number or name.",
		Example: "  reprise guide\n  reprise guide counters",
		Args:    atMost(1, "one chapter"),
		RunE: func(c *cobra.Command, args []string) error {
			out := c.OutOrStdout()
			if len(args) == 0 {
				for _, chapter := range guide.Chapters() {
					fmt.Fprintf(out, "%2d  %-10s %s\n", chapter.Number, chapter.Name, chapter.Title)
				}
				_, err := fmt.Fprintln(out, "\n`reprise guide NAME` prints a chapter; every command in it is one that a test runs. `reprise` is bin/reprise of a\n"+
					"checkout, or what `make install` put where programs are looked for.")
				return err
			}
			chapter, err := guide.Find(args[0])
			if err != nil {
				return &usageError{err}
			}
			_, err = fmt.Fprint(out, chapter.Shown(flagsByPhase(c.Root())))
			return err
		},
	}
}

// flagsByPhase is a table of the flags of the commands that run turns, from what --help says of them.
func flagsByPhase(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("| phase | flags |\n|---|---|\n")
	for _, p := range phases {
		var names []string
		for _, path := range [][]string{{"run"}, {"serve"}, {"bench", "loop"}, {"bench", "agents"}, {"bench", "replay"}} {
			c, _, err := root.Find(path)
			if err != nil {
				continue // a test names every command
			}
			flagsOf(c, p.phase).VisitAll(func(f *pflag.Flag) {
				if name := "`--" + f.Name + "`"; !slices.Contains(names, name) {
					names = append(names, name)
				}
			})
		}
		if names == nil {
			names = []string{"–"} // what is computed follows from the plan
		}
		fmt.Fprintf(&b, "| %s | %s |\n", p.title, strings.Join(names, " "))
	}
	return strings.TrimRight(b.String(), "\n")
}
