package tier

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"reprise/kvcache"
)

// Tiers are the tiers that there are; either may be nil.
type Tiers struct {
	Disk   *Disk
	Remote *Remote
}

// Found is what the tiers have of a prompt.
type Found struct {
	Entries []*Entry     // the chain, root first; none: nothing is stored
	To      int          // offset that the chain leads to
	Matched int          // ids that were stored once, whether they can be used or not
	Miss    kvcache.Miss // why there may be more than was found; "": nothing stood in the way
	// Listing is the time that the remote store took to answer.
	Listing time.Duration
}

// Links are the chain's, for kvcache.
func (f *Found) Links() []kvcache.Link {
	out := make([]kvcache.Link, len(f.Entries))
	for i, e := range f.Entries {
		out[i] = e.Link
	}
	return out
}

// worthAsking is how many tokens a remote block must spare to be asked for.
const worthAsking = 32

// Find looks for the longest chain. have is the offset that can be restored without tiers: the remote store is not asked when
// no more than a few tokens are left behind it.
func (t *Tiers) Find(ctx context.Context, q Query, have int) Found {
	slots := Slots(q.Model, q.IDs)
	lists := make([][]*Entry, len(slots))
	if t.Disk != nil {
		lists = t.Disk.list(slots)
	}
	c := q.best(lists)
	f := Found{Entries: c.entries, To: c.to, Matched: c.matched}
	least := q.Worth
	if least == 0 {
		least = worthAsking
	}
	if t.Remote == nil || q.Limit-max(c.to, have) < least {
		return f
	}
	start := time.Now()
	err := t.complete(ctx, &q, slots, lists, max(c.to, have))
	f.Listing = time.Since(start)
	if err != nil {
		f.Miss = reason(err)
		return f
	}
	c = q.best(lists)
	f.Entries, f.To, f.Matched = c.entries, c.to, c.matched
	return f
}

// complete adds the remote blocks to the lists: first those behind what is had, and when there are any, the others.
func (t *Tiers) complete(ctx context.Context, q *Query, slots []Slot, lists [][]*Entry, have int) error {
	from := have / Step
	got, err := t.Remote.list(ctx, slots[from:])
	if err != nil {
		return err
	}
	more := false
	for i, list := range got {
		for _, e := range list {
			more = more || e.To > have && e.To <= q.IDs.Len()
		}
		lists[from+i] = append(lists[from+i], list...)
	}
	if !more || from == 0 {
		return nil
	}
	if got, err = t.Remote.list(ctx, slots[:from]); err != nil {
		return err
	}
	for i, list := range got {
		lists[i] = append(lists[i], list...)
	}
	return nil
}

// reason is the miss reason of an error.
func reason(err error) kvcache.Miss {
	var wrong *BadBlock
	switch {
	case errors.As(err, &wrong):
		return kvcache.MissBadBlock
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errSlow):
		return kvcache.MissTimeout
	}
	return kvcache.MissDown
}

// Read is what a Load took of a tier.
type Read struct {
	Blocks int
	Bytes  int64
	Time   time.Duration
}

// Add adds what another Load took.
func (r *Read) Add(more Read) {
	r.Blocks += more.Blocks
	r.Bytes += more.Bytes
	r.Time += more.Time
}

var errSlow = errors.New("the disk is too slow")

// Load reads the blocks of a chain that are needed: those with rows behind `from`, and the last one. The first that fails ends
// it, with the reason. reads[1] is the disk's, reads[2] the remote store's.
func (t *Tiers) Load(ctx context.Context, f *Found, from int) (blocks []*Block, reads [3]Read, err error) {
	for i, e := range f.Entries {
		if e.To <= from && i < len(f.Entries)-1 || e.Tier != 1 {
			continue
		}
		start := time.Now()
		b, err := t.fromDisk(ctx, e)
		reads[1].Time += time.Since(start)
		if err != nil {
			return nil, reads, err
		}
		reads[1].Blocks, reads[1].Bytes = reads[1].Blocks+1, reads[1].Bytes+e.Bytes()
		blocks = append(blocks, b)
	}
	var remote []*Entry
	for i, e := range f.Entries {
		if e.Tier == 2 && (e.To > from || i == len(f.Entries)-1) {
			remote = append(remote, e)
		}
	}
	if len(remote) == 0 {
		return blocks, reads, nil
	}
	start := time.Now()
	got, err := t.Remote.load(ctx, remote)
	reads[2].Time = time.Since(start)
	if err != nil {
		return nil, reads, err
	}
	for i := range got {
		reads[2].Blocks, reads[2].Bytes = reads[2].Blocks+1, reads[2].Bytes+remote[i].Bytes()
	}
	return merge(f.Entries, blocks, got), reads, nil
}

// merge puts blocks into the chain's order.
func merge(order []*Entry, lists ...[]*Block) []*Block {
	var out []*Block
	for _, e := range order {
		for _, list := range lists {
			for _, b := range list {
				if b.Digest == e.Digest && b.From == e.From && b.Kept == e.Kept {
					out = append(out, b)
				}
			}
		}
	}
	return out
}

// Times that a disk may take for a block: one that takes longer is slower than computing.
const (
	diskPatience = 2 * time.Second
	diskSpeed    = 50e6 // bytes a second
)

// fromDisk reads a block; a disk that does not answer is left behind. The read ends by itself, and its result is dropped.
func (t *Tiers) fromDisk(ctx context.Context, e *Entry) (*Block, error) {
	type result struct {
		b   *Block
		err error
	}
	done := make(chan result, 1)
	go func() {
		b, err := t.Disk.load(e)
		done <- result{b, err}
	}()
	limit := time.NewTimer(diskPatience + time.Duration(float64(e.Bytes())/diskSpeed*float64(time.Second)))
	defer limit.Stop()
	select {
	case r := <-done:
		return r.b, r.err
	case <-limit.C:
		return nil, errSlow
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Reason is the miss reason of an error of Load; none for a block that was evicted between listing and loading.
func Reason(err error) kvcache.Miss {
	if errors.Is(err, errGone) {
		return kvcache.MissEvicted
	}
	return reason(err)
}

// Drop removes a chain's blocks from all tiers.
func (t *Tiers) Drop(ctx context.Context, f *Found) {
	var disk, remote []*Entry
	for _, e := range f.Entries {
		if e.Tier == 1 {
			disk = append(disk, e)
		} else {
			remote = append(remote, e)
		}
	}
	if len(disk) > 0 {
		t.Disk.Drop(disk)
	}
	if len(remote) > 0 {
		t.Remote.drop(ctx, remote)
	}
}

// Forget removes every block of these ids, whatever calls they are of and wherever they go on from their end: what was found
// wrong is in some of them, and in what was computed from it.
func (t *Tiers) Forget(ctx context.Context, model string, ids kvcache.Spelling) {
	slots := Slots(model, ids)
	if t.Disk != nil {
		t.Disk.Drop(along(ids, t.Disk.list(slots)))
	}
	if t.Remote == nil {
		return
	}
	if lists, err := t.Remote.list(ctx, slots); err == nil { // a store that is away is left behind, and says so itself
		t.Remote.drop(ctx, along(ids, lists))
	}
}

// along are the blocks whose ids these are, as far as both go.
func along(ids kvcache.Spelling, lists [][]*Entry) []*Entry {
	var out []*Entry
	for _, e := range slices.Concat(lists...) {
		if bytes.HasPrefix(e.IDs, ids.Slice(e.Base, min(e.To, ids.Len()))) {
			out = append(out, e)
		}
	}
	return out
}
