package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/load"
	"reprise/cmd/internal/selftest"
)

func newSelftest() *cobra.Command {
	var o selftest.Options
	var file, device string
	cmd := &cobra.Command{
		Use:   "selftest [flags]",
		Short: "Parity, kernels, memory counters, audits and speed on this machine, in a few minutes",
		Long: "Compares tiny checkpoints of every family with mlx-lm's logits, the kernels with plain ops at the shapes of the real models, both memory\n" +
			"counters with a known allocation; answers smoke prompts, audits what was reused, and measures speed. One page, and with --json one file:\n" +
			"a claim about a Mac may be made only with such a file. Exits 1 when a check fails.",
		Example: "  reprise selftest --json selftest.json\n  reprise selftest --model mlx-community/gemma-4-e4b-it-4bit --json e4b-m5.json",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Device, err = load.Device(device); err != nil {
				return usagef("%w", err)
			}
			if file != "" {
				if err := writableFile("--json", file); err != nil {
					return err
				}
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			o.Progress = func(section string) { fmt.Fprintf(c.ErrOrStderr(), "selftest: %s\n", section) }
			r, err := selftest.Run(ctx, o)
			if err != nil {
				return err
			}
			if err := r.WriteText(c.OutOrStdout()); err != nil {
				return err
			}
			if file != "" {
				if err := writeJSONFile(file, r); err != nil {
					return fmt.Errorf("--json %s: %w", file, err)
				}
				fmt.Fprintf(c.ErrOrStderr(), "%s has every figure: post it with what you say about this machine\n", file)
			}
			if failed := r.Failed(); len(failed) > 0 {
				return fmt.Errorf("%d of %d checks failed, the first is %s of %s: please report the file that --json writes", len(failed), len(r.Checks), failed[0].Name, failed[0].Section)
			}
			return nil
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.Model, "model", "m", "", "the `MODEL` to answer and measure with; the small one when none is named")
	fs.StringVar(&device, "device", "auto", "`auto|cpu|gpu`: the device to test")
	fs.IntSliceVar(&o.Prompts, "prompt", nil, "lengths that speed is measured at, in `TOKENS`; 512, and 2,048 where that does not take long")
	fs.StringVar(&file, "json", "", "write every figure to this `FILE`")
	marked(cmd, inLoad, "model", "device")
	marked(cmd, inPrefill, "prompt")
	marked(cmd, inOutput, "json")
	return cmd
}

// writeJSONFile writes an object to a file of its own.
func writeJSONFile(path string, v any) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
	}()
	return console.WriteJSON(f, v)
}
