package probetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model"
	"reprise/model/weights"
)

// Reuse is a test of what a cache relies on. Calls of Widths make a state, with snapshots taken inside them at Captures;
// from each of these, calls of Then go on with other ids.
type Reuse struct {
	Widths   []int
	Captures []int // ascending
	Then     []int
	// Trims is how many captures at least must also be reached by a trim, which has nothing to do with a snapshot.
	Trims int
	// Worker are the CPU worker's options.
	Worker mlx.Options
	// KV is how growing layers keep keys and values.
	KV state.Quantization
}

// Run checks on a checkpoint:
//
//   - a pass with captures has the bits of one without, and as many forward calls;
//   - a restored snapshot, with rows copied out, kept as bytes and copied back, goes on bit for bit as a replay of the same
//     calls that is cut there, also where the cut is a trim; so does the live state that is moved back itself;
//   - both lie within 1e-3 of the row's largest logit of a plain cold run;
//   - nothing is left behind, no array and no byte.
func (r Reuse) Run(t *testing.T, dir string) {
	t.Helper()
	with(t, r.Worker, dir, weights.Options{KV: r.KV}, func(s *mlx.Scope, m model.Model) error {
		p := &player{s: s, m: m, calls: &calls{Model: m}}
		rng := rand.New(rand.NewPCG(uint64(len(r.Widths)), 5))
		ids, then := p.ids(rng, total(r.Widths)), p.ids(rng, total(r.Then))
		if err := p.run(func(st *state.State) error { return p.feed(st, ids[:1], []int{1}, nil) }); err != nil {
			return err // the first call evaluates what the model keeps
		}
		p.calls.take()
		arrays, before := mlx.LiveArrays(), mlx.ReadMemory().Active
		trims, err := r.check(p, ids, then)
		if err != nil {
			return err
		}
		if n, left := mlx.LiveArrays()-arrays, mlx.ReadMemory().Active-before; n != 0 || left != 0 {
			return fmt.Errorf("%d arrays and %d bytes are left", n, left)
		}
		if trims < r.Trims {
			return fmt.Errorf("%d captures were reached by a trim, want %d: the test shows too little", trims, r.Trims)
		}
		return nil
	})
}

func (r Reuse) check(p *player, ids, then []int32) (trims int, err error) {
	var plain, captured trace
	var plainEnd, capturedEnd []byte
	var snaps []state.Snapshot
	if err := p.run(func(st *state.State) error {
		return errors.Join(p.feed(st, ids, r.Widths, &plain), p.end(st, &plainEnd))
	}); err != nil {
		return 0, err
	}
	plainCalls := p.calls.take()
	err = p.run(func(live *state.State) error {
		defer func() { free(snaps) }()
		err := errors.Join(p.capture(live, ids, r.Widths, r.Captures, &captured, &snaps), p.end(live, &capturedEnd))
		if err != nil {
			return err
		}
		if n := p.calls.take(); n != plainCalls || len(snaps) != len(r.Captures) {
			return fmt.Errorf("%d calls with captures, %d without; %d snapshots", n, plainCalls, len(snaps))
		}
		if err := captured.equal(&plain); err != nil {
			return fmt.Errorf("a pass with captures: %w", err)
		}
		if !bytes.Equal(plainEnd, capturedEnd) {
			return errors.New("a pass with captures leaves another state")
		}
		// From the last on, so that the live state has the rows of those before.
		for i, snap := range slices.Backward(snaps) {
			trimmed, err := r.from(p, live, snap, i, ids, then)
			if err != nil {
				return fmt.Errorf("from %d: %w", snap.Offset(), err)
			}
			if trimmed {
				trims++
			}
		}
		return nil
	})
	return trims, err
}

// from goes on from one snapshot in every way.
func (r Reuse) from(p *player, live *state.State, snap state.Snapshot, i int, ids, then []int32) (trimmed bool, err error) {
	at := snap.Offset()
	rows, err := live.CopyRows(0, at)
	if err != nil {
		return false, err
	}
	defer rows.Free()
	var restored, moved, replayed, trim trace
	if err := p.run(func(st *state.State) error { return p.restore(st, rows, snap, then, r.Then, &restored) }); err != nil {
		return false, fmt.Errorf("a restored state: %w", err)
	}
	keep, segments := at, []state.Segment(nil)
	if i%2 == 1 {
		keep, segments = at/2, []state.Segment{{Rows: rows, From: at / 2, To: at}}
	}
	if err := errors.Join(live.MoveTo(at, keep, segments, snap), p.feed(live, then, r.Then, &moved)); err != nil {
		return false, fmt.Errorf("the live state: %w", err)
	}
	if err := moved.equal(&restored); err != nil {
		return false, fmt.Errorf("the live state moved back and a restored one: %w", err)
	}
	// The calls up to the one that the offset lies in; ids beyond it were fed then and are cut off.
	calls, end := 0, 0
	for ; end < at; calls++ {
		end += r.Widths[calls]
	}
	replay := func(cut func(st *state.State, snap state.Snapshot) error, out *trace) error {
		return p.run(func(st *state.State) error {
			var snaps []state.Snapshot
			defer func() { free(snaps) }()
			if err := p.capture(st, ids[:end], r.Widths[:calls], []int{at}, nil, &snaps); err != nil {
				return err
			}
			return errors.Join(cut(st, snaps[0]), p.feed(st, then, r.Then, out))
		})
	}
	err = replay(func(st *state.State, snap state.Snapshot) error {
		limit, _ := st.TrimLimit(at)
		trimmed = limit == at && end > at
		return st.MoveTo(at, at, nil, snap)
	}, &replayed)
	if err == nil {
		err = replayed.equal(&restored)
	}
	if err == nil && trimmed {
		err = replay(func(st *state.State, _ state.Snapshot) error { return st.Trim(at) }, &trim)
		if err == nil {
			err = trim.equal(&restored)
		}
	}
	if err != nil {
		return false, fmt.Errorf("the replay of %d calls, cut: %w", calls, err)
	}
	return trimmed, p.cold(append(slices.Clone(ids[:at]), then...), r.Then, &restored)
}

// trace is what calls gave: the hidden rows of all, and the logits of each call's last row.
type trace struct {
	hidden []float32
	logits [][]float32
}

// equal compares bits.
func (a *trace) equal(b *trace) error {
	if len(a.hidden) != len(b.hidden) || len(a.logits) != len(b.logits) {
		return fmt.Errorf("%d values of %d calls, %d of %d", len(a.hidden), len(a.logits), len(b.hidden), len(b.logits))
	}
	for i := range a.hidden {
		if math.Float32bits(a.hidden[i]) != math.Float32bits(b.hidden[i]) {
			return fmt.Errorf("hidden value %d of %d is %g and %g", i, len(a.hidden), a.hidden[i], b.hidden[i])
		}
	}
	for i := range a.logits {
		for k := range a.logits[i] {
			if math.Float32bits(a.logits[i][k]) != math.Float32bits(b.logits[i][k]) {
				return fmt.Errorf("call %d, logit %d is %g and %g", i, k, a.logits[i][k], b.logits[i][k])
			}
		}
	}
	return nil
}

func free(snaps []state.Snapshot) {
	for _, x := range snaps {
		x.Free()
	}
}

func total(widths []int) int {
	n := 0
	for _, w := range widths {
		n += w
	}
	return n
}
