package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// Run runs one command line and returns the exit code. It is main, but for tests to call.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "reprise: %s\n", console.OneLine(err.Error()))
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitError
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "reprise",
		Short: "Runs language models and counts what each turn reused, recomputed, and why",
		Example: `  reprise run "The capital of France is"
  reprise serve`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newHelp())
	group(root)
	root.AddCommand(newRun(), newServe(), newBench(), newModels(), newCache(), newLogits(), newConnect(), newDoctor(), newVersion())
	root.AddCommand(newPlan(), newReport(), newSelftest(), newGuide())
	root.SetFlagErrorFunc(flagError)
	root.SetUsageFunc(usage)
	root.SetHelpFunc(help)
	return root
}

// group makes a command that only holds others.
func group(cmd *cobra.Command) {
	cmd.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("%s has no command %q", c.CommandPath(), args[0])
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			text += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usagef("%s (`%s --help` lists them)", text, c.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = 2 // edits that a near name may be away
	cmd.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

// flagError makes a usage error of what the flag parser says.
func flagError(c *cobra.Command, err error) error {
	return usagef("%w (`%s --help` lists the flags)", err, c.CommandPath())
}

// atMost and exactly are cobra's checks as usage errors that say what the arguments are.
func atMost(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("%s takes %s, not %d arguments; quote what has spaces", c.CommandPath(), what, len(args))
		}
		return nil
	}
}

func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s takes %s, not %d arguments (`%s --help` has an example)", c.CommandPath(), what, len(args), c.CommandPath())
		}
		return nil
	}
}

// interruptible ends the command's context with Ctrl-C or a request to terminate.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}
