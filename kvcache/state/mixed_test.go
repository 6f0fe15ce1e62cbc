package state

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"reprise/mlx"
)

// mixed is a state with layers of every kind, fed with numbered tokens: a token's rows, and what it does to the
// recurrent layer, follow from its number alone. So any path of tokens can be checked at any time.
type mixed struct {
	st   *State
	path []int // the tokens that st stands behind
}

// The layers: full, window 8, recurrent, full, window 16.
var mixedWindows = []int{0, 8, -1, 0, 16}

const (
	testTail     = 3 // rows of the convolution's tail
	testChannels = 5
)

func newMixed(home *mlx.Scope) *mixed {
	var layers []Layer
	for _, window := range mixedWindows {
		if window < 0 {
			layers = append(layers, NewRecurrent())
		} else {
			layers = append(layers, newLayer(window))
		}
	}
	return &mixed{st: New(home, layers...)}
}

// kvOf are the tokens' rows in a layer.
func kvOf(layer int, path []int) []token {
	out := make([]token, len(path))
	for i, id := range path {
		o := newOracle(0, uint64(id*100+layer))
		out[i] = o.extend(1)[0]
	}
	return out
}

// recurrenceOf is the matrix behind the path, the same number in each place, and the inputs of its last tokens.
func recurrenceOf(path []int) (tail []float32, matrix float32) {
	hash := 0
	for _, id := range path {
		hash = (hash*31 + id) % 65521 // exact in float32
	}
	tail = make([]float32, testTail*testChannels)
	for i := range testTail {
		if at := len(path) - testTail + i; at >= 0 {
			for c := range testChannels {
				tail[i*testChannels+c] = float32(path[at]*10 + c)
			}
		}
	}
	return tail, float32(hash)
}

// feed is one forward call: it checks what the layers give for it.
func (m *mixed) feed(s *mlx.Scope, ids []int, captures ...int) ([]Snapshot, error) {
	s = s.Child()
	defer s.Close()
	before := m.path
	m.path = append(slices.Clone(m.path), ids...)
	m.st.CaptureAt(captures...)
	for i, window := range mixedWindows {
		var err error
		if window < 0 {
			err = m.feedRecurrent(s, m.st.Recurrence(i), before)
		} else {
			o := newOracle(window, uint64(i))
			o.tokens = kvOf(i, m.path)
			err = stepWith(s, m.st.KV(i), o, len(ids))
		}
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	if err := m.st.Advance(len(ids)); err != nil {
		return nil, err
	}
	return m.st.Captured()
}

func (m *mixed) feedRecurrent(s *mlx.Scope, r *Recurrence, before []int) error {
	T := len(m.path) - len(before)
	matrixAfter := func(n int) mlx.Array {
		_, v := recurrenceOf(m.path[:len(before)+n])
		return s.Full([]int{1, 2, 3, 4}, s.Scalar(float64(v), mlx.Float32), mlx.Float32)
	}
	tail, matrix := r.Load(s, [3]int{1, testTail, testChannels}, mlx.Float32, [4]int{1, 2, 3, 4})
	wantTail, _ := recurrenceOf(before)
	if err := equalBits(s, tail, mlx.New(s, wantTail, 1, testTail, testChannels)); err != nil {
		return fmt.Errorf("tail: %w", err)
	}
	if err := equalBits(s, matrix, matrixAfter(0)); err != nil {
		return fmt.Errorf("matrix: %w", err)
	}
	inputs := []mlx.Array{tail}
	for n := 1; n <= T; n++ {
		row, _ := recurrenceOf(m.path[:len(before)+n])
		inputs = append(inputs, mlx.New(s, row[(testTail-1)*testChannels:], 1, 1, testChannels))
	}
	var captured []mlx.Array
	for _, n := range r.Captures(T) {
		captured = append(captured, matrixAfter(n))
	}
	r.Store(s, T, s.Concatenate(inputs, 1), matrixAfter(T), captured)
	return s.Err()
}

// checkSnapshot compares a snapshot with what its path says, bit for bit.
func checkSnapshot(s *mlx.Scope, snap Snapshot, path []int) error {
	s = s.Child()
	defer s.Close()
	h := snap.(*snapshot)
	if h.offset != len(path) || len(h.parts) != len(mixedWindows) {
		return fmt.Errorf("a snapshot of %d layers at %d, want %d at %d", len(h.parts), h.offset, len(mixedWindows), len(path))
	}
	var bytes int64
	for i, window := range mixedWindows {
		var want []mlx.Array
		switch {
		case window > 0 && len(path) > 0:
			k, v := arrays(s, kvOf(i, path[max(0, len(path)-window+1):]))
			want = []mlx.Array{k, v}
		case window < 0 && len(path) > 0:
			tail, matrix := recurrenceOf(path)
			want = []mlx.Array{mlx.New(s, tail, 1, testTail, testChannels), s.Full([]int{1, 2, 3, 4}, s.Scalar(float64(matrix), mlx.Float32), mlx.Float32)}
		}
		if len(want) != len(h.parts[i].arrays) {
			return fmt.Errorf("layer %d has %d arrays, want %d", i, len(h.parts[i].arrays), len(want))
		}
		for k, a := range h.parts[i].arrays {
			if err := equalBits(s, a, want[k]); err != nil {
				return fmt.Errorf("layer %d, array %d, at %d: %w", i, k, len(path), err)
			}
			bytes += int64(4 * a.Size())
		}
	}
	if snap.Bytes() != bytes {
		return fmt.Errorf("Bytes is %d, the arrays hold %d", snap.Bytes(), bytes)
	}
	return nil
}

// someCaptures are up to n offsets in (from, from+T], often its last.
func someCaptures(rng *rand.Rand, from, T, n int) []int {
	var at []int
	for range rng.IntN(n + 1) {
		at = append(at, from+1+rng.IntN(T))
	}
	if rng.IntN(2) == 0 {
		at = append(at, from+T)
	}
	return at
}

// fresh are n tokens, no two of a test the same.
type tokens struct{ next int }

func (t *tokens) fresh(n int) []int {
	out := make([]int, n)
	for i := range out {
		t.next++
		out[i] = t.next
	}
	return out
}
