package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/sidebyside"
	"reprise/model/tokenizer"
)

// peersFlags are those of `reprise bench peers`.
type peersFlags struct {
	sidebyside.Options
	setup  sidebyside.Setup
	checks []string
	json   string
	readme string
}

func newBenchPeers() *cobra.Command {
	var f peersFlags
	cmd := &cobra.Command{
		Use:   "peers [flags]",
		Short: "This runner beside llama.cpp and mlx-lm, on the CPU device, same weights",
		Long: "Measures the libraries (prefill and decode at context frontiers) and the servers (time to the first text in a conversation, what was reused,\n" +
			"memory, load time), in turns, and prints medians, ranges and ratios. Run it from a checkout: `make bench` brings the peers first. With all\n" +
			"engines and three rounds it takes about fifteen minutes on two cores, and wants the machine for itself.",
		Example: "  reprise bench peers --engines reprise,llama.cpp --parts libraries --contexts 512,2048 --check 'decode@512,2048 >= 1 x llama.cpp'",
		Args:    exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			if f.readme != "" {
				return f.section(c)
			}
			return f.run(c)
		},
	}
	const build = "third_party/build"
	fs := cmd.Flags()
	fs.StringVar(&f.setup.Peers, "peers", build+"/peers", "`FOLDER` with the peers' programs, as third_party/peers.sh makes it")
	fs.StringVarP(&f.setup.Model, "model", "m", build+"/models/gemma-3-270m", "the checkpoint's `FOLDER`, for reprise and mlx-lm")
	fs.StringVar(&f.setup.GGUF, "gguf", build+"/models/gemma-3-270m-q4_k_m.gguf", "the `FILE` that the checkpoint was imported from, for llama.cpp")
	fs.IntVar(&f.setup.Threads, "threads", 2, "threads of every engine")
	marked(cmd, inLoad, "peers", "model", "gguf", "threads")
	fs.IntSliceVar(&f.Contexts, "contexts", []int{0, 128, 512, 2048, 8192}, "lengths of the prompts of the libraries, in `TOKENS`; 0 measures decode only")
	fs.IntVar(&f.Tokens, "conversation", 2048, "`TOKENS` of the conversation with the servers")
	marked(cmd, inPrefill, "contexts", "conversation")
	fs.IntVar(&f.Gen, "gen", 64, "tokens to decode behind each prompt of the libraries")
	marked(cmd, inDecode, "gen")
	fs.StringSliceVar(&f.Engines, "engines", sidebyside.Engines, "the `NAMES` to measure")
	fs.StringSliceVar(&f.Parts, "parts", sidebyside.Parts, "the `PARTS` to measure")
	fs.IntVar(&f.Rounds, "rounds", 3, "how often everything is measured")
	fs.StringArrayVar(&f.checks, "check", nil, "a `LIMIT` that must hold, e.g. \"memory <= 1.2 x llama.cpp\"; exit 1 when one is missed (may be repeated)")
	fs.StringVar(&f.json, "json", "", "write everything that was measured to this `FILE`")
	fs.StringVar(&f.readme, "readme", "", "measure nothing: print the README's section of this `FILE` that --json wrote")
	marked(cmd, inOutput, "engines", "parts", "rounds", "check", "json", "readme")
	return cmd
}

// section prints what a file holds.
func (f *peersFlags) section(c *cobra.Command) error {
	r, err := sidebyside.Read(f.readme)
	if err != nil {
		return fmt.Errorf("--readme: %w", err)
	}
	_, err = fmt.Fprint(c.OutOrStdout(), r.Section(filepath.ToSlash(f.readme)))
	return err
}

func (f *peersFlags) run(c *cobra.Command) error {
	if err := f.Check(); err != nil {
		return &usageError{err}
	}
	if f.setup.Threads < 1 {
		return usagef("--threads %d: must be at least 1", f.setup.Threads)
	}
	limits := make([]sidebyside.Limit, len(f.checks))
	for i, text := range f.checks {
		var err error
		if limits[i], err = sidebyside.ParseLimit(text); err != nil {
			return usagef("--check %w", err)
		}
	}
	ctx, stop := interruptible(c.Context())
	defer stop()
	report, err := f.measure(ctx, c)
	if err != nil {
		return err
	}
	if f.json != "" {
		if err := report.Write(f.json); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if err := report.WriteText(c.OutOrStdout()); err != nil {
		return err
	}
	return report.Check(limits, c.OutOrStdout())
}

func (f *peersFlags) measure(ctx context.Context, c *cobra.Command) (*sidebyside.Report, error) {
	home, err := os.MkdirTemp("", "reprise-bench-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	f.setup.Home = home
	if f.setup.Reprise, err = os.Executable(); err != nil {
		return nil, err
	}
	for _, path := range []*string{&f.setup.Peers, &f.setup.Model, &f.setup.GGUF} {
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	t, err := tokenizer.Load(f.setup.Model)
	if err != nil {
		return nil, fmt.Errorf("--model %s: %w (`make build` imports the small model)", f.setup.Model, err)
	}
	defer func() { _ = t.Close() }()
	bench := sidebyside.Bench{
		Setup:    f.setup,
		Progress: func(did string) { fmt.Fprintln(c.ErrOrStderr(), did) },
		Count: func(text string) (int, error) {
			ids, err := t.Encode(text, true)
			return len(ids), err
		},
	}
	return bench.Measure(ctx, f.Options)
}
