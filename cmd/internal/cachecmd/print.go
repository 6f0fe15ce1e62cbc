package cachecmd

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"reprise/cmd/internal/console"
	"reprise/kvcache/ledger"
	"reprise/server/api"
	"reprise/server/engine"
)

// WriteStats prints the totals for people.
func WriteStats(out io.Writer, s *api.Stats) error {
	t, c, a := s.Turns, s.Cache, s.Audits
	w := tabwriter.NewWriter(out, 9, 0, 2, ' ', 0)
	fmt.Fprintf(w, "turns\t%s, %d waiting; %s warm-ups, %s audits\n", num(t.Turns), s.Waiting, num(s.Purposes[ledger.PurposeWarmup]), num(s.Purposes[ledger.PurposeAudit]))
	fmt.Fprintf(w, "prompts\t%s tokens: %s reused, %s recomputed, %s new (%s of them displaced)\n", num(t.Prompt), num(t.Hit), num(t.Recompute), num(t.New), num(t.Displaced))
	fmt.Fprintf(w, "prefill\t%s tokens, %s of them paid again; %s left unprefilled\n", num(t.Prefill), num(t.PaidAgain), num(t.Unprefilled))
	fmt.Fprintf(w, "answers\t%s tokens; %s came back and were spliced in\n", num(t.Generated), num(t.Spliced))
	for _, reason := range slices.Sorted(maps.Keys(t.Misses)) {
		if m := t.Misses[reason]; reason != ledger.MissNone {
			fmt.Fprintf(w, "miss\t%s: %s turns, %s tokens\n", reason, num(m.Turns), num(m.Tokens))
		}
	}
	writeCache(w, &c)
	writeMemory(w, &s.Memory)
	writeTiers(w, &s.Tiers)
	fmt.Fprintf(w, "evicted\t%s tokens, %s snapshots\n", num(c.Evicted), num(c.SnapshotsEvicted))
	fmt.Fprintf(w, "audits\t%s match, %s within, %s mismatch, %s skipped, %s failed\n", num(a.Matches), num(a.Within), num(a.Mismatches), num(a.Skipped), num(a.Failed))
	if s.IdentityErrors+s.WriteErrors > 0 {
		fmt.Fprintf(w, "PROBLEM\t%s rows break an identity, %s could not be written\n", num(s.IdentityErrors), num(s.WriteErrors))
	}
	return w.Flush()
}

func writeCache(w io.Writer, c *api.Cache) {
	fmt.Fprintf(w, "cache\t%s of %s: %s in %d states (%d in use), %s in %d pieces, %s in %d snapshots\n", console.Bytes(c.Bytes), console.Bytes(c.Budget),
		console.Bytes(c.StateBytes), c.States, c.Busy, console.Bytes(c.PieceBytes), c.Pieces, console.Bytes(c.SnapBytes), c.Snapshots)
	fmt.Fprintf(w, "tree\t%s tokens in %s nodes, %s of them ghosts; %s sessions\n", console.Count(c.Tokens), console.Count(c.Nodes), console.Count(c.Ghosts), console.Count(c.Sessions))
}

// writeMemory prints what the process may take, and what was done to keep it.
func writeMemory(w io.Writer, m *engine.MemoryStats) {
	fmt.Fprintf(w, "memory\t%s left of %s, %s of them the model's; a token takes %s bytes, any state %s, a step at the context's end %s\n", console.Bytes(m.Room),
		console.Bytes(m.Limit), console.Bytes(m.Base), num(m.Row), console.Bytes(m.Fixed), console.Bytes(m.Call))
	if m.Waited+m.RefusedLater+m.RefusedNever+m.Cut+m.Yielded > 0 {
		fmt.Fprintf(w, "\t%s turns waited for it, %s were refused for now, %s for good, %s answers were cut; the cache gave up %s\n", num(m.Waited), num(m.RefusedLater),
			num(m.RefusedNever), num(m.Cut), console.Bytes(m.Yielded))
	}
	if m.Pressed > 0 {
		fmt.Fprintf(w, "\tthe host ran short of it %s times: %s tokens evicted", num(m.Pressed), num(m.PressEvicted))
		if m.Budget > 0 {
			fmt.Fprintf(w, "; the cache has %s meanwhile", console.Bytes(m.Budget))
		}
		fmt.Fprintln(w)
	}
}

// writeTiers prints a line a tier, none where there is none.
func writeTiers(w io.Writer, t *engine.TierStats) {
	if d := t.L1; d != nil {
		fmt.Fprintf(w, "disk\t%s of %s in %s blocks, in %s%s\n", console.Bytes(d.Bytes), console.Bytes(d.Limit), console.Count(d.Blocks), d.Dir, off(d.Off))
		fmt.Fprintf(w, "\tread %s blocks, %s%s; wrote %s, %s%s; evicted %s; %s bad\n", num(d.Loads), console.Bytes(d.ReadBytes), speed(d.ReadBytes, d.LoadMs),
			num(d.Stores), console.Bytes(d.WriteBytes), speed(d.WriteBytes, d.StoreMs), num(d.Evicted), num(d.Bad))
		fmt.Fprintf(w, "\twritten today: %s of %s; %s blocks were over it\n", console.Bytes(d.WrittenToday), console.Bytes(d.Daily), num(d.Skipped))
	}
	if r := t.L2; r != nil {
		held := ""
		if r.StoreBytes > 0 {
			held = "; the whole store holds " + console.Bytes(r.StoreBytes)
		}
		fmt.Fprintf(w, "shared\t%s%s: read %s blocks, %s%s; wrote %s, %s%s (compressed to %.0f %%); %s dropped, %s failures, %s bad%s\n", r.Addr, off(r.Off),
			num(r.Loads), console.Bytes(r.ReadBytes), speed(r.ReadBytes, r.LoadMs), num(r.Stores), console.Bytes(r.WriteBytes), speed(r.WriteBytes, r.StoreMs),
			100*r.Compressed, num(r.Dropped), num(r.Failures), num(r.Bad), held)
	}
	if t.L1 != nil || t.L2 != nil {
		fmt.Fprintf(w, "writer\t%s turns wait; %s blocks read out of the device in %.0f ms, %s given up before\n", console.Count(t.Writer.Waiting), num(t.Writer.ReadOuts),
			t.Writer.ReadOutMs, num(t.Writer.Lost))
	}
}

func off(is bool) string {
	if is {
		return " (OFF: it failed lately)"
	}
	return ""
}

// speed is bytes a second, nothing where nothing was moved.
func speed(bytes int64, ms float64) string {
	if bytes == 0 || ms <= 0 {
		return ""
	}
	return fmt.Sprintf(" at %s/s", console.Bytes(int64(float64(bytes)/ms*1e3)))
}

func num(n int64) string { return console.Count(int(n)) }

// WriteSessions prints a line a session, and what the cache holds of all of them.
func WriteSessions(out io.Writer, list []Session, c *api.Cache) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(list) > 0 {
		fmt.Fprintln(w, "SESSION\tTURNS\tTOKENS\tLAST PROMPT\tLAST HIT\tLAST TURN\tAT")
	}
	for _, s := range list {
		turns := console.Count(s.Turns)
		if s.WarmUps > 0 {
			turns += fmt.Sprintf(" + %d warm-up", s.WarmUps)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", console.Printable(s.ID), turns, console.Count(s.Tokens), console.Count(s.LastPrompt), console.Count(s.LastHit),
			s.LastTurn, s.Last.Local().Format("2006-01-02 15:04:05"))
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "no session yet")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w = tabwriter.NewWriter(out, 9, 0, 2, ' ', 0)
	fmt.Fprintln(w)
	writeCache(w, c)
	return w.Flush()
}

// mark stands where two texts part.
const mark = "▸"

// WriteWhy prints where a turn left what was known, and both texts with a mark where they part.
func WriteWhy(out io.Writer, y *engine.Why) error {
	whose := "what was known"
	if y.Other != "" {
		whose = y.Other
	}
	in := ""
	if y.In != "" {
		in = ", in " + console.Printable(y.In)
	}
	at := common(y.Old, y.New)
	_, err := fmt.Fprintf(out, "%s left %s at token %s%s (miss_reason %s)\n\nwas  %s\nnow  %s\n", y.TurnID, whose, console.Count(y.At), in, y.MissReason,
		marked(y.Old, at), marked(y.New, at))
	if err == nil && y.Old == y.New {
		_, err = fmt.Fprintln(out, "\nThe texts are equal: other tokens stand for the same text.")
	}
	return err
}

// common is how many bytes two texts share, in whole characters.
func common(x, y string) int {
	for i, r := range x {
		if !strings.HasPrefix(y[min(i, len(y)):], string(r)) {
			return i
		}
	}
	return len(x)
}

// marked is a text with the mark at a byte, its lines under each other.
func marked(text string, at int) string {
	at = min(at, len(text))
	return strings.ReplaceAll(console.Printable(text[:at])+mark+console.Printable(text[at:]), "\n", "\n     ")
}
