package cli

import (
	"github.com/spf13/cobra"

	"reprise/cmd/internal/compare"
	"reprise/cmd/internal/console"
	"reprise/cmd/internal/report"
)

// mostCompared are as many runs as have letters.
const mostCompared = 26

func newBenchCompare() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compare A B...",
		Short: "Two runs or more as a table: recipes, tokens by tier, first tokens, speed, memory, ratios",
		Long: "Prints runs side by side: the fields of their recipes that differ, tokens by tier, what was reused and paid for again, first tokens with and\n" +
			"without reuse, speed, transfers, both memory peaks. Each figure that is not plainly measured is marked; ratios are to the first run, of what\n" +
			"was measured in both. What makes runs incomparable is warned of. A run is a folder of `bench loop`, `agents` or `replay` or of\n" +
			"`report --ledger`, or a CSV; one with the article's _est columns is marked as estimates. It reads files only: no phase of a turn changes.",
		Example: "  reprise bench compare runs/local/stable-resumed-scripted runs/local/moving-resumed-scripted",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 || len(args) > mostCompared {
				return usagef("%s takes the folders of 2 to %d runs, not %d (`%s --help` has an example)", c.CommandPath(), mostCompared, len(args), c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			runs, err := readRuns(args, nil)
			if err != nil {
				return err
			}
			t := compare.Of(runs)
			if asJSON {
				return console.WriteJSON(c.OutOrStdout(), t)
			}
			return folded(c, t.WriteText)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the table as an object")
	marked(cmd, inOutput, "json")
	return cmd
}

// readRuns reads runs' files; decode makes texts of their ids, nil: nobody needs these.
func readRuns(paths []string, decode report.Decoder) ([]*report.Run, error) {
	var runs []*report.Run
	for _, path := range paths {
		r, err := report.Read(path, decode)
		if err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}
