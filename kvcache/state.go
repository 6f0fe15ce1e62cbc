package kvcache

// State is what a model's layers remember, at one offset; kvcache/state satisfies it. It is mutable, has one owner, and is
// touched on the worker only. Offset, Bytes and TrimLimit may also be asked elsewhere while nothing runs on it.
type State interface {
	Offset() int
	Bytes() int64 // allocated
	// TrimLimit is `to` when the state can go back to it by itself, else 0 and the kind of layer that cannot.
	TrimLimit(to int) (limit int, by string)
	Trim(to int) error
	// CopyRows copies rows [from, to) of the growing layers out. The copies are there when it returns, and the state is
	// what it was.
	CopyRows(from, to int) (Rows, error)
	// Snapshot copies out what the sliding and recurrent layers hold now.
	Snapshot() (Snapshot, error)
	// MoveTo brings the state to offset at: the growing layers keep their rows [0, keep), the segments' rows follow up to
	// at, and sliding and recurrent layers are set from snap. It takes copies: segments and snap stay the caller's. snap
	// is nil where no layer needs one.
	MoveTo(at, keep int, segments []Segment, snap Snapshot) error
	// Shrink gives back what is allocated beyond the rows that are held.
	Shrink() error
	Free()
}

// Snapshot is what sliding and recurrent layers hold at one offset, immutable.
type Snapshot = interface {
	Offset() int
	Bytes() int64
	Free()
}

// Rows are rows [From, To) of the growing layers, immutable.
type Rows = interface {
	From() int
	To() int
	Bytes() int64
	Free()
}

// Segment is rows [From, To) of Rows, at absolute offsets. Like Snapshot and Rows it has no name of its own, so that
// kvcache/state, which must not import this package, can speak of the same types.
type Segment = struct {
	Rows     Rows
	From, To int
}

// freer is what must be freed on the worker.
type freer interface{ Free() }
