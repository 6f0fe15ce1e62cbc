package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/connect"
	"reprise/cmd/internal/console"
	"reprise/server/api"
)

// asking is how long a running server may take to say what it serves.
const asking = 5 * time.Second

func newConnect() *cobra.Command {
	var url, key, apiName string
	var write bool
	cmd := &cobra.Command{
		Use:   "connect openclaw|hermes [flags]",
		Short: "Prints, or writes, an agent's configuration for the running server",
		Long: "Asks the running server for its model and its true context length and prints what belongs in the agent's configuration: OpenClaw's\n" +
			"openclaw.json, Hermes's config.yaml. --write puts it there, makes the server the agent's default and leaves everything else as it is; the\n" +
			"file as it was stays beside it. `reprise doctor` looks whether it still fits.",
		Example: "  reprise serve --ctx 65536 &\n  reprise connect openclaw --write\n  openclaw agent --local --session-id one -m \"What is in this folder?\"",
		Args:    exactly(1, "one agent, openclaw or hermes"),
		RunE: func(c *cobra.Command, args []string) error {
			agent, err := connect.Find(args[0])
			if err != nil {
				return usagef("%w", err)
			}
			speaks, err := connect.ParseAPI(apiName)
			if err != nil {
				return usagef("--api: %w", err)
			}
			if key == "" {
				key = os.Getenv(keyVariable)
			}
			home, err := os.UserHomeDir()
			if err != nil {
				return fmt.Errorf("whose configuration? %w", err)
			}
			ctx, stop := context.WithTimeout(c.Context(), asking)
			defer stop()
			s, err := connect.Ask(ctx, url, key)
			if err != nil {
				return err
			}
			change, err := connect.Prepare(agent, home, s, speaks)
			if err != nil {
				return err
			}
			if write {
				return writeChange(c.ErrOrStderr(), change, s)
			}
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s, context %s; in %s (--write puts it there):\n", s.URL, s.Model, console.Count(s.Context), change.Path)
			_, err = c.OutOrStdout().Write(change.Fragment)
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&url, "url", "http://"+api.DefaultAddr, "the running server's `URL`")
	fs.StringVar(&key, "api-key", "", "the server's `KEY`; $"+keyVariable+" when not given")
	fs.StringVar(&apiName, "api", string(connect.Chat), "`chat|responses|messages`: which of the server's APIs the agent speaks")
	fs.BoolVar(&write, "write", false, "write it, after a copy of the file as it is")
	marked(cmd, inServer, "url", "api-key", "api")
	marked(cmd, inOutput, "write")
	return cmd
}

func writeChange(out io.Writer, change *connect.Change, s *connect.Server) error {
	if !change.Needed() {
		_, err := fmt.Fprintf(out, "%s: fits already: %s at %s, context %s\n", change.Path, s.Model, s.URL, console.Count(s.Context))
		return err
	}
	backup, err := change.Write(time.Now())
	if err != nil {
		return err
	}
	if backup != "" {
		backup = "; as it was: " + backup
	}
	_, err = fmt.Fprintf(out, "wrote %s: %s at %s, context %s%s\n", change.Path, s.Model, s.URL, console.Count(s.Context), backup)
	return err
}
