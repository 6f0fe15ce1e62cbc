package tier

import (
	"slices"

	"reprise/kvcache"
)

// Statics are the chains to the static prefixes of a model that were used last, the last one first.
func (d *Disk) Statics(model string, most int) []Found {
	d.mu.Lock()
	defer d.mu.Unlock()
	rows := map[kvcache.Digest]*file{}
	var ends []*file
	for _, f := range d.files {
		switch {
		case f.Model != model:
		case !f.Kept:
			rows[f.Digest] = f
		case f.Static:
			ends = append(ends, f)
		}
	}
	slices.SortFunc(ends, func(x, y *file) int { return y.used.Compare(x.used) })
	var out []Found
	for _, f := range ends[:min(len(ends), most)] {
		chain := []*Entry{{f.Header, 1}}
		for at := f.Base; at > 0; at = chain[0].Base {
			up := rows[chain[0].Parent]
			if up == nil || up.To != at {
				chain = nil
				break
			}
			chain = append([]*Entry{{up.Header, 1}}, chain...)
		}
		if chain != nil {
			out = append(out, Found{Entries: chain, To: f.To, Matched: f.To})
		}
	}
	return out
}

// IDs are the chain's ids; false where media are among them.
func (f *Found) IDs() ([]int32, bool) {
	var out []int32
	for _, e := range f.Entries {
		for b := e.IDs; len(b) > 0; b = b[4:] {
			if len(b) < 4 || le.Uint32(b) >= 1<<31 {
				return nil, false
			}
			out = append(out, int32(le.Uint32(b)))
		}
	}
	return out, len(out) == f.To
}
