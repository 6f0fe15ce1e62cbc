package state

import (
	"fmt"
	"math"
	"math/rand/v2"

	"reprise/mlx"
)

const (
	testHeads   = 2 // of keys and values
	testQueries = 4 // query heads: two share a KV head
	testDim     = 8
)

// token is what one position writes: a row for each head, keys and values.
type token struct{ k, v [testHeads][testDim]float32 }

// oracle is a sequence of tokens, whole and by position. window 0 is full attention.
type oracle struct {
	window int
	tokens []token
	rng    *rand.Rand
}

func newOracle(window int, seed uint64) *oracle {
	return &oracle{window: window, rng: rand.New(rand.NewPCG(seed, uint64(window)))}
}

// extend appends n new tokens; no two tokens are equal, also when a position is written again.
func (o *oracle) extend(n int) []token {
	for range n {
		var x token
		for h := range testHeads {
			for d := range testDim {
				x.k[h][d], x.v[h][d] = float32(o.rng.NormFloat64()), float32(o.rng.NormFloat64())
			}
		}
		o.tokens = append(o.tokens, x)
	}
	return o.tokens[len(o.tokens)-n:]
}

// first is the first position that the query at p sees.
func (o *oracle) first(p int) int {
	if o.window == 0 {
		return 0
	}
	return max(0, p-o.window+1)
}

// arrays are the tokens as [1, heads, T, dim].
func arrays(s *mlx.Scope, tokens []token) (k, v mlx.Array) {
	T := len(tokens)
	ks, vs := make([]float32, testHeads*T*testDim), make([]float32, testHeads*T*testDim)
	for h := range testHeads {
		for i, x := range tokens {
			copy(ks[(h*T+i)*testDim:], x.k[h][:])
			copy(vs[(h*T+i)*testDim:], x.v[h][:])
		}
	}
	return mlx.New(s, ks, 1, testHeads, T, testDim), mlx.New(s, vs, 1, testHeads, T, testDim)
}

// queries are T random rows for each query head, row-major [queries, T, dim].
func (o *oracle) queries(T int) []float32 {
	q := make([]float32, testQueries*T*testDim)
	for i := range q {
		q[i] = float32(o.rng.NormFloat64())
	}
	return q
}

const attnScale = 0.4

// attend is attention by its definition, in float64, for queries at the last T positions: [queries, T, dim].
func (o *oracle) attend(q []float32, T int) []float64 {
	out := make([]float64, len(q))
	base := len(o.tokens) - T
	for h := range testQueries {
		kv := h / (testQueries / testHeads)
		for i := range T {
			row := q[(h*T+i)*testDim:][:testDim]
			dst := out[(h*T+i)*testDim:][:testDim]
			var sum float64
			for p := o.first(base + i); p <= base+i; p++ {
				var dot float64
				for d, x := range row {
					dot += float64(x) * float64(o.tokens[p].k[kv][d])
				}
				w := math.Exp(attnScale * dot)
				sum += w
				for d := range dst {
					dst[d] += w * float64(o.tokens[p].v[kv][d])
				}
			}
			for d := range dst {
				dst[d] /= sum
			}
		}
	}
	return out
}

// step appends T tokens to the layer and to the oracle, and compares the rows that come back bit for bit and the
// attention over them, under the layer's own mask, with the definition.
func step(s *mlx.Scope, l KV, o *oracle, T int) error {
	o.extend(T)
	return stepWith(s, l, o, T)
}

// stepWith is step for T tokens that the oracle has already.
func stepWith(s *mlx.Scope, l KV, o *oracle, T int) error {
	s = s.Child()
	defer s.Close()
	before := len(o.tokens) - T
	from := o.first(before)
	k, v := arrays(s, o.tokens[before:])
	mask := l.Mask(s, T)
	keys, values := l.Append(s, k, v)
	wantK, wantV := arrays(s, o.tokens[from:])
	for _, c := range []struct {
		what      string
		got, want mlx.Array
	}{{"keys", keys, wantK}, {"values", values, wantV}} {
		if err := equalBits(s, c.got, c.want); err != nil {
			return fmt.Errorf("%s after %d tokens, the last %d at once: %w", c.what, len(o.tokens), T, err)
		}
	}
	// What another layer sees of these rows.
	slot := l.Written(T)
	if err := equalBits(s, rows(s, slot.Keys, slot.From, slot.At+T), keys); err != nil {
		return fmt.Errorf("keys written, after %d tokens, the last %d at once: %w", len(o.tokens), T, err)
	}
	if err := equalBits(s, rows(s, slot.Values, slot.From, slot.At+T), values); err != nil {
		return fmt.Errorf("values written, after %d tokens, the last %d at once: %w", len(o.tokens), T, err)
	}
	q := o.queries(T)
	got, err := s.Float32s(attendOver(s, mlx.New(s, q, 1, testQueries, T, testDim), keys, values, mask))
	if err != nil {
		return err
	}
	for i, want := range o.attend(q, T) {
		if d := math.Abs(float64(got[i]) - want); !(d < 2e-5) {
			return fmt.Errorf("attention of query %d of %d after %d tokens, mask %q: %g, by definition %g", i/testDim%T, T, len(o.tokens), mask.Mode, got[i], want)
		}
	}
	return nil
}

// attendOver is the device's attention, [1, queries, T, dim].
func attendOver(s *mlx.Scope, q, keys, values mlx.Array, mask Mask) mlx.Array {
	if s.Kernels() && mask.Mode != "array" {
		y := s.Reshape(s.Attention(q, keys, values, attnScale, mask.Window), []int{1, -1, testQueries, testDim})
		return s.Transpose(y, []int{0, 2, 1, 3})
	}
	return s.SDPA(q, keys, values, attnScale, mask.Mode, mask.Array, mlx.Array{}, false)
}

func equalBits(s *mlx.Scope, got, want mlx.Array) error {
	a, err := mlx.Read[float32](s, got)
	if err != nil {
		return err
	}
	b, err := mlx.Read[float32](s, want)
	if err != nil {
		return err
	}
	if g, w := got.String(), want.String(); g != w {
		return fmt.Errorf("got %s, want %s", g, w)
	}
	for i := range b {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return fmt.Errorf("element %d of %v is %g, want %g", i, got, a[i], b[i])
		}
	}
	return nil
}
