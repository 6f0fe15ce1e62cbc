package sample

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"reprise/mlx"
	"reprise/mlx/mlxtest"
)

// vectors is testdata/filters.json; its README says what the fields mean and who computed them.
type vectors struct {
	Logits map[string][]float32 `json:"logits"`
	Cases  []filterCase         `json:"cases"`
}

type filterCase struct {
	Logits      string    `json:"logits"`
	Temperature float64   `json:"temperature"`
	TopP        float64   `json:"top_p"`
	MinP        float64   `json:"min_p"`
	TopK        int       `json:"top_k"`
	Kept        []int     `json:"kept"`
	Probs       []float64 `json:"probs"`
}

func (c filterCase) params(seed uint64) Params {
	return Params{Temperature: c.Temperature, TopP: c.TopP, MinP: c.MinP, TopK: c.TopK, Seed: seed}
}

func (c filterCase) String() string {
	return fmt.Sprintf("%s at temperature %g, top_p %g, min_p %g, top_k %d", c.Logits, c.Temperature, c.TopP, c.MinP, c.TopK)
}

func loadVectors(t *testing.T) vectors {
	t.Helper()
	var v vectors
	raw, err := os.ReadFile("testdata/filters.json")
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil || len(v.Cases) < 100 {
		t.Fatalf("testdata/filters.json has %d cases, %v: it is not what make_filters.py writes", len(v.Cases), err)
	}
	return v
}

func TestFilterKeepsTheReferencesIDs(t *testing.T) {
	v := loadVectors(t)
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		for _, c := range v.Cases {
			if c.Temperature == 0 {
				continue
			}
			logits := v.Logits[c.Logits]
			probs, err := filtered(s, c.params(0), logits)
			if err != nil {
				return err
			}
			want := make([]float64, len(logits))
			for i, id := range c.Kept {
				want[id] = c.Probs[i]
			}
			for id, p := range probs {
				if (p == 0) != !slices.Contains(c.Kept, id) || !(math.Abs(p-want[id]) <= 1e-6) {
					t.Errorf("%v: id %d has probability %.9g, the reference %.9g (%d kept)", c, id, p, want[id], len(c.Kept))
				}
			}
		}
		return nil
	})
}

// filtered are the probabilities by id that Filter leaves at the temperature, computed in float64 from its
// log-probabilities; 0 exactly where an id is excluded.
func filtered(s *mlx.Scope, p Params, logits []float32) ([]float64, error) {
	s = s.Child()
	defer s.Close()
	order, logprobs := p.Filter(s, mlx.New(s, logits, 1, 1, len(logits)))
	ids, err := mlx.Read[uint32](s, order)
	if err != nil {
		return nil, err
	}
	kept, err := mlx.Read[float32](s, logprobs)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(logits))
	var sum float64
	for i, id := range ids {
		if out[id] != 0 {
			return nil, fmt.Errorf("id %d stands twice in the order", id)
		}
		if !math.IsInf(float64(kept[i]), -1) {
			out[id] = max(math.Exp(float64(kept[i])/p.Temperature), math.SmallestNonzeroFloat64)
			sum += out[id]
		}
		if i > 0 && logits[id] < logits[ids[i-1]] {
			return nil, fmt.Errorf("the order does not rise at %d", i)
		}
	}
	for i := range out {
		if out[i] != 0 {
			out[i] = max(out[i]/sum, math.SmallestNonzeroFloat64)
		}
	}
	return out, nil
}

// next draws once.
func next(s *mlx.Scope, p Params, logits []float32, position int) (int, error) {
	s = s.Child()
	defer s.Close()
	id := p.Next(s, mlx.New(s, logits, 1, 1, len(logits)), position)
	if err := s.Err(); err != nil {
		return 0, err
	}
	if !slices.Equal(id.Shape(), []int{1, 1}) {
		return 0, fmt.Errorf("Next gives %v, want [1 1]", id)
	}
	return s.Int(id)
}

func TestNextDrawsOnlyWhatIsKept(t *testing.T) {
	v := loadVectors(t)
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		for i, c := range v.Cases {
			for position := range 8 {
				id, err := next(s, c.params(uint64(i)), v.Logits[c.Logits], position)
				if err != nil {
					return err
				}
				if !slices.Contains(c.Kept, id) {
					t.Errorf("%v: id %d was drawn, kept are %v", c, id, c.Kept)
				}
			}
		}
		return nil
	})
}

// The most probable id stays however small top_p is, also where that is less than the rounding of the sum.
func TestTheBestIDAlwaysStays(t *testing.T) {
	const best = 7
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		for _, vocab := range []int{10, 1000, 262144} {
			for _, lead := range []float32{0.01, 2, 40} { // over the largest of the others
				rng := rand.New(rand.NewPCG(1, uint64(vocab)))
				logits := make([]float32, vocab)
				for i := range logits {
					logits[i] = float32(rng.NormFloat64()) * 0.01 // nearly flat: the hardest to sum
				}
				logits[best] = slices.Max(logits) + lead
				for _, p := range []Params{{TopP: 1e-6}, {TopP: 1e-9}, {TopP: 1e-300}, {TopP: 1e-9, MinP: 1, TopK: 1}, {MinP: 1}, {TopK: 1}} {
					p.Temperature = 1
					if id, err := next(s, p, logits, 0); err != nil || id != best {
						t.Errorf("%+v of %d ids, the best leading by %g: %d, %v, want %d", p, vocab, lead, id, err, best)
					}
				}
			}
		}
		return nil
	})
}

// The colder, the surer, down to the smallest number that JSON has: 1/1e-40 is infinite in float32, and 0 times that is no number.
func TestTheColdestDrawIsTheBest(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		logits := []float32{-3, 0, float32(math.Inf(-1)), 12.5, 12, 0}
		for _, temperature := range []float64{1e-3, 1e-10, 1e-30, 1e-38, 1e-40, 1e-300, 5e-324} {
			for _, p := range []Params{{}, {TopP: 0.9}, {TopK: 5}, {MinP: 1e-9}} {
				p.Temperature = temperature
				for position := range 8 {
					if id, err := next(s, p, logits, position); err != nil || id != 3 {
						t.Errorf("%+v: %d, %v, want 3", p, id, err)
					}
				}
			}
		}
		return nil
	})
}

func TestGreedyIsTheFirstLargest(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		for _, c := range []struct {
			logits []float32
			want   int
		}{
			{[]float32{3}, 0}, {[]float32{1, 5, 2}, 1}, {[]float32{2, 7, 7, 1}, 1}, {[]float32{-9, -3, -4}, 1},
			{[]float32{float32(math.Inf(-1)), -1e9, float32(math.Inf(-1))}, 1},
		} {
			// Filters and seed change nothing.
			for _, p := range []Params{{}, {TopK: 2, Seed: 9}, {TopP: 0.1, MinP: 0.5}} {
				if id, err := next(s, p, c.logits, 3); err != nil || id != c.want {
					t.Errorf("%+v of %v: %d, %v, want %d", p, c.logits, id, err, c.want)
				}
			}
		}
		return nil
	})
}

// The draw depends on seed and position, and on nothing that was drawn before.
func TestDrawsAreRepeatableBySeedAndPosition(t *testing.T) {
	const n = 64
	logits := make([]float32, 200)
	draw := func(s *mlx.Scope, p Params, from int) ([]int, error) {
		out := make([]int, n)
		for i := range out {
			id, err := next(s, p, logits, from+i)
			if err != nil {
				return nil, err
			}
			out[i] = id
		}
		return out, nil
	}
	for _, p := range []Params{{Temperature: 0.8, Seed: 7}, {Temperature: 0.8, Seed: 7, TopK: 150}} {
		var first []int
		mlxtest.OnWorker(t, func(s *mlx.Scope) (err error) {
			first, err = draw(s, p, 100)
			return err
		})
		mlxtest.OnWorker(t, func(s *mlx.Scope) error { // another worker, and later positions first
			for _, at := range []int{163, 130, 100} {
				if id, err := next(s, p, logits, at); err != nil || id != first[at-100] {
					t.Errorf("%+v at %d: %d, %v, before %d", p, at, id, err, first[at-100])
				}
			}
			other := p
			other.Seed++
			seeded, err := draw(s, other, 100)
			if err != nil {
				return err
			}
			shifted, err := draw(s, p, 101)
			if err != nil {
				return err
			}
			for name, ids := range map[string][]int{"another seed": seeded, "other positions": shifted} {
				if same := equal(first, ids); same > n/8 {
					t.Errorf("%+v: %d of %d draws are those of %s", p, same, n, name)
				}
			}
			if same := equal(seeded, shifted); same > n/8 {
				t.Errorf("%+v: %d of %d draws of the next seed are those of the next position", p, same, n)
			}
			if same := equal(first[1:], shifted); same != n-1 {
				t.Errorf("%+v: %d of %d draws agree at equal positions", p, same, n-1)
			}
			return nil
		})
	}
}

// equal counts the places at which a and b agree.
func equal(a, b []int) int {
	n := 0
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

// Frequencies over positions of one seed, and over neighbouring seeds at one position, follow the reference's
// probabilities. Everything is fixed, so the statistic is too; its bound is that of one chance in 10⁵.
func TestFrequenciesFollowTheProbabilities(t *testing.T) {
	const draws = 1000
	v := loadVectors(t)
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		tested := 0
		for _, c := range v.Cases {
			if c.Logits != "offset" || len(c.Kept) < 3 || c.Temperature == 1 || c.TopP == 1 || c.TopK > len(v.Logits["offset"]) {
				continue
			}
			tested++
			for _, vary := range []string{"position", "seed"} {
				counts := make([]int, len(c.Kept))
				for i := range draws {
					p, position := c.params(uint64(i)), 17
					if vary == "position" {
						p, position = c.params(5), i
					}
					id, err := next(s, p, v.Logits[c.Logits], position)
					if err != nil {
						return err
					}
					counts[slices.Index(c.Kept, id)]++
				}
				if x, free := chiSquare(counts, c.Probs, draws); x > chiBound(free) {
					t.Errorf("%v, over each %s: χ² is %.1f with %d degrees of freedom, allowed %.1f", c, vary, x, free, chiBound(free))
				}
			}
		}
		if tested < 7 {
			t.Errorf("only %d cases were tested", tested)
		}
		return nil
	})
}

// chiSquare is Pearson's statistic; cells that expect fewer than five draws are counted together.
func chiSquare(counts []int, probs []float64, draws int) (x float64, free int) {
	var rare, rareCount float64
	free = -1
	add := func(count, expect float64) {
		x += (count - expect) * (count - expect) / expect
		free++
	}
	for i, p := range probs {
		if expect := p * float64(draws); expect < 5 {
			rare, rareCount = rare+expect, rareCount+float64(counts[i])
		} else {
			add(float64(counts[i]), expect)
		}
	}
	if rare > 0 {
		add(rareCount, max(rare, 1))
	}
	return x, free
}

// chiBound is the 1-10⁻⁵ quantile of χ², by Wilson and Hilferty's approximation.
func chiBound(free int) float64 {
	const z = 4.265
	k := 2 / (9 * float64(free))
	return float64(free) * math.Pow(1-k+z*math.Sqrt(k), 3)
}

func TestValidateNamesTheParameter(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		p    Params
		want string // "": valid
	}{
		{Params{}, ""}, {Params{Temperature: 100, TopP: 1, MinP: 1, TopK: 1 << 30}, ""}, {Params{Temperature: 0.7, TopP: 0.9, MinP: 0.05, TopK: 40}, ""},
		{Params{Temperature: -0.1}, "temperature"}, {Params{Temperature: 101}, "temperature"}, {Params{Temperature: nan}, "temperature"},
		{Params{Temperature: math.Inf(1)}, "temperature"},
		{Params{TopP: -0.1}, "top_p"}, {Params{TopP: 1.01}, "top_p"}, {Params{TopP: nan}, "top_p"},
		{Params{MinP: -0.1}, "min_p"}, {Params{MinP: 1.01}, "min_p"}, {Params{MinP: nan}, "min_p"},
		{Params{TopK: -1}, "top_k"},
	} {
		err := c.p.Validate()
		var named *ParamError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", c.p, err)
		case c.want != "" && (!errors.As(err, &named) || named.Param != c.want):
			t.Errorf("%+v: %v, want a ParamError of %s", c.p, err, c.want)
		}
	}
}

// Whatever the parameters, a suppressed token is not drawn, and the others' logits stay.
func TestSuppressedTokensAreNeverChosen(t *testing.T) {
	mlxtest.OnWorker(t, func(s *mlx.Scope) error {
		for _, dtype := range []mlx.Dtype{mlx.Float32, mlx.BFloat16} {
			logits := s.AsType(mlx.New(s, []float32{1, 9, 2, 8, 3}, 1, 1, 5), dtype)
			if got := Suppress(s, logits, nil); got != logits {
				t.Error("no ids make another array")
			}
			bent := Suppress(s, logits, []int32{3, 1})
			values, err := s.Float32s(bent)
			if err != nil {
				return err
			}
			inf := float32(math.Inf(-1))
			if want := []float32{1, inf, 2, inf, 3}; !slices.Equal(values, want) || bent.Dtype() != dtype {
				t.Errorf("%v, want %v in %v", bent, want, dtype)
			}
			for seed := range uint64(20) {
				for _, p := range []Params{{}, {Temperature: 50, Seed: seed}, {Temperature: 50, TopP: 0.99, Seed: seed}, {Temperature: 50, TopK: 4, Seed: seed}} {
					id, err := s.Int(p.Next(s, bent, 7))
					if err != nil {
						return err
					}
					if id == 1 || id == 3 {
						t.Errorf("%+v chose %d", p, id)
					}
				}
			}
		}
		return nil
	})
}
