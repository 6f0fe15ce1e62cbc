package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"reprise/kvcache"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model"
	"reprise/model/arch"
	"reprise/model/chat"
	"reprise/model/chat/parse"
	"reprise/model/hub"
	"reprise/model/tokenizer"
	"reprise/model/weights"
	"reprise/server/prompt"
)

var _ kvcache.State = (*state.State)(nil)

// Model is a loaded checkpoint with everything that a turn needs of it.
type Model struct {
	Name       string
	Checkpoint hub.Checkpoint
	Config     *hub.Config
	Tokenizer  *tokenizer.Tokenizer
	Template   *chat.Template // nil when there is none
	// TemplateName is "checkpoint", the name of a built-in, or a file.
	TemplateName string
	// Context is the prompt and answer limit; Trained is what the weights were trained for.
	Context, Trained int
	LoadTime         time.Duration
	LoadPeak         int64            // MLX's peak active bytes during the load
	Parts            map[string]int64 // what the weights hold in memory, by hub's component names
	Fingerprint      string
	KV               state.Quantization // of growing layers' keys and values
	Kernels          []mlx.KernelCheck  // that were compared with plain ops when it was loaded

	net       model.Model
	dialect   *parse.Dialect // nil: answers are plain text
	assembler prompt.Assembler
	eos       []int32
	// suppressed are ids that are never sampled: the checkpoint's suppress_tokens.
	suppressed []int32
	grammars   grammars
	grid       int
	rate       rate
	reported   atomic.Bool // a turn has reported LoadTime
}

// Info describes the network.
func (m *Model) Info() model.Info { return m.net.Info() }

// Grid is the step of the absolute grid on which prefill is cut, in tokens.
func (m *Model) Grid() int { return m.grid }

// gridStep is the rule for the grid, fixed at load (see trial, too): it depends on the device and the size of the weights, not on
// a timing. A step should stay below 0.7 s: on the CPU device that is 256 tokens already for the smallest model.
func gridStep(d mlx.Device, weightBytes int64) int {
	switch {
	case d == mlx.CPU:
		return 256
	case weightBytes > 12e9:
		return 512
	case weightBytes > 6e9:
		return 1024
	default:
		return 2048
	}
}

func (e *Engine) load(ctx context.Context, opts Options) (*Model, error) {
	start := time.Now()
	ckpt, err := hub.Resolve(opts.Model)
	if err != nil {
		return nil, err
	}
	m := &Model{Name: ckpt.Name, Checkpoint: ckpt, Parts: map[string]int64{}}
	if m.Config, err = hub.ReadConfig(ckpt.Dir); err != nil {
		return nil, err
	}
	if err := m.Config.Supported(arch.Supported()); err != nil {
		return nil, err
	}
	if err := m.findTemplate(opts.ChatTemplate); err != nil {
		return nil, err
	}
	// The tokenizer's library takes its time; the weights load beside it.
	tokens := make(chan error, 1)
	go func() {
		var err error
		m.Tokenizer, err = tokenizer.Load(ckpt.Dir)
		mlx.ReleaseHeap() // the parser's, before the weights have grown to their full size
		tokens <- err
	}()
	named := make(chan error, 1)
	go func() {
		var err error
		if m.Fingerprint = "made up"; opts.Weights == nil {
			m.Fingerprint, err = hub.Fingerprint(ckpt.Dir)
		}
		named <- err
	}()
	err = e.worker.Do(ctx, func(s *mlx.Scope) error {
		mlx.ResetPeak()
		o := arch.Options(e.worker.Device())
		o.Progress, o.Parts, o.KV = opts.Progress, m.Parts, opts.KV
		from := opts.Weights
		if from == nil {
			from = weights.Files(ckpt.Dir)
		}
		if m.net, err = arch.Build(s, m.Config, from, o); err != nil {
			return err
		}
		m.Kernels = e.worker.KernelChecks()
		m.LoadPeak = mlx.ReadMemory().Peak
		mlx.ClearCache()
		return nil
	})
	for _, beside := range []chan error{tokens, named} {
		if other := <-beside; err == nil {
			err = other
		}
	}
	if err != nil {
		return nil, err
	}
	if err := m.fit(opts, e.worker.Device()); err != nil {
		return nil, err
	}
	for part, bytes := range m.Info().Unused {
		e.opts.Logger.Info("left in the checkpoint's files: no text needs it", "model", m.Name, "part", part, "bytes", bytes)
	}
	if m.KV = m.Info().KV; m.KV.On() { // other bytes for the same tokens: another cache
		m.Fingerprint += fmt.Sprintf("-kv%dg%d", m.KV.Bits, m.KV.Group)
	}
	m.LoadTime = time.Since(start)
	mlx.ReleaseHeap()
	debug.FreeOSMemory()
	return m, nil
}

// fit works out limits and end ids once weights and tokenizer are there.
func (m *Model) fit(opts Options, d mlx.Device) error {
	info := m.net.Info()
	m.Trained = info.Context
	m.Context = info.Context
	if opts.Context > 0 {
		m.Context = opts.Context
	}
	m.grid = gridStep(d, info.Bytes)
	m.suppressed = slices.DeleteFunc(slices.Clone(m.Config.Generation.Suppress), func(id int32) bool { return id < 0 || int(id) >= info.Vocab })
	return m.equip(info.Vocab, opts.Splice)
}

// equip is what assembling prompts needs, once the tokenizer is there.
func (m *Model) equip(vocab int, splice prompt.Splice) error {
	m.eos = m.Tokenizer.EOS()
	if m.Template != nil {
		m.dialect = parse.For(m.Template.Source(), m.Tokenizer)
	}
	if len(m.eos) == 0 {
		return fmt.Errorf("%s names no end-of-text id: generations would not end; set eos_token_id in generation_config.json", m.Checkpoint.Dir)
	}
	m.assembler.Tokenizer, m.assembler.Template, m.assembler.Vocab, m.assembler.Splice = m.Tokenizer, m.Template, vocab, splice
	if id, ok := m.Tokenizer.BOS(); ok {
		m.assembler.BOS = m.Tokenizer.Piece(id)
	}
	m.assembler.EOS = m.Tokenizer.Piece(m.eos[0])
	return nil
}

// findTemplate takes the named template, or the checkpoint's own.
func (m *Model) findTemplate(name string) (err error) {
	switch {
	case name == "":
		m.TemplateName = "checkpoint"
		m.Template, err = chat.LoadFor(m.Checkpoint.Dir)
		if errors.Is(err, chat.ErrNoTemplate) {
			m.Template, m.TemplateName, err = nil, "", nil
		}
	case slices.Contains(chat.BuiltinNames(), name):
		m.TemplateName = name
		m.Template, err = chat.Builtin(name)
	default:
		m.TemplateName = name
		var src []byte
		if src, err = os.ReadFile(name); err != nil {
			return fmt.Errorf("chat template %q is neither a file nor a built-in (%v): %w", name, chat.BuiltinNames(), err)
		}
		if m.Template, err = chat.Compile(string(src)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return err
}
