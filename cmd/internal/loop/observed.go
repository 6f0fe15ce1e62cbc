package loop

import (
	"errors"
	"fmt"
	"time"
)

// Observed are turns that somebody else drove, say a real agent: they become the same files as a run of the loop. Its options
// have no profile; the workload and what must not be claimed stand in its place.
type Observed struct {
	Options    Options // without a layout: it is not known
	Facts      Facts
	Workload   string
	DoNotClaim string
	Unknown    string // what these turns cannot tell, and why; "": they came with their ids
	Began      time.Time
	Ended      time.Time // zero: when the last turn is added
	Out        string
}

// Observation is Observed while it is written down.
type Observation struct {
	of *Observed
	w  *writing
}

// Begin makes the files, which say from now on that they are incomplete.
func (o *Observed) Begin() (*Observation, error) {
	t := &tally{opts: o.Options, facts: o.Facts, began: o.Began, ended: o.Ended, observed: o}
	w, err := t.write(o.Out)
	if err != nil {
		return nil, err
	}
	return &Observation{o, w}, nil
}

// Add writes the next turn, and completes its record.
func (o *Observation) Add(r *Record) error {
	if decode := o.of.Facts.Decode; decode != nil && len(r.Prompt) > 0 {
		n := runes(decode(r.Prompt)) - r.Characters
		r.Markup = &n
	}
	r.Spans = spansOf(r)
	return o.w.add(r)
}

// Problem notes something that does not hold and that the rows do not show.
func (o *Observation) Problem(format string, args ...any) {
	o.w.t.found = append(o.w.t.found, fmt.Sprintf(format, args...))
}

// Same says how the answers compare with those that were seen before, where they do.
func (o *Observation) Same(s *Sameness) {
	o.w.t.same = s
	for _, wrong := range s.Wrong {
		o.Problem("not the answer of %s: %s", s.With, wrong)
	}
}

// Close sums the turns up. why says that they are not all, "" that they are; the error is then the files'.
func (o *Observation) Close(why string) (*Summary, error) { return o.w.close(why) }

// Write sums turns up that are all there and writes them down, in the order in which they happened. found is what does not hold and
// the rows do not show.
func (o *Observed) Write(records []Record, found ...string) (*Summary, error) {
	w, err := o.Begin()
	if err != nil {
		return nil, err
	}
	w.w.t.found = found
	for i := range records {
		if err := w.Add(&records[i]); err != nil {
			_, _ = w.Close(err.Error()) // the first error tells
			return nil, err
		}
	}
	return w.Close("")
}

// workload is what ran, and what of it must not be claimed.
func (t *tally) workload() (what string, not []string) {
	if o := t.observed; o != nil {
		what = fmt.Sprintf("%s, %d requests", o.Workload, len(t.records))
		if t.opts.Layout != "" {
			what += ", " + t.opts.Variant()
		}
		if not = []string{o.DoNotClaim}; o.Unknown != "" {
			not = append(not, o.Unknown)
		}
		return what, not
	}
	p, err := FindProfile(t.opts.Profile)
	if err != nil {
		panic(err) // the options were checked
	}
	return fmt.Sprintf("%s (%s), %d turns, %s", p.Name, p.Note, t.opts.Turns, t.opts.Variant()), []string{p.DoNotClaim}
}

// writing is a run that is written down while it happens: at any moment its files are whole, and say that they are incomplete.
type writing struct {
	t *tally
	f *files
}

// write begins the files of a run.
func (t *tally) write(dir string) (*writing, error) {
	f, err := create(dir)
	if err != nil {
		return nil, err
	}
	// Until the last turn is in it, the summary says what a reader should know if nothing follows.
	if err := f.summary(t.summary("the run was cut off before its first turn ended")); err != nil {
		return nil, errors.Join(fmt.Errorf("--out %s cannot be written: %w", dir, err), f.close())
	}
	return &writing{t, f}, nil
}

// add writes a turn.
func (w *writing) add(r *Record) error {
	if err := w.f.add(r); err != nil {
		return err
	}
	w.t.add(*r)
	return w.f.summary(w.t.summary(fmt.Sprintf("the run was cut off behind turn %d of %d", r.Turn, w.t.opts.Turns)))
}

// close writes the summary; why says that the run is incomplete.
func (w *writing) close(why string) (*Summary, error) {
	s := w.t.summary(why)
	return s, errors.Join(w.f.summary(s), w.f.close())
}
