package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/load"
	"reprise/cmd/internal/warm"
	"reprise/model/hub"
	"reprise/server/api"
	"reprise/server/api/openai"
	"reprise/server/dash"
	"reprise/server/engine"
	"reprise/server/metrics"
	"reprise/server/prompt"
)

// closing is how long answers under way may take after Ctrl-C.
const closing = 10 * time.Second

// keyVariable holds the API key when no flag does: a flag's value shows in the process list.
const keyVariable = "REPRISE_API_KEY"

// serveFlags are those of `reprise serve`.
type serveFlags struct {
	engineFlags
	models    []string
	addr      string
	key       string
	maxOutput int
	metrics   bool
	forced    []string
	record    string
	origins   []string
	pprof     bool
	logFormat string
	logTexts  bool
	noReuse   bool
	logLevel  string

	cacheMem, memoryLimit              string
	cacheDisk, diskLimit, diskRate, l2 string
	splice                             string
	audit                              float64
	auditMax                           float64 // seconds
	warm                               string
}

func newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Serves OpenAI's and Anthropic's APIs for agents on this machine",
		Long: "Loads a model and serves chat completions, completions, Responses and Messages, with a page at / that shows each turn. Without --chat-template\n" +
			"a conversation is rendered with the model's own template. At most " + fmt.Sprint(api.DefaultOpenTurns) + " requests may be open, more are a 429. Each turn's\n" +
			"ledger row goes to REPRISE_HOME/ledger. Ctrl-C lets the answers under way end, for ten seconds; a second one cuts them.",
		Example: "  reprise serve --ctx 16384\n  curl http://127.0.0.1:8000/v1/models",
		Args:    exactly(0, "no argument"),
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fs := cmd.Flags()
	fs.StringArrayVarP(&f.models, "model", "m", nil, "folder, name or hub id of the `MODEL`; when none is named, the small one that the set-up imported")
	marked(cmd, inLoad, "model")
	f.engineFlags.add(cmd)
	f.addTemplate(cmd)
	fs.StringVar(&f.splice, "splice", prompt.SpliceOn.String(), "`on|text|off`: what becomes of an answer that a client sends back: on puts the generated ids in its place, reasoning included; text keeps what the template makes of it, in the generated ids where they are its; off tokenizes it anew")
	marked(cmd, inAssemble, "splice")
	fs.StringVar(&f.cacheMem, "cache-mem", "0", "keep at most this `SIZE` of state, for instance 2GB (decimal); 0 is by the memory that is free after the load")
	fs.StringVar(&f.memoryLimit, "memory-limit", "0", "the process's memory may not pass this `SIZE`: prompts wait or are refused, with the figures; 0 is the machine's or the container's memory but a sixteenth (256 MB to 2 GB). Of a GPU with memory of its own it is what is held there")
	fs.StringVar(&f.cacheDisk, "cache-disk", "", "keep state in this `DIR`, too, so that it survives a restart; on is REPRISE_HOME/kv; processes may share it. Off when not given")
	fs.StringVar(&f.diskLimit, "cache-disk-limit", "20GB", "bytes of that folder: `SIZE`, decimal")
	fs.StringVar(&f.diskRate, "cache-disk-rate", "50GB", "write at most this `SIZE` a day there: an SSD wears")
	fs.StringVar(&f.l2, "l2", "", "share state through the Valkey or Redis at `URL`: redis://[user:password@]host:port/db, rediss:// with TLS; ?ttl=24h&limit=8GB&timeout=1s: how long a block is kept (24h when not said), from which size of the store on nothing is stored (no limit), how long an answer may take (1s). Quote it: shells read ? and &. Off when not given")
	fs.StringVar(&f.warm, "warm", "", "run the requests in `FILE` at the start, one token long: JSON bodies of chat completions (or with a prompt), one, a list, or one a line")
	fs.BoolVar(&f.noReuse, "no-reuse", false, "look up and count, but compute everything")
	marked(cmd, inPlan, "cache-mem", "memory-limit", "cache-disk", "cache-disk-limit", "cache-disk-rate", "l2", "warm", "no-reuse")
	fs.IntVar(&f.maxOutput, "max-output", 0, "most tokens of an answer, whatever a request says; 0 is what the context leaves")
	marked(cmd, inDecode, "max-output")
	fs.StringVar(&f.addr, "addr", api.DefaultAddr, "`HOST:PORT` to listen on; port 0 takes a free one. What other machines can reach needs a key")
	fs.StringVar(&f.key, "api-key", "", "the `KEY` that clients must show; $"+keyVariable+" when not given")
	fs.StringVar(&f.logLevel, "log-level", "info", "`debug|info|warn|error`: what is logged on stderr")
	fs.Float64Var(&f.audit, "audit", 0, "compute the share `P` (0 to 1) of the turns that reused state again, when nobody waits, and compare")
	fs.Float64Var(&f.auditMax, "audit-max", engine.DefaultAuditMax.Seconds(), "skip audits that would take longer than these `SECONDS`")
	fs.StringArrayVar(&f.forced, "force-tool", nil, "`NAME@TEXT[=JSON]`: when the user's last messages contain TEXT and the request offers the tool NAME, the answer is one call of it, with exactly the arguments JSON if given; for debugging, may be repeated")
	marked(cmd, inDecode, "force-tool")
	fs.StringVar(&f.record, "record", "", "add each request, as it came, its answer and its ledger row to `FILE`, one line of JSON each; it holds the texts of both")
	fs.StringArrayVar(&f.origins, "cors-origin", nil, "let web pages of `ORIGIN` (https://host) use the server; may be repeated, none without it")
	fs.BoolVar(&f.pprof, "pprof", false, "answer GET /debug/pprof, on loopback only")
	fs.StringVar(&f.logFormat, "log-format", "text", "`text|json`: how the log is written")
	fs.BoolVar(&f.logTexts, "log-prompts", false, "log the texts of prompts and answers, too; without it none is ever logged")
	fs.BoolVar(&f.metrics, "metrics", false, "answer GET /metrics, for Prometheus; without it that is 404")
	marked(cmd, inServer, "addr", "api-key", "log-level", "metrics", "record", "cors-origin", "pprof", "log-format", "log-prompts", "audit", "audit-max")
	return cmd
}

func (f *serveFlags) run(c *cobra.Command) error {
	log, err := f.logger(c.ErrOrStderr())
	if err != nil {
		return err
	}
	opts, err := f.engine()
	if err != nil {
		return err
	}
	key := keyOr(f.key)
	if err := free(f.addr, key); err != nil {
		return err
	}
	first, err := f.warmUps()
	if err != nil {
		return err
	}
	if opts.LedgerDir, err = ledgerDir(); err != nil {
		return err
	}
	opts.Logger = log
	ctx, stop := interruptible(c.Context())
	defer stop()
	e, err := load.Open(ctx, opts, c.ErrOrStderr())
	if err != nil {
		return err
	}
	defer e.Close()
	serving := api.Options{Engine: e, Addr: f.addr, APIKey: key, Logger: log, Page: dash.Handler(), Origins: f.origins, Profiles: f.pprof, LogPrompts: f.logTexts}
	if f.record != "" {
		trace, err := os.OpenFile(f.record, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("--record: %w", err)
		}
		defer func() { _ = trace.Close() }() // each line was written when its request ended
		serving.Record = trace
	}
	if f.metrics {
		serving.Metrics = metrics.Handler(e)
	}
	s, err := api.NewServer(serving)
	if err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), ready(s, e))
	defer warm.Start(ctx, e, first, log).Close() // before the engine is closed
	return serve(ctx, s, log)
}

// logger writes the log as the flags say.
func (f *serveFlags) logger(out io.Writer) (*slog.Logger, error) {
	var o slog.HandlerOptions
	var level slog.Level
	if level.UnmarshalText([]byte(f.logLevel)) != nil {
		return nil, usagef("--log-level %s: must be debug, info, warn or error", f.logLevel)
	}
	o.Level = level
	switch f.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(out, &o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(out, &o)), nil
	}
	return nil, usagef("--log-format %s: must be text or json", f.logFormat)
}

// engine is what the flags make of the engine.
func (f *serveFlags) engine() (opts engine.Options, err error) {
	switch {
	case len(f.models) > 1:
		return opts, fmt.Errorf("--model %s: more than one model at a time is not built yet; name one", f.models[1])
	case f.maxOutput < 0:
		return opts, usagef("--max-output %d: must not be negative", f.maxOutput)
	case len(f.models) == 1:
		f.model = f.models[0]
	}
	var kept engine.Options
	if err := f.keep(&kept); err != nil {
		return opts, err
	}
	opts, err = f.optionsFor(func(o *engine.Options) {
		*o = kept
		o.Model, o.MaxOutput, o.NoReuse = f.model, f.maxOutput, f.noReuse
	})
	if err != nil {
		return opts, err
	}
	for _, text := range f.forced {
		forced, err := forceTool(text)
		if err != nil {
			return opts, err
		}
		opts.ForceTools = append(opts.ForceTools, forced)
	}
	return opts, nil
}

// forceTool reads NAME@TEXT[=JSON].
func forceTool(flag string) (engine.ForceTool, error) {
	name, text, ok := strings.Cut(flag, "@")
	var arguments []byte
	if at := strings.Index(text, "={"); at >= 0 {
		text, arguments = text[:at], []byte(text[at+1:])
		if !json.Valid(arguments) {
			return engine.ForceTool{}, usagef("--force-tool %s: what stands behind the = is no JSON object", flag)
		}
	}
	if !ok || name == "" || text == "" {
		return engine.ForceTool{}, usagef("--force-tool %s: must be NAME@TEXT or NAME@TEXT={…}, for instance read@please", flag)
	}
	return engine.ForceTool{Name: name, Text: text, Arguments: arguments}, nil
}

// keep checks what says which state is kept, put back and compared.
func (f *serveFlags) keep(o *engine.Options) (err error) {
	if o.CacheMem, err = console.ParseBytes(f.cacheMem); err != nil {
		return usagef("--cache-mem: %w", err)
	}
	if o.MemoryLimit, err = console.ParseBytes(f.memoryLimit); err != nil {
		return usagef("--memory-limit: %w", err)
	}
	if err := f.tiers(o); err != nil {
		return err
	}
	if o.Splice, err = prompt.ParseSplice(f.splice); err != nil {
		return usagef("--splice %s: must be on, text or off", f.splice)
	}
	const day = 24 * 60 * 60
	switch {
	case !(f.audit >= 0 && f.audit <= 1):
		return usagef("--audit %v: must be a share, from 0 (none) to 1 (every turn that reused state)", f.audit)
	case !(f.auditMax > 0 && f.auditMax <= day):
		return usagef("--audit-max %v: must be seconds, more than 0 and at most a day", f.auditMax)
	}
	o.Audit = engine.Audit{Share: f.audit, Max: time.Duration(f.auditMax * float64(time.Second))}
	return nil
}

// tiers checks where state is kept outside of memory.
func (f *serveFlags) tiers(o *engine.Options) (err error) {
	switch o.CacheDisk = f.cacheDisk; o.CacheDisk {
	case "", "off":
		o.CacheDisk = ""
	case "on":
		if o.CacheDisk, err = diskDir(); err != nil {
			return err
		}
	}
	if o.CacheDiskLimit, err = console.ParseBytes(f.diskLimit); err != nil || o.CacheDiskLimit == 0 {
		return usagef("--cache-disk-limit %s: must be a size like 20GB", f.diskLimit)
	}
	if o.CacheDiskDaily, err = console.ParseBytes(f.diskRate); err != nil || o.CacheDiskDaily == 0 {
		return usagef("--cache-disk-rate %s: must be a size a day like 50GB", f.diskRate)
	}
	if o.L2 = f.l2; o.L2 == "" {
		return nil
	}
	if err := engine.CheckL2(o.L2); err != nil {
		return usagef("--l2: %w", err)
	}
	return nil
}

// diskDir is where blocks are kept when no other folder is named.
func diskDir() (string, error) {
	home, err := hub.Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, "kv"), nil
}

// warmUps reads the file of --warm, if there is one, for the model that will be loaded: before seconds are spent on that.
func (f *serveFlags) warmUps() ([]warm.Request, error) {
	if f.warm == "" {
		return nil, nil
	}
	ckpt, err := hub.Resolve(f.model)
	if err != nil {
		return nil, err
	}
	config, err := hub.ReadConfig(ckpt.Dir)
	if err != nil {
		return nil, err
	}
	list, err := warm.Read(f.warm, openai.Target{Name: ckpt.Name, Defaults: config.Generation, Implied: true})
	if err != nil {
		return nil, fmt.Errorf("--warm: %w", err)
	}
	return list, nil
}

// ledgerDir is where the server's rows are.
func ledgerDir() (string, error) {
	home, err := hub.Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, "ledger"), nil
}

// free finds what the server would refuse before seconds are spent on loading: a port that is taken, or an address
// that others reach without showing a key.
func free(addr, key string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; choose another with --addr", addr, err)
	}
	defer func() { _ = l.Close() }()
	if a, ok := l.Addr().(*net.TCPAddr); key == "" && !(ok && a.IP.IsLoopback()) {
		return fmt.Errorf("--addr %s can be reached from other machines: set --api-key (or %s), or listen on 127.0.0.1", addr, keyVariable)
	}
	return nil
}

// ready is the one line that says where the server is.
func ready(s *api.Server, e *engine.Engine) string {
	m := e.Model()
	template := "template " + m.TemplateName
	if m.Template == nil {
		template = "no chat template"
	}
	return fmt.Sprintf("ready: %s serves %s on the %s device, context %s tokens, %s", s.URL(), m.Name, e.Worker().Device(), console.Count(m.Context), template)
}

// serve waits for the end: the context's, or the server's own failure.
func serve(ctx context.Context, s *api.Server, log *slog.Logger) error {
	select {
	case err := <-s.Served():
		return fmt.Errorf("the server stopped: %w", err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	limit, stop := interruptible(limit) // asked a second time, it no longer waits
	defer stop()
	if err := s.Close(limit); err != nil {
		log.Warn("closing", "err", err)
	}
	if err := <-s.Served(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
