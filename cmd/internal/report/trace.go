package report

import (
	"errors"
	"fmt"
	"io/fs"

	"reprise/cmd/internal/loop"
	"reprise/cmd/internal/loop/oracle"
)

// Tokens of text that are shown in front of and behind the place where a prompt left what was known.
const (
	ahead  = 16
	behind = 40
)

// readTrace finds each turn's ceiling, and both texts where it left what was known.
func (r *Run) readTrace(path string, decode Decoder) error {
	turns, err := oracle.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		r.Notes = append(r.Notes, "no "+loop.TraceFile+": no ceiling and no texts")
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s is no trace: %w", path, err)
	}
	at := map[string]*Turn{}
	for i := range r.Turns {
		at[r.Turns[i].ID] = &r.Turns[i]
	}
	text, why := func([]int32) string { return "" }, error(nil)
	if len(r.Turns) > 0 && decode != nil {
		if text, why = decode(r.Turns[0].Model); why != nil {
			r.Notes = append(r.Notes, "no texts: "+why.Error())
		}
	}
	var o oracle.Oracle
	for i := range turns {
		t := &turns[i]
		if len(t.Prompt) == 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("turn %d came without ids: no ceiling from there on", t.Turn))
			return nil
		}
		verdict := o.Add(t)
		shown := at[t.Row.TurnID]
		if shown == nil {
			continue
		}
		ceiling := float64(verdict.Ceiling)
		shown.Ceiling = &ceiling
		if decode != nil && why == nil && i > 0 && verdict.Matched < len(t.Prompt) {
			shown.texts(t.Prompt, nearest(turns[:i], t.Prompt), text)
		}
	}
	return nil
}

// nearest is what an earlier turn left behind that has the longest common prefix with the prompt.
func nearest(earlier []oracle.Turn, prompt []int32) []int32 {
	var best []int32
	most := -1
	for i := range earlier {
		held := earlier[i].Held()
		if n := oracle.Common(held, prompt); n >= most {
			best, most = held, n // the later one of equals
		}
	}
	return best
}

func (t *Turn) texts(prompt, known []int32, text func([]int32) string) {
	n := oracle.Common(known, prompt)
	t.Shared = text(prompt[max(0, n-ahead):n])
	t.Before = text(known[n:min(len(known), n+behind)])
	t.After = text(prompt[n:min(len(prompt), n+behind)])
}
