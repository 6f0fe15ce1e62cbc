package tier

import (
	"cmp"
	"container/heap"
	"time"
)

// evict removes blocks until no more than so many bytes are left, and a little more, so that not every Put evicts. A folder that
// lets nothing be removed is an error, and what is there stays known.
func (d *Disk) evict(limit int64) error {
	if d.bytes <= limit {
		return nil
	}
	target := limit - d.opts.Limit/50
	for l := d.leaves(); d.bytes > target && l.Len() > 0; {
		f := l.next()
		if err := d.delete(f.path); err != nil {
			return err
		}
		d.stats.Evicted++
		l.without(f)
	}
	return nil
}

// leaves are the blocks that nothing hangs on, as a heap: the least worth a byte first.
type leaves struct {
	disk    *Disk
	now     time.Time
	hanging map[place]int
	rows    map[place]*file
	heap    []leaf
}

type leaf struct {
	*file
	worth float64
}

func (d *Disk) leaves() *leaves {
	l := &leaves{disk: d, now: time.Now(), hanging: map[place]int{}, rows: map[place]*file{}}
	for _, f := range d.files {
		l.hanging[f.behind()]++
		if !f.Kept {
			l.rows[f.end()] = f
		}
	}
	for _, f := range d.files {
		if f.Kept || l.hanging[f.end()] == 0 {
			l.heap = append(l.heap, leaf{f, l.worth(f)})
		}
	}
	heap.Init(l)
	return l
}

// next takes the block out that is worth least.
func (l *leaves) next() *file { return heap.Pop(l).(leaf).file }

// without takes note that a leaf is gone: what it hung on may be one now, and worth less than the other leaves.
func (l *leaves) without(f *file) {
	l.hanging[f.behind()]--
	if up := l.rows[f.behind()]; up != nil && l.hanging[f.behind()] == 0 {
		heap.Push(l, leaf{up, l.worth(up)})
	}
}

func (l *leaves) Len() int      { return len(l.heap) }
func (l *leaves) Swap(i, k int) { l.heap[i], l.heap[k] = l.heap[k], l.heap[i] }
func (l *leaves) Push(x any)    { l.heap = append(l.heap, x.(leaf)) }

func (l *leaves) Pop() any {
	last := l.heap[len(l.heap)-1]
	l.heap = l.heap[:len(l.heap)-1]
	return last
}

func (l *leaves) Less(i, k int) bool {
	x, y := l.heap[i], l.heap[k]
	return cmp.Or(cmp.Compare(x.worth, y.worth), cmp.Compare(x.path, y.path)) < 0
}

const (
	staticWorth = 1000 // the end of a static prefix goes last
	longWalk    = 64   // blocks that are looked at for the kept offset before
)

// worth is the tokens a byte that a block spares, less the longer it was not used.
func (l *leaves) worth(f *file) float64 {
	spared := float64(Step)
	if f.Kept {
		spared = float64(f.To - l.before(f))
	}
	if f.Static {
		spared *= staticWorth
	}
	age := max(0, l.now.Sub(f.used)) // a clock that was set back leaves files of the future
	return spared / float64(f.size) / (1e-6 + age.Seconds())
}

// before is the last offset of f's chain before its own that can be restored.
func (l *leaves) before(f *file) int {
	parent := f.Parent
	slot := f.Slot
	for range longWalk {
		best := 0
		for _, x := range l.disk.slots[slot] {
			if x.Kept && x.To < f.To && x.Parent == parent {
				best = max(best, x.To)
			}
		}
		if best > 0 {
			return best
		}
		up := l.rows[place{f.Model, parent}]
		if up == nil {
			return 0
		}
		parent, slot = up.Parent, up.Slot
	}
	return max(0, f.To-longWalk*Step)
}
