package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/doctor"
	"reprise/server/api"
)

func newDoctor() *cobra.Command {
	var o doctor.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Examines this machine; what is not in order comes with a line that mends it",
		Long: "Examines libraries, device, memory, the model with its tokenizer and template, folders, the port, and the agents'\n" +
			"configuration for the server there. Nothing is changed and no weights are loaded. Exits 1 when something would fail.",
		Example: "  reprise doctor --model gemma-3-270m --ctx 8192",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			o.Key = os.Getenv(keyVariable)
			r := doctor.Examine(c.Context(), o)
			var err error
			if asJSON {
				err = console.WriteJSON(c.OutOrStdout(), r)
			} else {
				err = r.WriteText(c.OutOrStdout())
			}
			if n := r.Problems(); err == nil && n > 0 {
				return fmt.Errorf("doctor found %d of %d things that will fail: do what their lines say", n, len(r.Findings))
			}
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.Model, "model", "m", "", "the `MODEL` to look at; the small one when none is named")
	fs.StringVar(&o.Device, "device", "auto", "`auto|cpu|gpu`: the device to look at")
	fs.IntVar(&o.Context, "ctx", 0, "the context to compare with what the model was trained for")
	fs.StringVar(&o.Addr, "addr", api.DefaultAddr, "`HOST:PORT` that should be free for the server")
	fs.BoolVar(&asJSON, "json", false, "print an object")
	marked(cmd, inLoad, "model", "device", "ctx")
	marked(cmd, inServer, "addr")
	marked(cmd, inOutput, "json")
	return cmd
}
