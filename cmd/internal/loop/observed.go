package loop

import (
	"errors"
	"fmt"
	"time"
)

// Observed are turns that somebody else drove, say a real agent: they become the same files as a run of the loop. Its options
// have no profile; the workload and what must not be claimed stand in its place.
type Observed struct {
	Options    Options
	Facts      Facts
	Workload   string
	DoNotClaim string
	Began      time.Time
	Out        string
}

// Write sums the turns up and writes them down, in the order in which they happened.
func (o *Observed) Write(records []Record) (*Summary, error) {
	t := &tally{opts: o.Options, facts: o.Facts, began: o.Began, observed: o}
	f, err := create(o.Out)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.close() }() // of a run that was cut; otherwise it is closed already
	for i := range records {
		r := &records[i]
		if o.Facts.Decode != nil && len(r.Prompt) > 0 {
			n := runes(o.Facts.Decode(r.Prompt)) - r.Characters
			r.Markup = &n
		}
		r.Spans = spansOf(r)
		if err := f.add(r); err != nil {
			return nil, err
		}
		t.add(*r)
	}
	s := t.summary("")
	return s, errors.Join(f.summary(s), f.close())
}

// workload is what ran, and what of it must not be claimed.
func (t *tally) workload() (what, not string) {
	if t.observed != nil {
		return fmt.Sprintf("%s, %d requests, %s", t.observed.Workload, len(t.records), t.opts.Variant()), t.observed.DoNotClaim
	}
	p, err := FindProfile(t.opts.Profile)
	if err != nil {
		panic(err) // the options were checked
	}
	return fmt.Sprintf("%s (%s), %d turns, %s", p.Name, p.Note, t.opts.Turns, t.opts.Variant()), p.DoNotClaim
}
