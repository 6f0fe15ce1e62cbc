package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/logits"
)

func newLogits() *cobra.Command {
	var o logits.Options
	var tokens, out string
	cmd := &cobra.Command{
		Use:   "logits --tokens IDS.json --out F.safetensors [flags]",
		Short: "Writes the logits of every position, in float32 on the CPU device, for parity checks",
		Long: "Writes `logits` [T, vocab] float32 and, with --decode K, `greedy` [K] int32 to a safetensors file. Everything is computed in float32 on\n" +
			"the CPU device whatever the checkpoint's dtype. IDS.json is a plain array of ids.",
		Example: "  echo '[2, 818, 5279, 529, 7001, 563]' > ids.json\n  reprise logits --tokens ids.json --out logits.safetensors --decode 8",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case tokens == "":
				return usagef("--tokens is missing: name a JSON file with an array of ids")
			case out == "":
				return usagef("--out is missing: name the safetensors file to write")
			case o.Chunk < 0:
				return usagef("--chunk %d: must not be negative; 0 feeds all ids in one call", o.Chunk)
			case o.Decode < 0:
				return usagef("--decode %d: must not be negative", o.Decode)
			}
			var err error
			if o.IDs, err = logits.ReadIDs(tokens); err != nil {
				return err
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			progress := console.NewProgress(c.ErrOrStderr(), "loading")
			o.Progress = progress.Update
			r, err := logits.Compute(ctx, o)
			progress.Close()
			if err != nil {
				return err
			}
			if err := r.Write(out); err != nil {
				return err
			}
			text := fmt.Sprintf("%s: logits [%d, %d]", out, len(r.Logits)/r.Vocab, r.Vocab)
			if len(r.Greedy) > 0 {
				text += fmt.Sprintf(", greedy [%d] with a smallest lead of %.3g", len(r.Greedy), r.MinGap)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), text)
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.Model, "model", "m", "", "folder, name or hub id of the `MODEL`; the small one when none is named")
	fs.StringVar(&tokens, "tokens", "", "`IDS.json`: a plain array of token ids")
	fs.StringVar(&out, "out", "", "the safetensors `FILE` to write")
	fs.IntVar(&o.Chunk, "chunk", 0, "cut the prefill into calls of `N` tokens; 0 is one call")
	fs.IntVar(&o.Decode, "decode", 0, "add `K` greedy ids")
	marked(cmd, inLoad, "model")
	marked(cmd, inAssemble, "tokens")
	marked(cmd, inPrefill, "chunk")
	marked(cmd, inDecode, "decode")
	marked(cmd, inOutput, "out")
	return cmd
}
