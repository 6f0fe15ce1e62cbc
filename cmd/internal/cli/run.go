package cli

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/load"
	"reprise/cmd/internal/run"
	"reprise/server/engine"
)

// runFlags are those of `reprise run`.
type runFlags struct {
	engineFlags
	settings run.Settings
	raw      bool
	think    bool
	noThink  bool
	followUp string
	noReuse  bool
	asJSON   bool
	images   []string
}

func newRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] [PROMPT | -]",
		Short: "One generation, or a chat in the terminal, with speed, memory and reuse of each turn",
		Long: "Answers PROMPT (- reads it from standard input), or chats when there is none and this is a terminal. Text goes to stdout, figures to stderr.\n" +
			"A base model, or one without a chat template, continues PROMPT as raw text. In a chat Ctrl-C cancels the answer and Ctrl-D ends.",
		Example: `  reprise run "The capital of France is"
  reprise run --follow-up "It lies on the river" "The capital of France is"`,
		Args: atMost(1, "one prompt"),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	f.addModel(cmd)
	f.engineFlags.add(cmd)
	f.addTemplate(cmd)
	fs := cmd.Flags()
	s := &f.settings
	fs.BoolVar(&f.raw, "raw", false, "continue the prompt as it is, without chat template; --raw=false uses the template of a base model")
	fs.BoolVar(&f.think, "think", false, "let the model think first, where its template has a switch")
	fs.BoolVar(&f.noThink, "no-think", false, "do not let the model think, where its template has a switch")
	fs.StringArrayVar(&f.images, "image", nil, "refused: a `FILE` with an image; images are not built yet")
	fs.StringVar(&f.followUp, "follow-up", "", "`TEXT` of a second turn, behind the first one's answer, whose figures show what was reused")
	marked(cmd, inAssemble, "raw", "think", "no-think", "image", "follow-up")
	fs.BoolVar(&f.noReuse, "no-reuse", false, "look up and count, but compute everything")
	marked(cmd, inPlan, "no-reuse")
	fs.IntVar(&s.MaxTokens, "max-tokens", 0, "most tokens of an answer; 0 is 64 for raw text and 2,048 otherwise")
	fs.Float64Var(&s.Sampling.Temperature, "temp", 0, "temperature; 0 takes the likeliest token every time")
	fs.Float64Var(&s.Sampling.TopP, "top-p", 0, "keep the likeliest tokens that hold this share of the probability; 0 and 1 keep all")
	fs.IntVar(&s.Sampling.TopK, "top-k", 0, "keep the K likeliest tokens; 0 keeps all")
	fs.Float64Var(&s.Sampling.MinP, "min-p", 0, "drop tokens below this share of the likeliest one's probability; 0 drops none")
	fs.Uint64Var(&s.Sampling.Seed, "seed", 0, "of the random numbers where --temp is above 0; the same seed gives the same answer")
	marked(cmd, inDecode, "max-tokens", "temp", "top-p", "top-k", "min-p", "seed")
	fs.BoolVar(&f.asJSON, "json", false, "print one object with text, ids and the ledger row instead of text and figures")
	marked(cmd, inOutput, "json")
	return cmd
}

func (f *runFlags) run(c *cobra.Command, args []string) error {
	if err := f.check(c, args); err != nil {
		return err
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	opts.NoReuse = f.noReuse
	if len(args) == 0 {
		return f.chat(c, opts)
	}
	text, err := promptOf(args[0], c.InOrStdin())
	if err != nil {
		return err
	}
	ctx, stop := interruptible(c.Context())
	defer stop()
	e, err := load.Open(ctx, opts, c.ErrOrStderr())
	if err != nil {
		return err
	}
	defer e.Close()
	once := run.Once{Engine: e, Out: c.OutOrStdout(), Err: c.ErrOrStderr(), JSON: f.asJSON}
	settings, note, err := f.decide(c, e.Model())
	if err != nil {
		return err
	}
	once.Settings, once.Note = settings, note
	return once.Run(ctx, text, f.followUp)
}

// check looks at what needs no model.
func (f *runFlags) check(c *cobra.Command, args []string) error {
	switch {
	case len(f.images) > 0:
		return fmt.Errorf("--image is not built yet: this build reads text only; leave it out")
	case f.think && f.noThink:
		return usagef("--think and --no-think exclude each other")
	case f.settings.MaxTokens < 0:
		return usagef("--max-tokens %d: must not be negative", f.settings.MaxTokens)
	case len(args) == 0 && (f.asJSON || f.followUp != ""):
		return usagef("--json and --follow-up need a prompt: reprise run --json PROMPT")
	case len(args) == 0 && !console.IsTerminal(c.InOrStdin()):
		return usagef("no prompt: give one, or - to read it from standard input")
	}
	if err := f.settings.Sampling.Validate(); err != nil {
		return usagef("sampling: %w", err)
	}
	if f.think || f.noThink {
		f.settings.Thinking = &f.think
	}
	return nil
}

// decide settles what depends on the model: raw text or template. note says why when nobody chose.
func (f *runFlags) decide(c *cobra.Command, m *engine.Model) (s run.Settings, note string, err error) {
	var explicit *bool
	if c.Flags().Changed("raw") {
		explicit = &f.raw
	}
	s = f.settings
	s.Raw, note = run.TakeRaw(m, explicit, f.template != "")
	switch {
	case !s.Raw && m.Template == nil:
		return s, note, fmt.Errorf("model %s has no chat template: name one with --chat-template, or use --raw", m.Name)
	case s.Raw && s.Thinking != nil:
		return s, note, usagef("--think and --no-think are the template's switch, and %s continues raw text here; add --raw=false", m.Name)
	}
	return s, note, nil
}

// maxPrompt bounds what is read from standard input.
const maxPrompt = 64 << 20

func promptOf(arg string, stdin io.Reader) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxPrompt+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the prompt from standard input: %w", err)
	case len(text) > maxPrompt:
		return "", fmt.Errorf("the prompt on standard input is longer than %s: shorten it", console.Bytes(maxPrompt))
	}
	return string(text), nil
}

// chat runs the terminal's conversation. Ctrl-C belongs to the answer there, so it does not end the command's context
// once the model is loaded.
func (f *runFlags) chat(c *cobra.Command, opts engine.Options) error {
	loading, stop := interruptible(c.Context())
	e, err := load.Open(loading, opts, c.ErrOrStderr())
	stop()
	if err != nil {
		return err
	}
	defer e.Close()
	settings, note, err := f.decide(c, e.Model())
	if err != nil {
		return err
	}
	stderr := c.ErrOrStderr()
	if note != "" {
		fmt.Fprintf(stderr, "%s continues what you type as raw text: %s\n", e.Model().Name, note)
	}
	if err := run.WriteModel(stderr, e.Model(), opts.Device); err != nil {
		return err
	}
	ctx, done := signal.NotifyContext(c.Context(), syscall.SIGTERM)
	defer done()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	chat := run.Chat{
		Conversation: run.NewConversation(e, settings), In: c.InOrStdin(), Out: c.OutOrStdout(), Err: stderr,
		Interrupts: interrupts, Dim: console.IsTerminal(stderr),
	}
	return chat.Run(ctx)
}
