package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/engines"
	"reprise/cmd/internal/loop"
	"reprise/kvcache/ledger/footprint/machine"
)

// loopFlags are those of `reprise bench loop`.
type loopFlags struct {
	engineFlags
	loop.Options
	lowerTiers
	url, key, out      string
	lmcache            string
	sameAs             string
	dry, check, asJSON bool
}

// engineNames are what --engine may say.
var engineNames = append([]string{loop.Ours}, engines.Names...)

func newBenchLoop() *cobra.Command {
	f := loopFlags{Options: loop.Defaults()}
	cmd := &cobra.Command{
		Use:   "loop [flags]",
		Short: "The 50-turn loop: what every turn reused, recomputed, and could have reused",
		Long: "Sends an agent's conversation turn by turn to a server on a free loopback port, or to --url, and writes turns.csv, trace.jsonl,\n" +
			"summary.json and claims.txt. The ceiling is computed from the run's own token ids. The sessions restart, remote and pd start server\n" +
			"processes of their own; for the last two, a Valkey too when --l2 names none. With --engine the server is another make's: the columns\n" +
			"hold what it counts itself, each one's evidence names the counter, and what it does not expose stays null.",
		Example: "  reprise bench loop --profile local --turns 12 --out runs/local\n  reprise bench loop --profile kimi-k26-gb200-openclaw --dry-run\n" +
			"  reprise bench loop --assistant scripted --engine llamacpp --url http://127.0.0.1:8080",
		Args: exactly(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.addModel(cmd)
	f.add(cmd)
	f.addTemplate(cmd)
	fs := cmd.Flags()
	var names []string
	for _, p := range loop.Profiles {
		names = append(names, p.Name)
	}
	fs.StringVar(&f.Profile, "profile", f.Profile, "`"+strings.Join(names, "|")+"`: how long the prompts are")
	fs.Float64Var(&f.Scale, "scale", f.Scale, "prompts `F` times as long as the profile says")
	fs.IntVar(&f.Turns, "turns", f.Turns, "the first `N` turns of the profile's 50")
	fs.StringVar(&f.Layout, "layout", f.Layout, "`stable|moving|ephemeral`: stable, the prompt only grows; moving, documents and tool outputs change places; ephemeral, the last message is gone from the next prompt")
	fs.StringVar(&f.Session, "session", f.Session, "`resumed|fresh|restart|remote|pd`: resumed, one conversation; fresh, every turn a new one; restart, the server is replaced behind turns 10 and 30, L1 on disk; remote, turns alternate between two servers that share only L2; pd, one server computes the prompts, another one answers")
	fs.StringVar(&f.Assistant, "assistant", f.Assistant, "`generated|scripted`: echo the model's answers, or replay fixture answers in their place")
	fs.StringVar(&f.Fixtures, "fixtures", "", "a `DIR` of edited texts, as `bench init` writes it; this program's when none is named")
	marked(cmd, inAssemble, "profile", "scale", "turns", "layout", "session", "assistant", "fixtures")
	fs.BoolVar(&f.NoReuse, "no-reuse", false, "look up and count, but compute everything")
	marked(cmd, inPlan, "no-reuse")
	f.addTiers(cmd)
	fs.IntVar(&f.MaxTokens, "max-tokens", 0, "most tokens of an answer; 0 is the profile's: 4 for local, 16 for the others")
	marked(cmd, inDecode, "max-tokens")
	fs.StringVar(&f.url, "url", "", "the running server at `URL` instead of an engine in this process; its cache should be empty")
	fs.StringVar(&f.key, "api-key", "", "the `KEY` for --url; $"+keyVariable+" when not given")
	fs.StringVar(&f.Engine, "engine", f.Engine, "`"+strings.Join(engineNames, "|")+"`: whose server --url is and whose counters fill the columns")
	fs.StringVar(&f.lmcache, "lmcache-url", "", "LMCache MP's HTTP server at `URL`, for --engine lmcache: its metrics say from which tier tokens came")
	marked(cmd, inServer, "url", "api-key", "engine", "lmcache-url")
	fs.StringVar(&f.out, "out", "", "the run's `DIR`; runs/PROFILE/VARIANT when not given (a dry run then writes nothing)")
	fs.BoolVar(&f.dry, "dry-run", false, "make the prompts with the model's template and tokenizer, and look them up in a prefix tree; no model runs, figures are estimates")
	fs.BoolVar(&f.check, "check", false, "fail when the run breaks an identity, the oracle disagrees, a size is off, or reuse stays below 99 % of the ceiling")
	fs.StringVar(&f.sameAs, "same-as", "", "compare the greedy tokens with those of the run in `DIR`, of the same layout with --assistant scripted; fail unless each answer is the same, or parts first where the two most probable tokens are less than 1e-4 apart")
	fs.BoolVar(&f.asJSON, "json", false, "print the summary as an object")
	marked(cmd, inOutput, "out", "dry-run", "check", "same-as", "json")
	return cmd
}

func (f *loopFlags) run(c *cobra.Command) error {
	if err := f.Check(); err != nil {
		return &usageError{err}
	}
	if err := f.lowerTiers.check(); err != nil {
		return err
	}
	if f.Session == loop.PD && f.NoReuse {
		return usagef("--no-reuse with --session pd: what one server computes is what the other reuses; leave one out")
	}
	if !slices.Contains(engineNames, f.Engine) {
		return usagef("--engine %s: must be one of %v", f.Engine, engineNames)
	}
	if f.out == "" && !f.dry {
		f.out = filepath.Join("runs", f.Profile, f.Variant())
	}
	if err := f.checkSame(); err != nil {
		return err
	}
	ctx, stop := interruptible(c.Context())
	defer stop()
	r := &loop.Run{Options: f.Options, Out: f.out}
	if f.url == "" && !f.dry {
		if err := f.reachL2(ctx); err != nil {
			return err
		}
	}
	done, err := f.connect(ctx, c, r)
	if err != nil {
		return err
	}
	defer done()
	r.Facts.Conditions = func() machine.Conditions { return machine.ReadConditions(ctx) }
	var shown func()
	r.Turned, r.Progress, shown = show(c, f.Turns, f.asJSON)
	s, err := r.Do(ctx)
	shown()
	if s == nil {
		return err
	}
	if err == nil && f.sameAs != "" {
		err = f.compare(ctx, r, s)
	}
	return errors.Join(summed(c, s, f.out, f.asJSON, f.check), err)
}

// checkSame finds before the run that there is nothing to compare it with, or only itself.
func (f *loopFlags) checkSame() error {
	if f.sameAs == "" || f.dry {
		return nil
	}
	with, err := os.Stat(filepath.Join(f.sameAs, loop.TraceFile))
	if err != nil {
		return fmt.Errorf("--same-as %s: no run is there: %w", f.sameAs, err)
	}
	if mine, err := os.Stat(filepath.Join(f.out, loop.TraceFile)); err == nil && os.SameFile(mine, with) {
		return usagef("--same-as %s is where this run's files go, too: give it another folder with --out", f.sameAs)
	}
	return nil
}

// compare says whether the run's tokens are another run's, in its summary.
func (f *loopFlags) compare(ctx context.Context, r *loop.Run, s *loop.Summary) (err error) {
	judge, ok := r.Server.(interface {
		Gap(ctx context.Context, ids []int32) (float64, error)
	})
	if !ok {
		return fmt.Errorf("--same-as %s: this server does not say how probable tokens are", f.sameAs)
	}
	if s.Same, err = loop.Same(ctx, f.out, f.sameAs, judge.Gap); err != nil {
		return fmt.Errorf("--same-as: %w", err)
	}
	for _, wrong := range s.Same.Wrong {
		s.Problems = append(s.Problems, "not the tokens of "+f.sameAs+": "+wrong)
	}
	if err := s.Rewrite(f.out); err != nil || len(s.Same.Wrong) == 0 {
		return err
	}
	return fmt.Errorf("--same-as: %s", s.Same)
}

// summed prints the summary of a run in a folder, and makes an error of its problems when they were to be checked.
func summed(c *cobra.Command, s *loop.Summary, dir string, asJSON, check bool) error {
	var err error
	if asJSON {
		err = console.WriteJSON(c.OutOrStdout(), s)
	} else {
		err = folded(c, s.WriteText)
	}
	if err == nil && dir != "" {
		fmt.Fprintf(c.ErrOrStderr(), "%s, %s, %s and %s are in %s\n", loop.TurnsFile, loop.TraceFile, loop.SummaryFile, loop.ClaimsFile, dir)
	}
	if err == nil && check && s.Status == "complete" && len(s.Problems) > 0 {
		err = fmt.Errorf("--check: %s; %d problems in all, see above", s.Problems[0], len(s.Problems))
	}
	return err
}

// connect gives the run its server: none, the one at --url, or one in this process.
func (f *loopFlags) connect(ctx context.Context, c *cobra.Command, r *loop.Run) (done func(), err error) {
	own := ofTheEngine(c)
	switch {
	case f.url == "" && f.Engine != loop.Ours:
		return nil, usagef("--engine %s: name its server with --url", f.Engine)
	case f.lmcache != "" && f.Engine != engines.LMCache:
		return nil, usagef("--lmcache-url is for --engine lmcache: leave it out, or say so")
	case f.lmcache == "" && f.Engine == engines.LMCache:
		return nil, usagef("--engine lmcache: name LMCache MP's HTTP server with --lmcache-url; its metrics say from which tier tokens came")
	case f.dry && (f.url != "" || f.check || f.l2 != "" || f.disk != "" || f.sameAs != "" || own != "" && own != "--model" && own != "--chat-template"):
		return nil, usagef("--dry-run asks no model and has nothing to check: leave out --url, --l2, --cache-disk, --check, --same-as and the engine's flags, but for --model and --chat-template")
	case f.dry && f.processes():
		return nil, usagef("--dry-run starts no servers, which --session %s is about: its prompts are those of --session resumed", f.Session)
	case f.dry:
		return f.pretend(c, r, own)
	case f.url == "" && f.key != "":
		return nil, usagef("--api-key is for the server at --url: name it, or leave the key out")
	case f.disk != "" && f.processes():
		return nil, usagef("--cache-disk with --session %s: its servers have folders of their own, or none; leave it out", f.Session)
	case f.url == "" && f.processes():
		return f.fleet(ctx, c, r)
	case f.url == "":
		return f.open(ctx, c, r)
	case f.processes():
		return nil, usagef("--session %s starts its own servers: leave out --url", f.Session)
	case f.l2 != "" || f.disk != "":
		return nil, usagef("--l2 and --cache-disk with --url: the server has its own; leave them out, or leave out --url")
	case own != "":
		return nil, usagef("%s with --url: the server has its own; leave it out, or leave out --url", own)
	}
	if err := f.dial(ctx, keyOr(f.key), r); err != nil {
		return nil, err
	}
	r.Facts.Machine = machineOf(f.url)
	return func() {}, nil
}

// dial reaches the server at --url.
func (f *loopFlags) dial(ctx context.Context, key string, r *loop.Run) error {
	if f.Engine == loop.Ours {
		s, err := loop.Dial(ctx, f.url, key)
		if err != nil {
			return err
		}
		r.Server, r.Facts = s, loop.Facts{Model: s.Model.ID, Runtime: "reprise's server at " + s.String()}
		return nil
	}
	e, err := engines.Dial(ctx, engines.Config{Engine: f.Engine, URL: f.url, Key: key, LMCache: f.lmcache})
	if err != nil {
		return err
	}
	r.Server, r.Facts = e, loop.Facts{Model: e.Model, Runtime: e.Runtime()}
	return nil
}

// open loads the model and serves it on a free port: the way that an agent's requests take.
func (f *loopFlags) open(ctx context.Context, c *cobra.Command, r *loop.Run) (done func(), err error) {
	if err := writable("--out", f.out); err != nil {
		return nil, err
	}
	opts, err := f.options()
	if err != nil {
		return nil, err
	}
	opts.L2, opts.CacheDisk = f.l2, f.disk
	own, err := serveHere(ctx, c, opts)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(own.client.Talks(), f.fits(own.client.Model.Context)); err != nil {
		own.close()
		return nil, err
	}
	r.Server, r.Facts = own.client, own.facts
	return own.close, nil
}

// fits says whether the longest prompt does.
func (f *loopFlags) fits(context int) error {
	if most := f.Longest(); most > context {
		return fmt.Errorf("the longest prompt has about %s tokens and the context is %s: raise --ctx, or take a smaller --scale or fewer --turns", console.Count(most), console.Count(context))
	}
	return nil
}

// writable finds a folder that cannot be written before seconds are spent on loading.
func writable(flag, dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(dir, ".probe-*"); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s cannot be written: %w", flag, dir, err)
	}
	return nil
}
