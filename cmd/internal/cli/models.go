package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/models"
)

func newModels() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "models",
		Short:   "Lists, inspects, imports, quantizes and makes up checkpoints",
		Example: "  reprise models ls\n  reprise models inspect gemma-3-270m",
	}
	group(cmd)
	cmd.AddCommand(newModelsList(), newModelsInspect(), newModelsImport(), newModelsQuantize(), newModelsSynth(),
		refused("pull NAME", "Refused: models are not downloaded yet", "reprise models pull ORG/NAME",
			"models pull is not built yet: fetch it with `hf download ORG/NAME`; what is in the Hugging Face cache is found by its id"),
		refused("rm NAME", "Refused: models are not removed yet", "reprise models rm NAME",
			"models rm is not built yet: `reprise models ls` shows the folder to remove by hand"))
	return cmd
}

// refused is a command of the contract that is not built; it says what to do instead.
func refused(use, short, example, instead string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: "  " + example,
		RunE: func(*cobra.Command, []string) error { return fmt.Errorf("%s", instead) },
	}
}

func newModelsList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "Lists the models on this machine, those in the Hugging Face cache among them",
		Example: "  reprise models ls",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			list, err := models.List()
			if err != nil {
				return err
			}
			if asJSON {
				return console.WriteJSON(c.OutOrStdout(), map[string]any{"models": list})
			}
			return models.WriteList(c.OutOrStdout(), list)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an object")
	marked(cmd, inOutput, "json")
	return cmd
}

func newModelsInspect() *cobra.Command {
	var asJSON bool
	var config string
	cmd := &cobra.Command{
		Use:   "inspect [MODEL | --config FILE]",
		Short: "Says what is in a checkpoint: parts, quantization, bytes of weights and state, special ids",
		Long: "Says what is in a checkpoint, from its headers and its config: layers by kind, bytes by part in the files, on a GPU and read for a token,\n" +
			"bytes of state for a token and for a snapshot, how much is quantized how, special ids. With --config a config.json alone is sized.",
		Example: "  reprise models inspect gemma-3-270m\n  reprise models inspect --config qwen3.6-27b.json --json",
		Args:    atMost(1, "one model"),
		RunE: func(c *cobra.Command, args []string) error {
			ref := ""
			if len(args) > 0 {
				ref = args[0]
			}
			if config != "" && ref != "" {
				return usagef("--config and %s name two models: leave one out", ref)
			}
			inspect := func() (*models.Inspection, error) { return models.Inspect(ref) }
			if config != "" {
				inspect = func() (*models.Inspection, error) { return models.InspectConfig(config) }
			}
			in, err := inspect()
			if err != nil {
				return err
			}
			if asJSON {
				return console.WriteJSON(c.OutOrStdout(), in)
			}
			return in.WriteText(c.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an object; bytes are exact")
	cmd.Flags().StringVar(&config, "config", "", "size the checkpoint that this `FILE`, a config.json, describes")
	marked(cmd, inOutput, "json", "config")
	return cmd
}

func newModelsImport() *cobra.Command {
	var o models.ImportOptions
	cmd := &cobra.Command{
		Use:   "import FILE.gguf [flags]",
		Short: "Makes a checkpoint of a GGUF file, without loss where MLX's affine form can hold it",
		Long: "Makes a checkpoint folder of a GGUF file. Q4_K, Q5_0 and Q8_0 are carried over exactly; what cannot be goes to 8 bits, and its error is\n" +
			"measured and printed. Scales stay float32; a GPU casts them to its compute dtype at load.",
		Example: "  reprise models import gemma-3-270m-q4_k_m.gguf --dialect gemma4 --out ./gemma-3-270m",
		Args:    exactly(1, "one GGUF file"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			o.File = args[0]
			progress := console.NewProgress(c.ErrOrStderr(), "importing")
			o.Progress = progress.Update
			report, err := models.Import(ctx, o)
			progress.Close()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), report)
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.Out, "out", "", "the `FOLDER` to write; by the file's name under REPRISE_HOME/models when none is named")
	fs.StringVar(&o.Dialect, "dialect", "", "`gemma4`: give unused ids Gemma 4's special tokens, and add its template")
	fs.StringVar(&o.ChatTemplate, "chat-template", "", "write this `FILE` as the chat template")
	fs.BoolVar(&o.Replace, "replace", false, "replace the folder when it is there")
	marked(cmd, inAssemble, "dialect", "chat-template")
	marked(cmd, inOutput, "out", "replace")
	return cmd
}
