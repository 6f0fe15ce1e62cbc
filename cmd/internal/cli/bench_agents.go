package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/agents"
	"reprise/cmd/internal/console"
	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/version"
	"reprise/kvcache/ledger/footprint/machine"
	"reprise/model/hub"
)

// agentsFlags are those of `reprise bench agents`.
type agentsFlags struct {
	engineFlags
	out       string
	turns     int
	maxOutput int
	variants  []string
}

func newBenchAgents() *cobra.Command {
	var f agentsFlags
	var names []string
	for _, v := range agents.Variants {
		names = append(names, v.Name)
	}
	cmd := &cobra.Command{
		Use:   "agents [flags]",
		Short: "The real OpenClaw and Hermes: what each of their requests reused",
		Long: "Drives the agents, as third_party/clients.sh installs them, against a server of its own, and writes turns.csv, trace.jsonl and summary.json\n" +
			"for each variant. In the moved ones the sections of AGENTS.md, which both agents put into their system text, change places between turns.\n" +
			"Run it from a checkout.",
		Example: "  reprise bench agents --out runs/agents --variants hermes-fresh,hermes-resumed --turns 3",
		Args:    exactly(0, "no argument"),
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.addModel(cmd)
	f.add(cmd)
	fs := cmd.Flags()
	fs.Lookup("ctx").DefValue, f.context = "65536", 65536
	fs.StringVar(&f.out, "out", "runs/agents", "the `DIR` that gets a folder for each variant")
	fs.IntVar(&f.turns, "turns", 3, "turns `N` of the user in each variant")
	fs.IntVar(&f.maxOutput, "max-output", 48, "most tokens of an answer")
	fs.StringSliceVar(&f.variants, "variants", names, "the `NAMES` of what to run: "+strings.Join(names, ", "))
	marked(cmd, inDecode, "max-output")
	marked(cmd, inAssemble, "turns", "variants")
	marked(cmd, inOutput, "out")
	return cmd
}

func (f *agentsFlags) run(c *cobra.Command) error {
	var chosen []agents.Variant
	for _, name := range f.variants {
		i := slices.IndexFunc(agents.Variants, func(v agents.Variant) bool { return v.Name == name })
		if i < 0 {
			return usagef("--variants %s: there is no such variant (`reprise bench agents --help` lists them)", name)
		}
		chosen = append(chosen, agents.Variants[i])
	}
	switch {
	case f.turns < 1 || f.turns > 50:
		return usagef("--turns %d: must be from 1 to 50", f.turns)
	case f.maxOutput < 1:
		return usagef("--max-output %d: must be at least 1", f.maxOutput)
	}
	if _, err := f.options(); err != nil {
		return err
	}
	b, err := f.bench(c)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(c.Context())
	defer stop()
	for _, v := range chosen {
		s, err := b.Run(ctx, v)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s: %s requests, %s tokens in prompts, %s reused, %s recomputed, %s displaced; hits are %s of the ceiling; in %s\n", v.Name, console.Count(s.Turns),
			sum(s.Tokens.Prompt), sum(s.Tokens.Hit), sum(s.Tokens.Recompute), sum(s.Tokens.Displaced), percent(s.Reuse.OfCeiling), filepath.Join(f.out, v.Name))
		for _, p := range s.Problems {
			fmt.Fprintln(c.OutOrStdout(), "  problem: "+p)
		}
	}
	return nil
}

// bench finds the agents, this program and the model.
func (f *agentsFlags) bench(c *cobra.Command) (*agents.Bench, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	at, err := agents.Find(root)
	if err != nil {
		return nil, fmt.Errorf("the agents are not installed here: %w, in a checkout of reprise, and then this command there", err)
	}
	if err := writable("--out", f.out); err != nil {
		return nil, err
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ckpt, err := hub.Resolve(f.model)
	if err != nil {
		return nil, err
	}
	config, err := hub.ReadConfig(ckpt.Dir)
	if err != nil {
		return nil, err
	}
	computer, err := machine.Read()
	if err != nil {
		return nil, err
	}
	flags := []string{"--device", f.device, "--activations", f.act, "--ctx", strconv.Itoa(f.context), "--threads", strconv.Itoa(f.threads), "--max-output", strconv.Itoa(f.maxOutput), "--log-level", "warn"}
	if f.model != "" {
		dir, err := filepath.Abs(ckpt.Dir) // the server has another REPRISE_HOME
		if err != nil {
			return nil, err
		}
		flags = append(flags, "--model", dir)
	}
	return &agents.Bench{
		At: at, Binary: binary, Flags: flags, Turns: f.turns, Out: f.out,
		Facts:    loop.Facts{Model: ckpt.Name, Quantization: quantization(config), Machine: &computer, Runtime: fmt.Sprintf("%s, %s device", version.Read(), f.device)},
		Progress: func(text string) { fmt.Fprintln(c.ErrOrStderr(), text) },
	}, nil
}

func sum(s loop.Sum) string {
	if n, ok := s.Get(); ok {
		return console.Count(n)
	}
	return "an unknown number"
}

func percent(share *float64) string {
	if share == nil {
		return "an unknown share"
	}
	return fmt.Sprintf("%.2f %%", 100**share)
}
