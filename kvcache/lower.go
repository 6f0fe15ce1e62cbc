package kvcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Spelling is ids and media as bytes that mean the same in every process.
type Spelling struct {
	data []byte
	ends []int // of each id's bytes; nil: four bytes each
}

// Spell spells a sequence.
func (c *Cache) Spell(s Sequence) (Spelling, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.alphabet.atoms(s)
	if err != nil {
		return Spelling{}, err
	}
	return c.alphabet.spelling(x), nil
}

func (a *alphabet) spelling(x []atom) Spelling {
	out := Spelling{data: a.spell(make([]byte, 0, 4*len(x)), x)}
	if len(out.data) == 4*len(x) {
		return out
	}
	at := 0
	for i := range x {
		at += len(a.spell(nil, x[i:i+1]))
		out.ends = append(out.ends, at)
	}
	return out
}

// Len is the number of ids.
func (s Spelling) Len() int {
	if s.ends == nil {
		return len(s.data) / 4
	}
	return len(s.ends)
}

// Slice is ids [from, to).
func (s Spelling) Slice(from, to int) []byte { return s.data[s.offset(from):s.offset(to)] }

func (s Spelling) offset(at int) int {
	switch {
	case s.ends == nil:
		return 4 * at
	case at == 0:
		return 0
	}
	return s.ends[at-1]
}

var errSpelling = errors.New("kvcache: these bytes spell no ids")

// unspell is the inverse of spell. The bytes may be anything.
func (a *alphabet) unspell(b []byte) ([]atom, error) {
	var out []atom
	le := binary.LittleEndian
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, errSpelling
		}
		id := le.Uint32(b)
		if b = b[4:]; id < 1<<31 {
			out = append(out, atom(id))
			continue
		}
		if len(b) < 16 {
			return nil, errSpelling
		}
		width, n := le.Uint64(b), le.Uint64(b[8:])
		if b = b[16:]; n > uint64(len(b)) || width > 1<<31 {
			return nil, errSpelling
		}
		out = append(out, a.number(mediaAtom{int32(id &^ (1 << 31)), string(b[:n]), int(width)}))
		b = b[n:]
	}
	return out, nil
}

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
}

// Trace names the state as it is committed. It is asked before Close.
func (p *Plan) Trace() *Trace {
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	return &Trace{Model: p.tree.Fingerprint, cache: p.cache, tip: p.tip(), static: p.req.Prompt.Static, prompt: p.Requested}
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

// digestOf chains the calls, oldest first, each over the ids that it fed. seen remembers what was chained already.
func (c *Cache) digestOf(fingerprint string, calls *provenance, path []atom, seen map[*provenance]Digest) Digest {
	var list []*provenance
	d := Digest(sha256.Sum256([]byte(fingerprint)))
	for p := calls; p != nil; p = p.prev {
		if known, ok := seen[p]; ok {
			d = known
			break
		}
		list = append(list, p)
	}
	for _, p := range slices.Backward(list) {
		buf := append([]byte(nil), d[:]...)
		for _, n := range []int{p.start, p.width, p.count, p.batch, len(p.beyond)} {
			buf = binary.LittleEndian.AppendUint64(buf, uint64(n))
		}
		buf = c.alphabet.spell(buf, path[p.start:p.end()])
		buf = c.alphabet.spell(buf, p.beyond)
		d = sha256.Sum256(buf)
		seen[p] = d
	}
	return d
}

// RootDigest is the digest of a state that has seen nothing.
func RootDigest(fingerprint string) Digest { return sha256.Sum256([]byte(fingerprint)) }

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

// ErrNoRoom says that the budget has no room for what was loaded.
var ErrNoRoom = errors.New("kvcache: no room for what was loaded")

// Missing says from which offset on the rows of a stored chain are needed: those before are held here, of the same calls.
func (c *Cache) Missing(fingerprint string, s Sequence, links []Link) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, x, calls, err := c.chain(fingerprint, s, links)
	if err != nil {
		return 0, err
	}
	b := t.base
	for {
		i := slices.IndexFunc(b.children, func(o *block) bool {
			return o.end() <= len(x) && slices.Equal(o.node.edge, x[o.start():o.end()]) && o.readable() &&
				o.calls.same(calls.cut(o.end(), x[o.end():]), b.end()) && o.calls.alone(b.end())
		})
		if i < 0 {
			return b.end(), nil
		}
		b = b.children[i]
	}
}

// chain puts a stored chain's calls together and compares them with its last digest, so that a chain whose parts do not
// belong together is not one. x are the ids of it all.
func (c *Cache) chain(fingerprint string, s Sequence, links []Link) (t *tree, x []atom, calls *provenance, err error) {
	if t = c.tree(fingerprint); t == nil || len(links) == 0 {
		return nil, nil, nil, fmt.Errorf("kvcache: %d links of model %q", len(links), fingerprint)
	}
	if x, err = c.alphabet.atoms(s); err != nil {
		return nil, nil, nil, err
	}
	last := &links[len(links)-1]
	if last.To > len(x) {
		return nil, nil, nil, fmt.Errorf("kvcache: a chain to %d for %d ids", last.To, len(x))
	}
	x = x[:last.To]
	for i := range links {
		l := &links[i]
		if l.Base < 0 || l.Base > l.To || !bytes.Equal(l.IDs, c.alphabet.spell(nil, x[l.Base:l.To])) {
			return nil, nil, nil, fmt.Errorf("kvcache: link [%d, %d) is of other ids", l.From, l.To)
		}
		if calls, err = c.alphabet.join(calls, l.Runs); err != nil {
			return nil, nil, nil, err
		}
		if calls.end() != l.To {
			return nil, nil, nil, fmt.Errorf("kvcache: link [%d, %d): its calls explain %d", l.From, l.To, calls.end())
		}
	}
	if c.digestOf(fingerprint, calls, x, map[*provenance]Digest{}) != last.Digest {
		return nil, nil, nil, fmt.Errorf("kvcache: the links to %d do not give the digest that the last one names", last.To)
	}
	return t, x, calls, nil
}

// join puts a link's runs behind those of the link before, whose last may be the cut beginning of its first.
func (a *alphabet) join(calls *provenance, runs []Run) (*provenance, error) {
	if len(runs) > 0 {
		for calls != nil && calls.start >= runs[0].Start {
			calls = calls.prev
		}
	}
	for _, r := range runs {
		beyond, err := a.unspell(r.Beyond)
		switch {
		case err != nil:
			return nil, err
		case r.Start != calls.end() || r.Width < 1 || r.Count < 1 || r.Batch < 1 || len(beyond) >= r.Width || len(beyond) > 0 && r.Count > 1 ||
			r.Width > 1<<31 || r.Count > 1<<31/r.Width:
			return nil, fmt.Errorf("kvcache: a run of %d calls of %d at %d, %d beyond, behind %d", r.Count, r.Width, r.Start, len(beyond), calls.end())
		}
		calls = &provenance{prev: calls, start: r.Start, width: r.Width, count: r.Count, batch: r.Batch, purpose: r.Purpose, beyond: beyond}
	}
	return calls, nil
}

// Loaded is what a lower tier had of a prefix.
type Loaded struct {
	Links    []Link   // from the root
	Rows     []Rows   // in order, from what Missing said to the last link's end
	Snapshot Snapshot // there; nil where no layer needs one
	Side     bool     // for a side request, which evicts nothing of a main line
}

func (l *Loaded) bytes() int64 {
	var n int64
	for _, r := range l.Rows {
		n += r.Bytes()
	}
	if l.Snapshot != nil {
		n += l.Snapshot.Bytes()
	}
	return n
}

// Adopt takes a stored chain in, so that the next lookup finds it, and with it the loaded rows and snapshot, whatever it
// returns. It belongs on the worker.
func (c *Cache) Adopt(fingerprint string, s Sequence, l Loaded) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := map[Rows]bool{}
	snap := l.Snapshot
	defer func() {
		for _, r := range l.Rows {
			if !used[r] {
				r.Free()
			}
		}
		if snap != nil {
			snap.Free()
		}
	}()
	t, x, calls, err := c.chain(fingerprint, s, l.Links)
	if err != nil {
		return err
	}
	if t.needs() && (snap == nil || snap.Offset() != len(x)) {
		return fmt.Errorf("kvcache: a chain to %d without its snapshot", len(x))
	}
	c.sweep()
	if c.shrink(l.bytes(), l.Side); !c.affords(l.bytes(), l.Side) {
		return ErrNoRoom
	}
	b, err := c.graft(t, x, calls, &l, used)
	if err == nil && snap != nil {
		c.keepSnap(b, snap, freeNow)
		snap = nil
	}
	c.settle(b, freeNow, false)
	t.sequence++
	t.forget(c.opts.Ghosts)
	return err
}

// graft makes the chain's blocks, with pieces where no rows are held, and returns the last one that has rows.
func (c *Cache) graft(t *tree, x []atom, calls *provenance, l *Loaded, used map[Rows]bool) (*block, error) {
	pieces := make([]*piece, len(l.Rows))
	cuts := []int{len(x)}
	for _, r := range l.Rows {
		cuts = append(cuts, r.From(), r.To())
	}
	slices.Sort(cuts)
	b := t.base
	for b.end() < len(x) {
		i, _ := slices.BinarySearch(cuts, b.end()+1)
		to := min(len(x), cuts[i])
		n := t.next(b.node, x[b.end():to])
		next := t.place(b, n, calls.cut(n.end, x[n.end:]))
		n.used, n.side = c.clock, n.side && l.Side
		if !next.readable() {
			i := slices.IndexFunc(l.Rows, func(r Rows) bool { return r.From() <= n.start && n.end <= r.To() })
			if i < 0 || next.bad {
				if !next.hasRows() {
					c.drop(next, freeNow, false)
				}
				return b, fmt.Errorf("kvcache: rows [%d, %d) of the chain are nowhere", n.start, n.end)
			}
			if used[l.Rows[i]] = true; pieces[i] == nil {
				pieces[i] = &piece{rows: l.Rows[i], bytes: l.Rows[i].Bytes(), lent: true}
				c.bytes.pieces += pieces[i].bytes
			}
			next.piece = pieces[i]
			pieces[i].blocks = append(pieces[i].blocks, next)
		}
		b = next
	}
	return b, nil
}

// unlend drops the rows of loaded pieces that a live state holds now, too: the lower tier has them.
func (c *Cache) unlend(b *block) {
	b.up(b.tree().base, func(b *block) {
		if b.piece != nil && b.piece.lent && b.held == 0 && b.cover > b.leaving {
			c.dropPiece(b, freeNow)
		}
	})
}

// Know notes that a prefix was computed before, though its state is not here: it counts as matched.
func (c *Cache) Know(fingerprint string, s Sequence) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.alphabet.atoms(s)
	t := c.tree(fingerprint)
	if err != nil || t == nil {
		return err
	}
	for n := t.root; n.end < len(x); {
		n = t.next(n, x[n.end:])
	}
	t.forget(c.opts.Ghosts)
	return nil
}
