package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/load"
	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/version"
	"reprise/kvcache/ledger/footprint/machine"
	"reprise/kvcache/state"
	"reprise/model/hub"
	"reprise/server/api"
	"reprise/server/engine"
)

// ownServer is an engine of this process, served on a free loopback port: the way that an agent's requests take.
type ownServer struct {
	client *loop.Reprise
	facts  loop.Facts
	close  func()
}

// serveHere loads the model and serves it.
func serveHere(ctx context.Context, c *cobra.Command, opts engine.Options) (_ *ownServer, err error) {
	e, err := load.Open(ctx, opts, c.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	s, err := api.NewServer(api.Options{Engine: e, Addr: "127.0.0.1:0"})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		e.Close()
		return nil, err
	}
	own := &ownServer{close: func() {
		limit, cancel := context.WithTimeout(context.Background(), closing)
		defer cancel()
		_ = s.Close(limit) // the run is over or was cut; its files say which
		e.Close()
	}}
	if own.client, err = loop.Reach(ctx, s.URL(), ""); err == nil {
		own.facts, err = facts(e)
	}
	if err != nil {
		own.close()
		return nil, err
	}
	return own, nil
}

// show tells about the turns: a table on a terminal, plain lines elsewhere, nothing where an object is wanted.
func show(c *cobra.Command, turns int, asJSON bool) (turned func(*loop.Record), progress func(string), done func()) {
	switch {
	case asJSON:
	case console.IsTerminal(c.ErrOrStderr()):
		t := loop.NewTable(c.ErrOrStderr(), turns)
		return t.Turned, nil, t.Close
	default:
		progress = func(text string) { fmt.Fprintln(c.ErrOrStderr(), text) }
	}
	return nil, progress, func() {}
}

// lowerTiers are where an engine of this process keeps state outside of memory.
type lowerTiers struct{ l2, disk string }

func (f *lowerTiers) addTiers(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.l2, "l2", "", "share state through the Valkey or Redis at `URL`, as serve --l2 has it; these prompts' state should not lie there yet")
	fs.StringVar(&f.disk, "cache-disk", "", "keep state in this `DIR`, too, as serve has it; it should be empty or not be there yet")
	marked(cmd, inPlan, "l2", "cache-disk")
}

// check refuses what no engine could be given, before anything is loaded.
func (f *lowerTiers) check() error {
	if f.disk == "on" || f.disk == "off" { // words of serve's, whose folder has other state
		return usagef("--cache-disk %s: name a folder that is empty or not there yet", f.disk)
	}
	if f.l2 == "" {
		return nil
	}
	if err := engine.CheckL2(f.l2); err != nil {
		return usagef("--l2: %w", err)
	}
	return nil
}

// reachL2 refuses a store that is not there: a server does without one, but what is measured here is about it.
func (f *lowerTiers) reachL2(ctx context.Context) error {
	if f.l2 == "" {
		return nil
	}
	if err := engine.ReachL2(ctx, f.l2); err != nil {
		return fmt.Errorf("--l2: %w: start one, or leave --l2 out (`bench loop --session remote` and `pd` then start one themselves)", err)
	}
	return nil
}

// folded prints a text on standard output, its long lines broken between words where that is a terminal.
func folded(c *cobra.Command, write func(io.Writer) error) error {
	var b strings.Builder
	if err := write(&b); err != nil {
		return err
	}
	_, err := io.WriteString(c.OutOrStdout(), console.Fold(b.String(), console.Width(c.OutOrStdout())))
	return err
}

// keyOr is the key of a flag, or else the environment's.
func keyOr(flag string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv(keyVariable)
}

// ofTheEngine is a flag that was given and means the engine in this process, "" when none was; the model and the template, which a
// dry run takes too, only when there is no other.
func ofTheEngine(c *cobra.Command) (name string) {
	c.Flags().Visit(func(flag *pflag.Flag) {
		p := flag.Annotations[phaseKey]
		if is := len(p) == 1 && p[0] == string(inLoad) || flag.Name == "chat-template"; is && (name == "" || name == "--model" || name == "--chat-template") {
			name = "--" + flag.Name
		}
	})
	return name
}

// machineOf is the machine that a URL leads to, where that is this one; nil: it is not known.
func machineOf(server string) *machine.Machine {
	if !here(server) {
		return nil
	}
	m, err := machine.Read()
	if err != nil {
		return nil
	}
	return &m
}

// here says whether a URL leads to this machine.
func here(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// facts are what the engine says of itself.
func facts(e *engine.Engine) (loop.Facts, error) {
	m := e.Model()
	computer, err := machine.Read()
	if err != nil {
		return loop.Facts{}, err
	}
	info := m.Info()
	return loop.Facts{
		Model: m.Name, Quantization: quantization(m.Config) + kvText(m.KV), Machine: &computer,
		Runtime: fmt.Sprintf("%s, %s device, %v, prefill grid %d, template %s", version.Read(), e.Worker().Device(), info.Dtype, m.Grid(), m.TemplateName),
		Decode:  func(ids []int32) string { return m.Tokenizer.Decode(ids, false) },
	}, nil
}

// kvText adds how keys and values are kept, where that is not as they come.
func kvText(kv state.Quantization) string {
	if !kv.On() {
		return ""
	}
	return "; keys and values " + kv.String()
}

func quantization(c *hub.Config) string {
	q := c.Quantization
	if q == nil {
		return "none, " + c.DType
	}
	text := fmt.Sprintf("%d bit, groups of %d, %s", q.Bits, q.GroupSize, q.Mode)
	if n := len(q.Overrides); n > 0 {
		text += fmt.Sprintf(", %d modules otherwise", n)
	}
	return text
}
