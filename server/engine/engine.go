package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"reprise/kvcache"
	"reprise/kvcache/ledger"
	"reprise/kvcache/ledger/footprint"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/weights"
	"reprise/server/prompt"
	"reprise/server/schedule"
)

// sampleInterval is that of the process's footprint while a turn is open.
const sampleInterval = 20 * time.Millisecond

// Options say what to load and how.
type Options struct {
	Model        string             // what hub.Resolve takes; "": the small model
	Device       mlx.Device         // where to compute
	Context      int                // 0: the checkpoint's
	KV           state.Quantization // of growing layers' keys and values
	ChatTemplate string             // a file or a built-in's name; "": the checkpoint's
	CPU          mlx.Options        // of the CPU device
	MaxOutput    int                // most tokens of one answer; 0: no limit but the context
	// CacheDisk is the folder of L1, "": none; with its limits in bytes, 0: the tier's own. L2 is the URL of a Valkey or Redis.
	CacheDisk                      string
	CacheDiskLimit, CacheDiskDaily int64
	L2                             string
	NoReuse                        bool  // compute everything, for comparisons
	CacheMem                       int64 // bytes of state that are kept; 0: by the memory that is free after the load
	MemoryLimit                    int64 // bytes of the process, see memory; 0: by the machine
	Splice                         prompt.Splice
	Audit                          Audit
	LedgerDir                      string // JSONL goes there; "": memory only
	Progress                       func(done, total int64)
	ForceTools                     []ForceTool // for debugging: answers that are calls
	// Weights come from there instead of the checkpoint's files, which then need not be: made-up ones, to measure with.
	Weights weights.Source
	Logger  *slog.Logger
}

// Engine runs turns on one loaded model.
type Engine struct {
	opts   Options
	worker *mlx.Worker
	queue  *schedule.Queue
	watch  *footprint.Watcher
	id     string // of this process, in every row
	model  *Model

	ledger *ledger.Ledger
	memory *memory
	// assembling holds a token for each prompt that is being made into ids.
	assembling chan struct{}
	cache      *kvcache.Cache
	kept       kept
	lines      lines
	audits     *auditor
	press      *pressure // nil: the host's memory is not the device's
	lower      *lower    // nil: no lower tiers

	mu    sync.Mutex // guards what follows
	turns []*turn    // open ones
	peaks int        // of MLX's that were begun

	closed sync.Once
}

// Open starts the worker and loads the model.
func Open(ctx context.Context, opts Options) (_ *Engine, err error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	} else if opts.CPU.Log == nil {
		opts.CPU.Log = opts.Logger
	}
	e := &Engine{opts: opts, assembling: make(chan struct{}, mostAssembling), id: fmt.Sprintf("%s-%d", hostname(), os.Getpid())}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	if e.worker, err = mlx.StartWith(opts.Device, opts.CPU); err != nil {
		return nil, err
	}
	e.queue = schedule.New(e.worker)
	if e.watch, err = footprint.Watch(sampleInterval); err != nil {
		return nil, err
	}
	if e.ledger, err = ledger.Open(ledger.Options{Dir: opts.LedgerDir, Log: opts.Logger}); err != nil {
		return nil, err
	}
	if e.model, err = e.load(ctx, opts); err != nil {
		return nil, err
	}
	if e.memory, err = e.openMemory(ctx, opts.MemoryLimit); err != nil {
		return nil, err
	}
	e.memory.bound(e.model.Info().Bytes)
	if err = e.trial(ctx); err != nil {
		return nil, err
	}
	e.cache = kvcache.New(kvcache.Options{Budget: e.budget()})
	e.cache.Add(e.model.forCache())
	if e.lower, err = e.openLower(opts); err != nil {
		return nil, err
	}
	e.audits = e.startAuditor()
	if !e.memory.separate {
		e.press = e.watchPressure(pressureInterval)
	}
	return e, nil
}

// Close waits for the step in progress and releases everything. Later calls do nothing, and return when it is done.
func (e *Engine) Close() { e.closed.Do(e.release) }

func (e *Engine) release() {
	e.press.close()
	e.lower.close() // before the cache goes: it stores what is left
	if e.audits != nil {
		e.audits.close()
	}
	if e.worker != nil {
		_ = e.worker.Do(context.Background(), func(*mlx.Scope) error {
			if e.cache != nil {
				e.cache.Clear(true)
				e.cache.Sweep()
			}
			if e.model != nil {
				e.model.net.Free()
			}
			return nil
		})
		e.worker.Close()
	}
	if e.model != nil {
		e.model.grammars.close()
		_ = e.model.Tokenizer.Close() // frees memory; nothing can fail that matters now
	}
	if e.watch != nil {
		e.watch.Close()
	}
	if e.ledger != nil {
		if err := e.ledger.Close(); err != nil {
			e.opts.Logger.Warn("closing the ledger", "err", err)
		}
	}
}

// Model is the loaded model.
func (e *Engine) Model() *Model { return e.model }

// Worker is the MLX worker, for device information.
func (e *Engine) Worker() *mlx.Worker { return e.worker }

// Ledger is where rows go.
func (e *Engine) Ledger() *ledger.Ledger { return e.ledger }

// Waiting is the number of turns in the queue.
func (e *Engine) Waiting() int { return e.queue.Waiting() }

// Count is how many tokens a request's prompt has; no turn is run.
func (e *Engine) Count(ctx context.Context, req Request) (int, error) {
	p, err := e.assemble(ctx, req.Prompt)
	if err != nil {
		return 0, promptError(err)
	}
	return len(p.IDs), nil
}

func hostname() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "unknown"
}

// NewTurnID makes an id for Request.TurnID, for adapters that must name the row before it exists.
func NewTurnID() string { return newID("turn_") }

const sessionPrefix = "session_"

// newSession names a session that no client named.
func newSession() string { return newID(sessionPrefix) }

// Unnamed says whether a session's name is one of this program's: its client gave it none.
func Unnamed(session string) bool { return strings.HasPrefix(session, sessionPrefix) }

// newID is a random id with a prefix: sortable by nothing, unique enough for a log.
func newID(prefix string) string {
	var b [8]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return prefix + hex.EncodeToString(b[:])
}
