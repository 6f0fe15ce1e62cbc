package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"reprise/kvcache"
	"reprise/kvcache/ledger"
	"reprise/kvcache/tier"
	"reprise/mlx"
	"reprise/server/prompt"
)

// lower is what the engine does with the lower tiers: it lends what they have of a prompt to the cache before the lookup, and
// stores behind the turns what they left.
type lower struct {
	engine *Engine
	tiers  tier.Tiers
	model  string // the tiers' name for the model: of other producers' states nothing is taken
	dtype  string
	writer *writer
}

// Counters of the tiers, under names for those who may not import kvcache.
type (
	DiskStats   = tier.DiskStats
	RemoteStats = tier.RemoteStats
)

// VerifyDisk reads every block of a folder whole. Servers may be using it meanwhile.
func VerifyDisk(dir string) (*tier.Verified, error) { return tier.VerifyDir(dir) }

// CheckL2 says what is wrong with the URL of a remote store. It does not connect.
func CheckL2(url string) error {
	_, err := tier.ParseRemote(url)
	return err
}

// ReachL2 says whether a store answers at the URL of an L2. An engine does without one.
func ReachL2(ctx context.Context, url string) error { return tier.Reach(ctx, url) }

// openLower opens the tiers that the options name; nil when there are none.
func (e *Engine) openLower(opts Options) (*lower, error) {
	if opts.CacheDisk == "" && opts.L2 == "" || opts.Weights != nil {
		return nil, nil
	}
	l := &lower{engine: e, model: e.model.Fingerprint + " by " + e.producer(), dtype: e.model.Info().Dtype.String()}
	if opts.CacheDisk != "" {
		l.tiers.Disk = tier.OpenDisk(tier.DiskOptions{Dir: opts.CacheDisk, Limit: opts.CacheDiskLimit, Daily: opts.CacheDiskDaily, Log: opts.Logger})
		path := filepath.Join(l.tiers.Disk.Folder(e.model.Fingerprint), "record.log") // of any producer
		e.model.assembler.Record = prompt.OpenRecord(path, prompt.DefaultRecordBytes, opts.Logger)
	}
	if opts.L2 != "" {
		remote, err := tier.OpenRemote(opts.L2, opts.Logger)
		if err != nil {
			return nil, fmt.Errorf("--l2: %w", err)
		}
		l.tiers.Remote = remote
		l.shareRecord()
	}
	l.writer = startWriter(l)
	return l, nil
}

// shareRecord lets the processes of a shared store put each other's answers back as they were generated: without, a conversation
// that goes on in another process would have other ids there, and hit nothing behind its first answer.
func (l *lower) shareRecord() {
	a, remote := &l.engine.model.assembler, l.tiers.Remote
	if a.Record == nil {
		a.Record = prompt.NewRecord(prompt.DefaultRecordBytes, nil)
	}
	name := func(k prompt.Key) string {
		return fmt.Sprintf("%x:%x", kvcache.RootDigest(l.engine.model.Fingerprint), k)
	}
	a.Record.Share(func(e prompt.Entry) {
		if raw, err := e.AppendBinary(nil); err == nil { // an answer beyond what an entry holds stays here
			remote.Note(name(e.Key), raw)
		}
	}, func(k prompt.Key) (prompt.Entry, bool) {
		e, _, err := prompt.DecodeEntry(remote.Noted(context.Background(), name(k)))
		return e, err == nil
	})
}

// producer names what fixes the bits of a state besides the model and its calls.
func (e *Engine) producer() string {
	parts := []string{e.worker.Device().String(), mlx.Version()}
	if level, _ := e.worker.KernelLevel(); e.worker.Device() == mlx.CPU {
		parts = append(parts, level)
		if e.opts.CPU.Int8 {
			parts = append(parts, "int8")
		}
	}
	return strings.Join(parts, " ")
}

func (l *lower) close() {
	if l == nil {
		return
	}
	if l.writer != nil {
		l.writer.close()
	}
	if l.tiers.Remote != nil {
		if err := l.tiers.Remote.Close(); err != nil {
			l.engine.opts.Logger.Warn("closing the remote cache", "err", err)
		}
	}
}

// distrust removes what is stored of these sequences: an audit found their state wrong. What was on its way there is caught the
// second time.
func (l *lower) distrust(ctx context.Context, paths []kvcache.Spelling) {
	if l == nil {
		return
	}
	forget := func() {
		for _, path := range paths {
			l.tiers.Forget(ctx, l.model, path)
		}
	}
	forget()
	if l.engine.Flush(ctx) == nil { // otherwise the process ends
		forget()
	}
}

// warm brings the static prefixes of the last sessions back, as long as no turn is under way.
func (l *lower) warm(ctx context.Context) {
	if l.tiers.Disk == nil {
		return
	}
	fp := l.engine.model.Fingerprint
	for _, f := range l.tiers.Disk.Statics(l.model, warmStatics) {
		ids, ok := f.IDs()
		if !ok || ctx.Err() != nil {
			continue
		}
		start := time.Now()
		blocks, _, err := l.tiers.Load(ctx, &f, 0)
		if err == nil {
			seq := kvcache.Sequence{IDs: ids}
			err = l.engine.alone(ctx, func(s *mlx.Scope) error {
				return l.lend(s, fp, seq, &loan{found: f, blocks: blocks})
			})
		}
		if err != nil {
			l.engine.opts.Logger.Info("a static prefix did not come back from the disk", "tokens", f.To, "err", err)
			continue
		}
		l.engine.opts.Logger.Info("a static prefix came back from the disk", "tokens", f.To, "took", time.Since(start).Round(time.Millisecond))
	}
}

// warmStatics is how many static prefixes come back: as many as are evicted last.
const warmStatics = 2

// TierStats are the counters of the tiers that there are.
type TierStats struct {
	L1     *DiskStats   `json:"l1"`
	L2     *RemoteStats `json:"l2"`
	Writer WriterStats  `json:"writer"`
}

// TierStats counts; both tiers are nil where there are none.
func (e *Engine) TierStats() TierStats {
	var s TierStats
	if e.lower == nil {
		return s
	}
	if d := e.lower.tiers.Disk; d != nil {
		v := d.Stats()
		s.L1 = &v
	}
	if r := e.lower.tiers.Remote; r != nil {
		v := r.Stats()
		s.L2 = &v
	}
	s.Writer = e.lower.writer.Stats()
	return s
}

// handOver waits until what the turn left is stored. The row of a prefill for another process says how long that took, behind
// the last piece of the answer.
func (t *turn) handOver(ctx context.Context) error {
	start := time.Now()
	if err := t.engine.Flush(ctx); err != nil {
		return err
	}
	if r := t.engine.lower; t.req.PD == PDPrefill && !r.tiers.Remote.Stats().Off {
		t.row.PDTransferMs = ledger.Ms(time.Since(start))
	}
	return nil
}

// Flush waits until what the turns so far left is stored. For tests, and for a prefill whose state another process awaits.
func (e *Engine) Flush(ctx context.Context) error {
	if e.lower == nil {
		return nil
	}
	if err := e.lower.writer.flush(ctx); err != nil {
		return err
	}
	if r := e.lower.tiers.Remote; r != nil {
		return r.Flush(ctx)
	}
	return nil
}

// ClearTiers drops what is stored: on the disk, and with remote in the shared store, for everybody.
func (e *Engine) ClearTiers(ctx context.Context, disk, remote bool) error {
	if e.lower == nil {
		return nil
	}
	var errs []error
	if d := e.lower.tiers.Disk; d != nil && disk {
		errs = append(errs, d.Clear())
	}
	if r := e.lower.tiers.Remote; r != nil && remote {
		errs = append(errs, r.Clear(ctx))
	}
	return errors.Join(errs...)
}
