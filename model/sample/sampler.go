package sample

import (
	"cmp"
	"math"
	"slices"

	"reprise/mlx"
)

// Sampler chooses the tokens of one answer whose parameters look at more than the logits at hand: what was said before, a
// bias, which ids are allowed, log-probabilities. What it remembers lies on the device and grows by what it chose, without the
// host having read it. It belongs to the worker; Free ends it.
type Sampler struct {
	p      Params
	vocab  int
	bias   mlx.Array // [1, 1, vocab]
	counts mlx.Array // of each id, as generated
	seen   mlx.Array // 1 where an id stands in the prompt or the answer
}

// Stateless tells that Next is all there is to choosing: nothing is remembered, nothing told.
func (p Params) Stateless() bool {
	return len(p.Bias) == 0 && !p.counting() && !p.repeating() && !p.Logprobs
}

func (p Params) counting() bool  { return p.Presence != 0 || p.Frequency != 0 }
func (p Params) repeating() bool { return p.Repetition != 0 && p.Repetition != 1 }

// Start begins an answer behind a prompt, for logits of vocab ids.
func (p Params) Start(s *mlx.Scope, prompt []int32, vocab int) *Sampler {
	c := &Sampler{p: p, vocab: vocab}
	keep := func(row []float32) mlx.Array { return s.Keep(mlx.New(s, row, 1, 1, vocab)) }
	if len(p.Bias) > 0 {
		row := make([]float32, vocab)
		for id, b := range p.Bias {
			row[id] = float32(b)
		}
		c.bias = keep(row)
	}
	if p.counting() {
		c.counts = keep(make([]float32, vocab))
	}
	if p.repeating() {
		row := make([]float32, vocab)
		for _, id := range prompt {
			if id >= 0 && int(id) < vocab {
				row[id] = 1
			}
		}
		c.seen = keep(row)
	}
	return c
}

// Free gives up what it remembers.
func (c *Sampler) Free() {
	if c != nil {
		c.bias.Free()
		c.counts.Free()
		c.seen.Free()
		c.bias, c.counts, c.seen = mlx.Array{}, mlx.Array{}, mlx.Array{}
	}
}

// Choice is a token that was chosen, on its way on the device.
type Choice struct {
	Token      mlx.Array // [1, 1]
	own        mlx.Array // [1, 1, 1] its log-probability; not valid without log-probabilities
	best, tops mlx.Array // [1, 1, k] ids of the most probable, in no order, and their log-probabilities
}

// Choose draws the token at position from logits [1, 1, vocab], of what allowed (bool, of that shape; not valid: of all) lets
// through. The order: bias, penalties, what is never sampled, what is allowed, then temperature and filters. Log-probabilities
// are the model's own, of the logits as they came.
func (c *Sampler) Choose(s *mlx.Scope, logits mlx.Array, position int, never []int32, allowed mlx.Array) Choice {
	bent := c.penalize(s, logits)
	bent = Suppress(s, bent, never)
	if allowed.Valid() {
		bent = s.Where(allowed, bent, s.Scalar(math.Inf(-1), bent.Dtype()))
	}
	out := Choice{Token: c.p.Next(s, bent, position)}
	at := s.AsType(s.ExpandDims(out.Token, -1), mlx.Int32) // [1, 1, 1]
	if c.counts.Valid() {
		c.counts = c.grown(s, c.counts, at, s.Add(s.TakeAlongAxis(c.counts, at, -1), s.Scalar(1, mlx.Float32)))
	}
	if c.seen.Valid() {
		c.seen = c.grown(s, c.seen, at, s.Full([]int{1, 1, 1}, s.Scalar(1, mlx.Float32), mlx.Float32))
	}
	if c.p.Logprobs {
		row := s.AsType(logits, mlx.Float32)
		row = s.Subtract(row, s.LogSumExpAxis(row, -1, true))
		out.own = s.TakeAlongAxis(row, at, -1)
		if k := min(c.p.TopLogprobs, c.vocab); k > 0 {
			order := s.ArgPartitionAxis(s.Negative(row), k-1, -1)
			out.best = s.Slice(order, []int{0, 0, 0}, []int{1, 1, k}, []int{1, 1, 1})
			out.tops = s.TakeAlongAxis(row, out.best, -1)
		}
	}
	return out
}

// grown is what is remembered with the values at one place, in the place of the old.
func (c *Sampler) grown(s *mlx.Scope, old, at, value mlx.Array) mlx.Array {
	s.Adopt(old)
	return s.Keep(s.PutAlongAxis(old, at, value, -1))
}

// penalize bends logits by the bias and by what was said.
func (c *Sampler) penalize(s *mlx.Scope, logits mlx.Array) mlx.Array {
	number := func(v float64) mlx.Array { return s.Scalar(v, mlx.Float32) }
	if c.bias.Valid() || c.seen.Valid() || c.counts.Valid() {
		logits = s.AsType(logits, mlx.Float32)
	}
	if c.bias.Valid() {
		logits = s.Add(logits, c.bias)
	}
	if c.seen.Valid() { // a positive logit shrinks, a negative one grows
		rate := number(c.p.Repetition)
		less := s.Where(s.Greater(logits, number(0)), s.Divide(logits, rate), s.Multiply(logits, rate))
		logits = s.Where(s.Greater(c.seen, number(0)), less, logits)
	}
	if c.counts.Valid() {
		if c.p.Frequency != 0 {
			logits = s.Subtract(logits, s.Multiply(c.counts, number(c.p.Frequency)))
		}
		if c.p.Presence != 0 {
			said := s.AsType(s.Greater(c.counts, number(0)), mlx.Float32)
			logits = s.Subtract(logits, s.Multiply(said, number(c.p.Presence)))
		}
	}
	return logits
}

// Pending is everything that the choice needs computed, what is remembered included.
func (c *Sampler) Pending(ch Choice) []mlx.Array {
	return slices.DeleteFunc([]mlx.Array{ch.Token, ch.own, ch.best, ch.tops, c.counts, c.seen}, func(a mlx.Array) bool { return !a.Valid() })
}

// Keep takes a choice out of the scope that it was made in.
func (ch Choice) Keep(s *mlx.Scope) Choice {
	for _, a := range []mlx.Array{ch.Token, ch.own, ch.best, ch.tops} {
		if a.Valid() {
			s.Keep(a)
		}
	}
	return ch
}

// Free gives a kept choice up.
func (ch *Choice) Free() {
	for _, a := range []*mlx.Array{&ch.Token, &ch.own, &ch.best, &ch.tops} {
		a.Free()
		*a = mlx.Array{}
	}
}

// Valid tells whether there is a choice.
func (ch Choice) Valid() bool { return ch.Token.Valid() }

// Logprob is how probable a token was, and which ones were the most probable there.
type Logprob struct {
	ID      int32
	Logprob float64
	Top     []TopLogprob // falling
}

// TopLogprob is a token that might have been chosen.
type TopLogprob struct {
	ID      int32
	Logprob float64
}

// Read waits for the token, and reads its log-probability where there is one.
func (ch Choice) Read(s *mlx.Scope) (id int, lp *Logprob, err error) {
	if id, err = s.Int(ch.Token); err != nil || !ch.own.Valid() {
		return id, nil, err
	}
	own, err := mlx.Read[float32](s, ch.own)
	if err != nil {
		return id, nil, err
	}
	lp = &Logprob{ID: int32(id), Logprob: float64(own[0])}
	if !ch.best.Valid() {
		return id, lp, nil
	}
	ids, err := mlx.Read[uint32](s, ch.best)
	if err != nil {
		return id, nil, err
	}
	values, err := mlx.Read[float32](s, ch.tops)
	if err != nil {
		return id, nil, err
	}
	for i, v := range values {
		lp.Top = append(lp.Top, TopLogprob{int32(ids[i]), float64(v)})
	}
	slices.SortFunc(lp.Top, func(a, b TopLogprob) int { return cmp.Or(cmp.Compare(b.Logprob, a.Logprob), cmp.Compare(a.ID, b.ID)) })
	return id, lp, nil
}
