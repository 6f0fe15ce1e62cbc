package probetest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model"
)

// player feeds ids to a model as an engine does, a scope for each call.
type player struct {
	s     *mlx.Scope
	m     model.Model
	calls *calls
}

// calls counts forward calls where they happen.
type calls struct {
	model.Model
	n int
}

func (c *calls) Forward(s *mlx.Scope, ids mlx.Array, st *state.State) mlx.Array {
	c.n++
	return c.Model.Forward(s, ids, st)
}

// take is the count since the last take.
func (c *calls) take() int {
	n := c.n
	c.n = 0
	return n
}

// ids are random ones, without the few at the front that are special in most vocabularies.
func (p *player) ids(rng *rand.Rand, n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(3 + rng.IntN(p.m.Info().Vocab-3))
	}
	return out
}

// run gives do an empty state and frees it.
func (p *player) run(do func(st *state.State) error) error {
	st := p.m.NewState()
	defer st.Free()
	return do(st)
}

// feed makes calls of the widths; out may be nil.
func (p *player) feed(st *state.State, ids []int32, widths []int, out *trace) error {
	for _, width := range widths {
		if err := p.call(st, ids[:width], out, nil); err != nil {
			return err
		}
		ids = ids[width:]
	}
	return nil
}

func (p *player) call(st *state.State, ids []int32, out *trace, snaps func([]state.Snapshot)) error {
	s := p.s.Child()
	defer s.Close()
	hidden := p.calls.Forward(s, mlx.New(s, ids, 1, len(ids)), st)
	logits := p.m.Logits(s, model.LastRow(s, hidden))
	if err := s.Eval(append(st.Arrays(), hidden, logits)...); err != nil {
		return err
	}
	taken, err := st.Captured()
	if err != nil {
		return err
	}
	if snaps != nil {
		snaps(taken)
	} else {
		free(taken)
	}
	if out == nil {
		return nil
	}
	rows, err := s.Float32s(hidden)
	if err != nil {
		return err
	}
	last, err := s.Float32s(logits)
	out.hidden, out.logits = append(out.hidden, rows...), append(out.logits, last)
	return err
}

// capture is feed with snapshots at these offsets.
func (p *player) capture(st *state.State, ids []int32, widths, at []int, out *trace, snaps *[]state.Snapshot) error {
	for _, width := range widths {
		var wanted []int
		for len(at) > 0 && at[0] <= st.Offset()+width {
			wanted, at = append(wanted, at[0]), at[1:]
		}
		st.CaptureAt(wanted...)
		err := p.call(st, ids[:width], out, func(taken []state.Snapshot) { *snaps = append(*snaps, taken...) })
		if err != nil {
			return err
		}
		ids = ids[width:]
	}
	return nil
}

// end is all that a state holds, as bytes.
func (p *player) end(st *state.State, out *[]byte) error {
	snap, err := st.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Free()
	rows, err := st.CopyRows(0, st.Offset())
	if err != nil {
		return err
	}
	defer rows.Free()
	a, err := state.EncodeSnapshot(p.s, snap)
	if err != nil {
		return err
	}
	b, err := state.EncodeRows(p.s, rows)
	*out = append(a, b...)
	return err
}

// restore puts rows and snapshot, each read back from bytes, into an empty state and goes on.
func (p *player) restore(st *state.State, rows state.Rows, snap state.Snapshot, then []int32, widths []int, out *trace) error {
	s := p.s.Child()
	defer s.Close()
	rowBytes, err := state.EncodeRows(s, rows)
	if err != nil {
		return err
	}
	snapBytes, err := state.EncodeSnapshot(s, snap)
	if err != nil {
		return err
	}
	back, err := state.DecodeRows(s, rowBytes)
	if err != nil {
		return err
	}
	defer back.Free()
	backSnap, err := state.DecodeSnapshot(s, snapBytes)
	if err != nil {
		return err
	}
	defer backSnap.Free()
	at := snap.Offset()
	half := []state.Segment{{Rows: back, From: 0, To: at / 2}, {Rows: back, From: at / 2, To: at}}
	return errors.Join(st.MoveTo(at, 0, half, backSnap), p.feed(st, then, widths, out))
}

// cold feeds all ids to an empty state, in calls of at most 256, and compares the last logits that the calls of `then`
// gave: the same up to what other widths do to low bits.
func (p *player) cold(ids []int32, then []int, got *trace) error {
	const grid = 256
	return p.run(func(st *state.State) error {
		at := len(ids)
		for i := len(then) - 1; i > 0; i-- {
			at -= then[i]
		}
		ends := []int{at}
		for _, w := range then[1:] {
			at += w
			ends = append(ends, at)
		}
		for i, end := range ends {
			var out trace
			for st.Offset() < end {
				to := min(end, st.Offset()+grid)
				out = trace{}
				if err := p.call(st, ids[st.Offset():to], &out, nil); err != nil {
					return err
				}
			}
			if err := within(got.logits[i], out.logits[0]); err != nil {
				return fmt.Errorf("a cold run, at %d: %w", end, err)
			}
		}
		return nil
	})
}

// within compares logits by 1e-3 of the largest.
func within(got, want []float32) error {
	var largest float64
	for _, v := range want {
		largest = max(largest, math.Abs(float64(v)))
	}
	if d := maxDiff(got, want); !(d <= 1e-3*largest) {
		return fmt.Errorf("logits differ by %g, the largest is %g", d, largest)
	}
	return nil
}
