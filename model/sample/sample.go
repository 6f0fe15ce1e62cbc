package sample

import (
	"fmt"
	"math"

	"reprise/mlx"
)

// Params are a request's sampling parameters. The zero value is greedy.
type Params struct {
	Temperature float64 // 0: greedy
	TopP        float64 // 0 or 1: off
	MinP        float64 // 0: off
	TopK        int     // 0: off
	Seed        uint64

	Repetition float64           // divides what stands in prompt or answer already; 0 or 1: off
	Presence   float64           // taken off what the answer has said
	Frequency  float64           // taken off for every time that it has
	Bias       map[int32]float64 // added to the logits of these ids

	Logprobs    bool // of the tokens that are chosen
	TopLogprobs int  // and of that many of the most probable
}

// MaxTopLogprobs is how many can be asked for; OpenAI's figure.
const MaxTopLogprobs = 20

// ParamError names the parameter that is out of range.
type ParamError struct{ Param, Problem string }

func (e *ParamError) Error() string { return e.Param + " " + e.Problem }

// Validate checks the ranges.
func (p Params) Validate() error {
	within := func(name string, v, low, high float64) error {
		if math.IsNaN(v) || v < low || v > high {
			return &ParamError{name, fmt.Sprintf("is %v; it must lie between %v and %v", v, low, high)}
		}
		return nil
	}
	if err := within("temperature", p.Temperature, 0, 100); err != nil {
		return err
	}
	if err := within("top_p", p.TopP, 0, 1); err != nil {
		return err
	}
	if err := within("min_p", p.MinP, 0, 1); err != nil {
		return err
	}
	if p.TopK < 0 {
		return &ParamError{"top_k", fmt.Sprintf("is %d; it must not be negative", p.TopK)}
	}
	if p.Repetition != 0 {
		if err := within("repetition_penalty", p.Repetition, 0.01, 100); err != nil {
			return err
		}
	}
	if err := within("presence_penalty", p.Presence, -2, 2); err != nil {
		return err
	}
	if err := within("frequency_penalty", p.Frequency, -2, 2); err != nil {
		return err
	}
	for _, b := range p.Bias {
		if err := within("logit_bias", b, -100, 100); err != nil {
			return err
		}
	}
	return within("top_logprobs", float64(p.TopLogprobs), 0, MaxTopLogprobs)
}

// Within says that a bias is of an id that logits of vocab ids do not have.
func (p Params) Within(vocab int) error {
	for id := range p.Bias {
		if id < 0 || int(id) >= vocab {
			return &ParamError{"logit_bias", fmt.Sprintf("names the token %d; the vocabulary has the ids from 0 to %d", id, vocab-1)}
		}
	}
	return nil
}

// Next draws the token at position from logits [1, 1, vocab]: [1, 1], an integer dtype, not evaluated.
func (p Params) Next(s *mlx.Scope, logits mlx.Array, position int) mlx.Array {
	if p.Temperature == 0 {
		if s.Kernels() {
			return s.Largest(logits)
		}
		return s.ArgMaxAxis(logits, -1, false)
	}
	logits = s.AsType(logits, mlx.Float32)
	if !p.filters() {
		return s.RandomCategorical(p.heat(s, logits), -1, s.Key(mix(p.Seed, position)))
	}
	order, kept := p.Filter(s, logits)
	at := s.RandomCategorical(p.heat(s, kept), -1, s.Key(mix(p.Seed, position)))
	return s.SqueezeAxis(s.TakeAlongAxis(order, s.ExpandDims(at, -1), -1), -1)
}

func (p Params) filters() bool { return (p.TopP > 0 && p.TopP < 1) || p.MinP > 0 || p.TopK > 0 }

// coldest is the temperature below which a logit over it would leave float32, and be no number where it is 0: it is greedy as it is.
const coldest = 1e-30

func (p Params) heat(s *mlx.Scope, logits mlx.Array) mlx.Array {
	return s.Multiply(logits, s.Scalar(1/max(p.Temperature, coldest), mlx.Float32))
}

// Filter sorts the tokens by probability, rising, and removes what the filters exclude: it returns the ids in
// that order and their log-probabilities, −∞ where excluded. One sort serves all three filters.
func (p Params) Filter(s *mlx.Scope, logits mlx.Array) (order, logprobs mlx.Array) {
	vocab := logits.Dim(-1)
	all := s.Subtract(logits, s.LogSumExpAxis(logits, -1, true))
	order = s.ArgSortAxis(all, -1)
	sorted := s.TakeAlongAxis(all, order, -1)
	kept := sorted
	exclude := func(out mlx.Array) { kept = s.Where(out, s.Scalar(math.Inf(-1), mlx.Float32), kept) }
	if p.TopP > 0 && p.TopP < 1 {
		below := s.CumSumAxis(s.Exp(sorted), -1, false, true, mlx.DefaultDtype)
		// A share of the mass as it was summed, and no smaller p than float32 can tell from 0: the best must stay.
		rest := s.Multiply(s.MaxAxis(below, -1, true), s.Scalar(1-max(p.TopP, 1e-6), mlx.Float32))
		exclude(s.LessEqual(below, rest))
	}
	if p.MinP > 0 {
		best := s.MaxAxis(sorted, -1, true)
		exclude(s.Less(sorted, s.Add(best, s.Scalar(math.Log(p.MinP), mlx.Float32))))
	}
	if p.TopK > 0 && p.TopK < vocab {
		rank := s.Arange(0, float64(vocab), 1, mlx.Int32)
		exclude(s.Less(rank, s.Scalar(float64(vocab-p.TopK), mlx.Int32)))
	}
	return order, kept
}

// mix spreads seed and position over 64 bits (the finalizer of SplitMix64, Steele et al. 2014).
func mix(seed uint64, position int) uint64 {
	z := seed + uint64(position)*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// Suppress is logits [1, 1, vocab] with those of ids at −∞, before anything is chosen. A checkpoint names such ids
// (suppress_tokens): tokens that stand for what a prompt may hold and an answer may not. ids lie in the vocabulary.
func Suppress(s *mlx.Scope, logits mlx.Array, ids []int32) mlx.Array {
	if len(ids) == 0 || s.Err() != nil {
		return logits
	}
	never := s.Full([]int{1, 1, len(ids)}, s.Scalar(math.Inf(-1), logits.Dtype()), logits.Dtype())
	return s.PutAlongAxis(logits, mlx.New(s, ids, 1, 1, len(ids)), never, -1)
}
