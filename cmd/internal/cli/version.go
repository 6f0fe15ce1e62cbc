package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/version"
)

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Prints the versions of this binary and of what it is made of",
		Example: "  reprise version --json",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return console.WriteJSON(c.OutOrStdout(), version.Read())
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), version.Read())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an object")
	marked(cmd, inOutput, "json")
	return cmd
}
