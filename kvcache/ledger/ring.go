package ledger

import (
	"sync"
	"time"
)

// Ring holds the last rows in memory, for GET /v1/cache/ledger. It is safe for concurrent use.
type Ring struct {
	mu   sync.Mutex
	rows []Row // a circle once it is full
	next int   // where the next row goes
	size int
}

// NewRing makes a ring of the last size rows (at least one).
func NewRing(size int) *Ring { return &Ring{size: max(1, size)} }

// Add keeps a sealed row and forgets the oldest one when the ring is full.
func (g *Ring) Add(r Row) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.rows) < g.size {
		g.rows = append(g.rows, r)
		return
	}
	g.rows[g.next] = r
	g.next = (g.next + 1) % g.size
}

// Rows returns the rows held, oldest first.
func (g *Ring) Rows() []Row {
	g.mu.Lock()
	defer g.mu.Unlock()
	rows := make([]Row, 0, len(g.rows))
	rows = append(rows, g.rows[g.next:]...)
	return append(rows, g.rows[:g.next]...)
}

// Since returns the rows recorded after a mark: a turn id, or a time in RFC 3339 that the turn began after. The
// mark is found when no row that followed it has been forgotten; otherwise all rows are returned.
func (g *Ring) Since(mark string) (rows []Row, found bool) {
	rows = g.Rows()
	for i := range rows {
		if rows[i].TurnID == mark {
			return rows[i+1:], true
		}
	}
	at, err := time.Parse(time.RFC3339, mark)
	if err != nil {
		return rows, false
	}
	var after []Row
	for i := range rows {
		if rows[i].Time.After(at) {
			after = append(after, rows[i])
		}
	}
	full := len(rows) == g.size
	return after, !full || len(after) < len(rows)
}

// Session returns the rows held of one session, oldest first.
func (g *Ring) Session(id string) []Row { return OfSession(g.Rows(), id) }

// OfSession picks the rows of one session.
func OfSession(rows []Row, id string) []Row {
	var own []Row
	for i := range rows {
		if rows[i].SessionID == id {
			own = append(own, rows[i])
		}
	}
	return own
}
