package prompt

import (
	"container/list"
	"iter"
	"sync"
)

// Record remembers what was generated, by the conversation that it was generated in: the store of invariant 6. It
// belongs to one model and is not part of any KV tier: nothing that is evicted, cleared or switched off there changes
// what it gives, so the ids of a conversation do not depend on what the tiers hold.
//
// It holds at most so many bytes; the answer that no prompt had for the longest time goes first. Every prompt touches
// all the answers in it, so those of a living conversation stay together. It is safe for concurrent use.
type Record struct {
	limit   int64
	changed func(Entry)

	mu      sync.Mutex
	entries map[Key]*list.Element // of *Entry
	order   list.List             // front: used last
	bytes   int64

	// Set by Share.
	put    func(Entry)
	get    func(Key) (Entry, bool)
	absent map[Key]struct{}
}

// Entry is one generated message.
type Entry struct {
	Key Key // of the conversation with the message in its canonical form as the last one
	// Loose: the conversation's last message is left out of the key. OpenClaw ends each request with a message that is
	// gone from its place in the next one, so its answers come back behind the message before.
	Loose bool
	// Echoed: a prompt had it. It is then not replaced any more, or a conversation that goes on would change under its
	// own cache when somebody asks the same thing again and gets the same words by other tokens.
	Echoed bool
	Head   []int32 // the opening of the answer, as the prompt had it
	IDs    []int32 // what was generated, less the token that ended it
}

// DefaultRecordBytes holds some ten thousand answers of a few hundred tokens.
const DefaultRecordBytes = 64 << 20

// NewRecord returns an empty record of at most limit bytes. changed, when given, is called with every entry that is
// new or has changed: a store on disk would write it there. It must not call back.
func NewRecord(limit int64, changed func(Entry)) *Record {
	return &Record{limit: limit, changed: changed, entries: map[Key]*list.Element{}}
}

const entryOverhead = 300 // a key, a map's and a list's element

func (e *Entry) bytes() int64 { return 4*int64(len(e.Head)+len(e.IDs)) + entryOverhead }

// Add takes an entry over, unless a better one has its key: one that was echoed, or one of the very conversation
// where this is a loose one.
func (r *Record) Add(e Entry) {
	if r.add(e) && r.put != nil {
		r.put(e)
	}
}

// add says whether it took the entry.
func (r *Record) add(e Entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x, ok := r.entries[e.Key]; ok {
		old := x.Value.(*Entry)
		if old.Echoed || e.Loose && !old.Loose {
			return false
		}
		r.remove(x)
	}
	r.entries[e.Key] = r.order.PushFront(&e)
	r.bytes += e.bytes()
	for r.bytes > r.limit && r.order.Len() > 0 {
		r.remove(r.order.Back())
	}
	if r.changed != nil {
		r.changed(e)
	}
	return true
}

func (r *Record) remove(x *list.Element) {
	e := r.order.Remove(x).(*Entry)
	delete(r.entries, e.Key)
	r.bytes -= e.bytes()
}

// Echo returns the entry of a key that a prompt has. Its slices must not be written to.
func (r *Record) Echo(k Key) (Entry, bool) {
	r.fetch(k)
	r.mu.Lock()
	defer r.mu.Unlock()
	x, ok := r.entries[k]
	if !ok {
		return Entry{}, false
	}
	r.order.MoveToFront(x)
	e := x.Value.(*Entry)
	if !e.Echoed {
		e.Echoed = true
		if r.changed != nil {
			r.changed(*e)
		}
	}
	return *e, true
}

// All yields the entries, the one used last first. Adding them to an empty record in reverse order restores it.
func (r *Record) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		r.mu.Lock()
		var all []Entry
		for x := r.order.Front(); x != nil; x = x.Next() {
			all = append(all, *x.Value.(*Entry))
		}
		r.mu.Unlock()
		for _, e := range all {
			if !yield(e) {
				return
			}
		}
	}
}

// Bytes is what the record holds, in bytes.
func (r *Record) Bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes
}
