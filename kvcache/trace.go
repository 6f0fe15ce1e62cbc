package kvcache

import (
	"slices"
)

// Run is equal forward calls in a row, as lower tiers keep them. Beyond is what the last one fed beyond the point where it
// was cut off, spelled; then Count is 1.
type Run struct {
	Start, Width, Count, Batch int
	Purpose                    string
	Beyond                     []byte
}

// Link is a stretch of a state as lower tiers keep it: ids [From, To), and how what is remembered of them came about. A
// chain of links from the root, each of which names the digest of the one before, is a state that those calls produced.
type Link struct {
	From, To int
	Base     int    // IDs and Runs begin there: From, or 0 where no rows lead here
	IDs      []byte // spelled, of [Base, To)
	Runs     []Run  // of the state at To: those that end behind Base
	Parent   Digest // of the state at Base
	Digest   Digest // of the state at To
	Kept     bool   // a state can be restored at To; else it is rows on the way
	Static   bool   // To is the end of a static prefix
}

// Trace is a state that a turn left behind, to be stored elsewhere. It keeps nothing alive.
type Trace struct {
	Model  string
	cache  *Cache
	tip    *block
	static int
	prompt int
	side   bool
	held   []int // see Hold
}

// Trace names the state as it is committed. It is asked before Close.
func (p *Plan) Trace() *Trace {
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	return &Trace{Model: p.tree.Fingerprint, cache: p.cache, tip: p.tip(), static: p.req.Prompt.Static, prompt: p.Requested, side: p.req.Side}
}

// Links cuts the trace into what is to be stored: the rows of every `step` ids, and the offsets worth keeping: the end of
// the static prefix, and the `newest` last ones that can be restored.
func (t *Trace) Links(step, newest int) (Spelling, []Link) {
	c := t.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	path := t.tip.node.path()
	k := linker{cache: c, tip: t.tip, path: path, spelling: c.alphabet.spelling(path), seen: map[*provenance]Digest{}}
	var out []Link
	if t.tip.tree().RowBytes > 0 {
		for to := step; to <= len(path); to += step {
			out = append(out, k.link(to-step, to))
		}
	}
	for _, at := range t.kept(newest) {
		l := k.link(at/step*step, at)
		l.Kept, l.Static = true, at == t.static
		out = append(out, l)
	}
	return k.spelling, out
}

// kept are the offsets at which others will want to go on.
func (t *Trace) kept(newest int) []int {
	var out []int
	needs := t.tip.tree().needs()
	if !needs {
		out = append(out, t.tip.end())
	}
	for b := t.tip; b.parent != nil; b = b.parent {
		at := b.end()
		if b.gone || b.bad || needs && b.snap == nil || slices.Contains(out, at) {
			continue
		}
		if at == t.static || len(out) < newest && (needs || at == t.prompt) {
			out = append(out, at)
		}
	}
	return out
}

// linker makes links of one path.
type linker struct {
	cache    *Cache
	tip      *block
	path     []atom
	spelling Spelling
	seen     map[*provenance]Digest
}

func (k *linker) at(to int) *provenance { return k.tip.calls.cut(to, k.path[to:]) }

func (k *linker) link(from, to int) Link {
	fp := k.tip.tree().Fingerprint
	l := Link{From: from, To: to, Base: from}
	if k.tip.tree().RowBytes == 0 {
		l.Base = 0
	}
	calls := k.at(to)
	l.IDs = k.spelling.Slice(l.Base, to)
	l.Digest = k.cache.digestOf(fp, calls, k.path, k.seen)
	l.Parent = k.cache.digestOf(fp, k.at(l.Base), k.path, k.seen)
	for p := calls; p != nil && p.end() > l.Base; p = p.prev {
		l.Runs = append(l.Runs, Run{p.start, p.width, p.count, p.batch, p.purpose, k.cache.alphabet.spell(nil, p.beyond)})
	}
	slices.Reverse(l.Runs)
	return l
}

// ReadOut gives what a link stands for, if it is still held: rows, which become the caller's, and the snapshot at its end,
// which stays the cache's and may be read until the worker's step ends. It belongs on the worker.
func (t *Trace) ReadOut(l *Link) (Rows, Snapshot, bool) {
	c := t.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	b := t.tip
	for b.parent != nil && b.start() >= l.To {
		b = b.parent
	}
	if b.parent == nil || b.gone || b.distrusted() || b.end() < l.To {
		return nil, nil, false
	}
	var snap Snapshot
	if l.Kept && b.tree().needs() {
		if snap = b.snap; snap == nil || b.end() != l.To {
			return nil, nil, false
		}
	}
	if l.From == l.To || b.tree().RowBytes == 0 {
		return nil, snap, true
	}
	for _, x := range c.lives {
		if x.tip.on(b) && x.state.Offset() >= l.To {
			rows, err := x.state.CopyRows(l.From, l.To)
			return rows, snap, err == nil
		}
	}
	return nil, nil, false
}
