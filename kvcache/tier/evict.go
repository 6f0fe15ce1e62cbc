package tier

import (
	"cmp"
	"slices"
	"time"

	"reprise/kvcache"
)

// evict removes blocks until no more than so many bytes are left, and a little more, so that not every Put evicts.
func (d *Disk) evict(limit int64) {
	if d.bytes <= limit {
		return
	}
	target := limit - d.opts.Limit/50
	for d.bytes > target {
		leaves := d.leaves()
		if len(leaves) == 0 {
			return
		}
		for _, f := range leaves {
			if d.bytes <= target {
				return
			}
			d.remove(f.path)
			d.stats.Evicted++
		}
	}
}

// leaves are the blocks that nothing hangs on, the least worth a byte first.
func (d *Disk) leaves() []*file {
	hanging := map[kvcache.Digest]int{}
	rows := map[kvcache.Digest]*file{}
	for _, f := range d.files {
		hanging[f.Parent]++
		if !f.Kept {
			rows[f.Digest] = f
		}
	}
	type leaf struct {
		*file
		worth float64
	}
	var out []leaf
	now := time.Now()
	for _, f := range d.files {
		if f.Kept || hanging[f.Digest] == 0 {
			out = append(out, leaf{f, d.worth(f, rows, now)})
		}
	}
	slices.SortFunc(out, func(x, y leaf) int {
		return cmp.Or(cmp.Compare(x.worth, y.worth), cmp.Compare(x.path, y.path))
	})
	files := make([]*file, len(out))
	for i, l := range out {
		files[i] = l.file
	}
	return files
}

const (
	staticWorth = 1000 // the end of a static prefix goes last
	longWalk    = 64   // blocks that are looked at for the kept offset before
)

// worth is the tokens a byte that a block spares, less the longer it was not used.
func (d *Disk) worth(f *file, rows map[kvcache.Digest]*file, now time.Time) float64 {
	spared := float64(Step)
	if f.Kept {
		spared = float64(f.To - d.before(f, rows))
	}
	if f.Static {
		spared *= staticWorth
	}
	return spared / float64(f.size) / (1e-6 + now.Sub(f.used).Seconds())
}

// before is the last offset of f's chain before its own that can be restored.
func (d *Disk) before(f *file, rows map[kvcache.Digest]*file) int {
	parent := f.Parent
	slot := f.Slot
	for range longWalk {
		best := 0
		for _, x := range d.slots[slot] {
			if x.Kept && x.To < f.To && x.Parent == parent {
				best = max(best, x.To)
			}
		}
		if best > 0 {
			return best
		}
		up := rows[parent]
		if up == nil {
			return 0
		}
		parent, slot = up.Parent, up.Slot
	}
	return max(0, f.To-longWalk*Step)
}
