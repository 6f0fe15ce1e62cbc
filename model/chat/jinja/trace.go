package jinja

// Trace notes, while a template runs, where its output turned to which of the marked inputs. It changes nothing of
// the output: what is kept are positions, taken when the template iterates over a marked value or reads from it.
//
// The rules, in the order of their weight:
//
//   - While a loop's item is a marked dict, the output is about that item ("its own").
//   - Reading Key of another marked dict turns to that one, until the item itself is read again, another one is
//     turned to, or the loop goes on. A read inside an output statement counts for that statement's text only, and
//     for nothing when the statement reads Key of several.
//   - Printing or encoding a marked list whole, inside an output statement, is about that list for that statement.
//   - Between loops the output is about nothing.
//
// Only the main output has positions: what a macro or a block assignment makes is counted where it is printed.
type Trace struct {
	Key   string // the key that turns to a dict: a look at another key (a neighbour's role) does not
	Name  string // a global name whose last reading is noted in NameAt
	Turns []Turn // in order of At
	// NameAt is the output's length when Name was last read, -1 when it never was.
	NameAt int

	own     []int // marks of the loops' items under way, innermost last; 0 for an item without one
	current int
	print   bool // an output statement is under way
	foreign int  // what the output statement under way turned to that is not its own; 0: nothing
}

// Turn says that the output from At on is about what carries Mark, 0 for nothing.
type Turn struct{ At, Mark int }

// Marked returns the same dict under a mark, which must not be 0. The two share their entries.
func (d *Dict) Marked(mark int) *Dict {
	return &Dict{keys: d.keys, vals: d.vals, index: d.index, mark: mark}
}

// Marked returns the same list under a mark, which must not be 0. The two share their items.
func (l *List) Marked(mark int) *List { return &List{Items: l.Items, kind: l.kind, mark: mark} }

// several is the mark of a statement that turned to more than one thing.
const several = -1

// start begins a rendering.
func (t *Trace) start() { *t = Trace{Key: t.Key, Name: t.Name, NameAt: -1} }

func (t *Trace) turn(at, mark int) {
	if mark == t.current {
		return
	}
	t.current = mark
	if n := len(t.Turns); n > 0 && t.Turns[n-1].At == at {
		t.Turns[n-1].Mark = mark // nothing was written in between
		return
	}
	t.Turns = append(t.Turns, Turn{at, mark})
}

// item is the mark of the loop's item that the output is in, 0 for none.
func (t *Trace) item() int {
	for i := len(t.own) - 1; i >= 0; i-- {
		if t.own[i] != 0 {
			return t.own[i]
		}
	}
	return 0
}

// at is where the main output stands.
func (r *run) at() int { return r.main.Len() }

// onMain says whether this frame writes to the main output of a traced rendering.
func (f *frame) onMain() bool { return f.trace != nil && f.out == f.main }

// enter begins a loop's iteration over an item; the caller calls leave afterwards.
func (f *frame) enter(item Value) {
	mark := 0
	if d, ok := item.(*Dict); ok {
		mark = d.mark
	}
	f.trace.own = append(f.trace.own, mark)
	if mark != 0 {
		f.trace.turn(f.at(), mark)
	}
}

func (f *frame) leave() {
	t := f.trace
	last := len(t.own) - 1
	mark := t.own[last]
	t.own = t.own[:last]
	if mark != 0 {
		t.turn(f.at(), t.item())
	}
}

// read notes that key of v is read.
func (f *frame) read(v, key Value) {
	t := f.trace
	d, ok := v.(*Dict)
	if !ok || d.mark == 0 {
		return
	}
	if d.mark == t.item() {
		t.turn(f.at(), d.mark)
		return
	}
	if name, ok := key.(string); ok && name == t.Key {
		t.turnAway(f.at(), d.mark)
	}
}

// turnAway turns to something that is not the loop's item.
func (t *Trace) turnAway(at, mark int) {
	switch {
	case !t.print:
	case t.foreign == 0:
		t.foreign = mark
	case t.foreign != mark:
		t.foreign, mark = several, 0
	}
	t.turn(at, mark)
}

// readWhole notes that v is printed or encoded as it is.
func (f *frame) readWhole(v Value) {
	if l, ok := v.(*List); ok && l.mark != 0 && f.trace.print {
		f.trace.turnAway(f.at(), l.mark)
	}
}

// readName notes that a name is read.
func (f *frame) readName(name string) {
	if name == f.trace.Name {
		f.trace.NameAt = f.at()
	}
}

// openOutput begins an output statement; closeOutput ends what it turned to.
func (f *frame) openOutput() {
	f.trace.print, f.trace.foreign = true, 0
}

func (f *frame) closeOutput() {
	t := f.trace
	t.print = false
	if t.foreign != 0 {
		t.turn(f.at(), t.item())
	}
}
