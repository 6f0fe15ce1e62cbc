package mimic

import "reprise/kvcache"

// state is one that remembers nothing but where it stands. It can go back to any token.
type state struct{ at int }

func (s *state) Offset() int                    { return s.at }
func (s *state) Bytes() int64                   { return int64(s.at) }
func (s *state) TrimLimit(to int) (int, string) { return to, "" }
func (s *state) Trim(to int) error              { s.at = to; return nil }
func (s *state) Shrink() error                  { return nil }
func (s *state) Free()                          {}

func (s *state) CopyRows(from, to int) (kvcache.Rows, error) { return rows{from, to}, nil }

// Snapshot is never asked for: no layer needs one.
func (s *state) Snapshot() (kvcache.Snapshot, error) { return nil, nil }

func (s *state) MoveTo(at, _ int, _ []kvcache.Segment, _ kvcache.Snapshot) error {
	s.at = at
	return nil
}

// rows are a stretch of nothing.
type rows struct{ from, to int }

func (r rows) From() int    { return r.from }
func (r rows) To() int      { return r.to }
func (r rows) Bytes() int64 { return int64(r.to - r.from) }
func (r rows) Free()        {}
