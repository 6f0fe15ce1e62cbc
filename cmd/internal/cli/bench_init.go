package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/experiment"
)

func newBenchInit() *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Writes an experiment's folder: texts to edit, a smoke image, the commands, a skill file for a coding agent",
		Long: "Writes a new folder with the loop's texts to edit (`bench loop --fixtures` takes them), a white 32×32 image for the smoke test, the experiment\n" +
			"as a script, and a SKILL.md with which a coding agent can run it.",
		Example: "  reprise bench init my-experiment",
		Args:    exactly(1, "one folder"),
		RunE: func(c *cobra.Command, args []string) error {
			written, err := experiment.Init(args[0])
			if err != nil {
				return err
			}
			for _, name := range written {
				fmt.Fprintln(c.OutOrStdout(), filepath.Join(args[0], name))
			}
			_, err = fmt.Fprintf(c.ErrOrStderr(), "edit what you like, then run %s\n", filepath.Join(args[0], experiment.Commands))
			return err
		},
	}
}
