package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"reprise/kvcache/ledger/footprint"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/hub"
)

// memory knows what the process may take, what is left of it, and what a turn takes, by what turns were seen to take.
//
// Where the device computes in the host's memory (a Mac, the CPU device) the limit is on the process's footprint. A GPU with
// memory of its own has it on what MLX holds there.
type memory struct {
	limit    int64 // bytes
	separate bool  // the device has memory of its own
	working  int64 // most that MLX should hold: Metal's recommended working set; 0: no such advice
	reserve  int64 // of the host's free memory, left to others
	base     int64 // taken when nothing is cached: behind the load
	grid     int   // tokens of a call of the prefill
	patience time.Duration

	readHost func() (footprint.Host, error)
	readOwn  func() (int64, error) // the process's footprint
	readMLX  func() mlx.Memory

	calls appetite

	mu         sync.Mutex
	row, fixed int64 // of a state, a token and altogether: the model's word until a state was looked at
	firstCall  int64 // allowed to a call while none was seen
	stats      MemoryStats
}

// MemoryStats is the memory's account, and what was done to keep it.
type MemoryStats struct {
	Limit   int64 `json:"limit_bytes"`   // most that the process may take (of a GPU with memory of its own: that MLX may hold there)
	Base    int64 `json:"base_bytes"`    // taken behind the load
	Reserve int64 `json:"reserve_bytes"` // of the host's memory, left to others
	Room    int64 `json:"room_bytes"`    // left now
	Row     int64 `json:"row_bytes"`     // of a state, for each token, as last seen
	Fixed   int64 `json:"fixed_bytes"`   // of a state, however long
	Call    int64 `json:"call_bytes"`    // that a call of the prefill at the context's end takes, by those seen

	Waited       int64 `json:"waited"`                  // turns that waited for memory
	RefusedLater int64 `json:"refused_later"`           // turns refused because others held it
	RefusedNever int64 `json:"refused_never"`           // turns refused because it could never be enough
	Cut          int64 `json:"cut_answers"`             // answers that ended where memory did
	Yielded      int64 `json:"yielded_bytes"`           // that the cache gave up so that a turn could run
	Pressed      int64 `json:"pressure_events"`         // times that the cache's budget was cut because the host ran short
	PressEvicted int64 `json:"pressure_evicted_tokens"` // evicted by that: they are on no row
	Budget       int64 `json:"pressure_budget_bytes"`   // that the cache has meanwhile; 0: its own
}

// What the limits follow when nobody says.
const (
	leastReserve, mostReserve = 256 << 20, 2 << 30
	// ownSlack is what a turn lets the process grow by beside state and calls: the garbage of Go and of the C heap, and the
	// prompt's text.
	ownSlack = 48 << 20
	// memoryPatience is how long a turn waits for memory: shorter than a stream waits with its headers, so that a refusal
	// still has a status, unless the queue took its time before.
	memoryPatience = 4 * time.Second
	// memoryPoll is how often it looks.
	memoryPoll = 100 * time.Millisecond
	// retryAfter is what a refused client is told.
	retryAfter = 10 * time.Second
)

// openMemory works the limits out, behind the load. asked is the limit that the user set, 0 for none.
func (e *Engine) openMemory(ctx context.Context, asked int64) (*memory, error) {
	info := e.model.Info()
	m := &memory{
		grid: e.model.grid, row: info.RowBytes, fixed: info.SnapshotBytes, patience: memoryPatience, firstCall: max(16<<20, info.Bytes/32),
		readHost: footprint.ReadHost, readMLX: mlx.ReadMemory,
		readOwn: func() (int64, error) { s, err := e.watch.Read(); return s.Bytes, err },
	}
	device, _ := e.worker.Info(ctx) // what it does not say limits nothing
	host, err := m.readHost()
	if err != nil {
		return nil, fmt.Errorf("memory limit: %w", err)
	}
	m.working = device.RecommendedWorkingSet
	m.separate = e.worker.Device() == mlx.GPU && m.working == 0
	m.reserve = min(max(leastReserve, host.UsableBytes()/16), mostReserve)
	whole := host.UsableBytes()
	if m.separate && device.MemorySize > 0 {
		whole = device.MemorySize
	}
	if m.limit = whole - m.reserve; asked > 0 {
		m.limit = asked
	}
	if m.base, err = m.taken(); err != nil {
		return nil, err
	}
	if m.base+ownSlack > m.limit {
		return nil, fmt.Errorf("%w: the model alone takes %s, the limit is %s; raise --memory-limit or take a smaller model", errMemory, hub.SizeText(m.base), hub.SizeText(m.limit))
	}
	if most := m.most(); e.opts.CacheMem > most {
		return nil, fmt.Errorf("--cache-mem %s: of the limit of %s the model takes %s, which leaves %s for state; take less, or raise --memory-limit",
			hub.SizeText(e.opts.CacheMem), hub.SizeText(m.limit), hub.SizeText(m.base), hub.SizeText(most))
	}
	return m, nil
}

var errMemory = errors.New("not enough memory")

// bound tells MLX: what it may hold, how much of freed buffers it keeps, and on Metal what stays resident.
func (m *memory) bound(weights int64) {
	most := m.limit
	if m.working > 0 {
		most = min(most, m.working)
		mlx.SetWiredLimit(min(weights, m.working))
	}
	mlx.SetMemoryLimit(most)
	mlx.SetCacheLimit(max(leastCache, min(weights/8, mostCache)))
}

// leastCache and mostCache bound the freed buffers that MLX keeps: about those of a call, which grow with the weights. Without
// a bound they are as many as there were ever states at once.
const leastCache, mostCache = 64 << 20, 1 << 30

// taken is what counts against the limit now. Freed buffers that MLX keeps are part of it: they need not fit the next call.
func (m *memory) taken() (int64, error) {
	if m.separate {
		held := m.readMLX()
		return held.Active + held.Cache, nil
	}
	return m.readOwn()
}

// room is how many bytes a turn may take now, by the limit, by the device and by what the host has left. outside says that it is the host that leaves
// less than the limit would.
func (m *memory) room() (bytes int64, outside bool) { return m.roomBeside(0) }

// roomBeside is room for a turn under way that let the process grow by so much beside state and calls: that is part of its slack.
func (m *memory) roomBeside(grown int64) (bytes int64, outside bool) {
	taken, err := m.taken()
	if err != nil {
		return 0, true
	}
	bytes = m.limit - taken - max(0, ownSlack-grown)
	if m.separate {
		return bytes, false
	}
	if m.working > 0 {
		held := m.readMLX()
		bytes = min(bytes, m.working-held.Active-held.Cache)
	}
	if host, err := m.readHost(); err == nil {
		if left := host.FreeBytes() - m.reserve; left < bytes {
			return left, true
		}
	}
	return bytes, false
}

// beside is what the process takes beside what MLX holds: garbage, and what every server needs.
func (m *memory) beside() int64 {
	taken, err := m.taken()
	if err != nil {
		return 0
	}
	held := m.readMLX()
	return taken - held.Active - held.Cache
}

// most is what a turn could have if it were alone, with nothing cached and nothing else on the host.
func (m *memory) most() int64 {
	bytes := m.limit - m.base - ownSlack
	if m.working > 0 {
		bytes = min(bytes, m.working-m.base) // base is more than MLX held then
	}
	return bytes
}

// sizes are those of a state.
func (m *memory) sizes() (row, fixed int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.row, m.fixed
}

// state is what one of so many tokens takes; buffers grow by steps.
func (m *memory) state(rows int) int64 {
	row, fixed := m.sizes()
	return fixed + row*int64(state.GrowingRows(rows))
}

// rowStep is how far at least buffers grow.
const rowStep = 256

// call is what a forward call of the prefill takes that ends there.
func (m *memory) call(width, end int) int64 {
	bytes, ok := m.calls.of(width, end)
	if !ok {
		return m.firstCall
	}
	return bytes + bytes/8
}

// alone is what a prompt of so many tokens takes at least, with its answer's first ones.
func (m *memory) alone(prompt, expect int) int64 {
	return m.state(prompt+expect) + m.call(min(prompt, m.grid), prompt)
}

// longest is the longest prompt that could ever be served.
func (m *memory) longest(context, expect int) int {
	lo, hi := 0, context
	for most := m.most(); lo < hi; {
		if mid := (lo + hi + 1) / 2; m.alone(mid, expect) <= most {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// saw takes what a state is seen to take.
func (m *memory) saw(row, fixed int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if row > 0 {
		m.row = row
	}
	m.fixed = max(m.fixed, fixed)
}

func (m *memory) count(change func(*MemoryStats)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.stats)
}

// MemoryStats says how the memory stands.
func (e *Engine) MemoryStats() MemoryStats {
	m := e.memory
	room, _ := m.room()
	call := m.call(m.grid, e.model.Context)
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Limit, s.Base, s.Reserve, s.Room, s.Row, s.Fixed, s.Call = m.limit, m.base, m.reserve, max(0, room), m.row, m.fixed, call
	return s
}
