package engine

import (
	"math/bits"
	"sync"
)

// appetite is what forward calls were seen to take beside the state that they leave: MLX's peak during the call, less what
// was held before and what the state grew by. Of calls that end near the same offset (within a power of two) the widest
// counts, of equally wide ones the dearest.
type appetite struct {
	mu   sync.Mutex
	seen [bits.UintSize + 1]seenCall
}

// seenCall is one call.
type seenCall struct {
	width, end int
	bytes      int64
}

// each is the bytes of a call of that width, by this one.
func (x seenCall) each(width int) int64 { return x.bytes * int64(width) / int64(x.width) }

// leastWidth is the width from which a call says something about wider ones.
const leastWidth = 32

// note takes a call that was waited for.
func (a *appetite) note(width, end int, taken int64) {
	if width < leastWidth {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if x := &a.seen[bits.Len(uint(end))]; width > x.width || width == x.width && taken > x.bytes {
		*x = seenCall{width, end, max(0, taken)}
	}
}

// spread is how far apart two calls must end, as a factor, before what lies beyond both is drawn from them.
const spread = 4

// of is what a call of that width that ends there will take: as much as any did that ended there or before. Beyond what was
// seen it follows the line through the nearest and the furthest, if these lie apart; a turn asks again before every call, so
// what this does not know yet it learns in time. ok is false while nothing was seen.
func (a *appetite) of(width, end int) (bytes int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var near, far seenCall
	for _, x := range a.seen {
		if x.width == 0 {
			continue
		}
		if near.width == 0 {
			near = x
		}
		if end > far.end { // the first at or behind end still counts
			bytes = max(bytes, x.each(width))
		}
		far = x
	}
	if far.width == 0 {
		return 0, false
	}
	if rise := far.each(width) - near.each(width); end > far.end && far.end >= spread*near.end && rise > 0 {
		bytes = max(bytes, far.each(width)+int64(float64(rise)/float64(far.end-near.end)*float64(end-far.end)))
	}
	return bytes, true
}
