package loop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"reprise/cmd/internal/loop/oracle"
)

// tie is a difference of the two most probable tokens' log probabilities below which either is a right answer: states that were
// computed by other calls differ by rounding.
const tie = 1e-4

// Judge says how far apart the two most probable tokens behind these ids are, computed from nothing.
type Judge func(ctx context.Context, ids []int32) (gap float64, err error)

// Sameness is how a run's answers compare with another run's of the same prompts.
type Sameness struct {
	With  string   `json:"with"`
	Turns int      `json:"turns"` // that were compared
	Equal int      `json:"equal_turns"`
	Ties  []string `json:"ties"` // answers that part where two tokens were equally probable
	Wrong []string `json:"wrong"`
	// Sampled answers differ because chance had a part in them, and are not compared.
	Sampled int `json:"sampled,omitempty"`
}

// Same compares the greedy tokens of two runs, turn by turn, as far as both go. Answers are the same, or part first where two
// tokens are a tie; prompts must be the same ids.
func Same(ctx context.Context, dir, with string, judge Judge) (*Sameness, error) {
	mine, err := readTrace(dir)
	if err != nil {
		return nil, err
	}
	theirs, err := readTrace(with)
	if err != nil {
		return nil, err
	}
	s := &Sameness{With: with, Turns: min(len(mine), len(theirs)), Ties: []string{}, Wrong: []string{}}
	if s.Turns == 0 {
		return nil, fmt.Errorf("nothing to compare: %d turns in %s, %d in %s", len(mine), dir, len(theirs), with)
	}
	for i := range s.Turns {
		if err := s.turn(ctx, &mine[i], &theirs[i], judge); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Sameness) turn(ctx context.Context, a, b *Record, judge Judge) error {
	if len(a.Prompt) == 0 || !slices.Equal(a.Prompt, b.Prompt) {
		s.Wrong = append(s.Wrong, fmt.Sprintf("turn %d: the prompts are not the same ids (%d and %d): compare runs of one layout with --assistant scripted", a.Turn, len(a.Prompt), len(b.Prompt)))
		return nil
	}
	return s.Answers(ctx, a, b.Generated, judge)
}

// Answers compares a turn's answer with another one to the same prompt.
func (s *Sameness) Answers(ctx context.Context, a *Record, other []int32, judge Judge) error {
	say := func(list *[]string, format string, args ...any) {
		*list = append(*list, fmt.Sprintf("turn %d: ", a.Turn)+fmt.Sprintf(format, args...))
	}
	n := oracle.Common(a.Generated, other)
	switch {
	case n == len(a.Generated) && n == len(other):
		s.Equal++
		return nil
	case n == len(a.Generated) || n == len(other):
		say(&s.Wrong, "answers of %d and %d tokens", len(a.Generated), len(other))
		return nil
	}
	gap, err := judge(ctx, slices.Concat(a.Prompt, a.Generated[:n]))
	if err != nil {
		return fmt.Errorf("turn %d: judging where the answers part: %w", a.Turn, err)
	}
	list := &s.Ties
	if gap >= tie {
		list = &s.Wrong
	}
	say(list, "token %d of the answer is %d here and %d there; the two most probable are %.2g apart", n+1, a.Generated[n], other[n], gap)
	return nil
}

// String is one line.
func (s *Sameness) String() string {
	text := fmt.Sprintf("%d of %d turns have the greedy tokens of %s", s.Equal, s.Turns, s.With)
	if len(s.Ties) > 0 {
		text += fmt.Sprintf(", %d part at a tie", len(s.Ties))
	}
	if s.Sampled > 0 {
		text += fmt.Sprintf(", %d that were sampled are others", s.Sampled)
	}
	if len(s.Wrong) > 0 {
		text += fmt.Sprintf(", %d DIFFER: %s", len(s.Wrong), strings.Join(s.Wrong[:min(3, len(s.Wrong))], "; "))
	}
	return text
}

// readTrace reads a run's records.
func readTrace(dir string) ([]Record, error) {
	f, err := os.Open(filepath.Join(dir, TraceFile))
	if err != nil {
		return nil, fmt.Errorf("no run in %s: %w", dir, err)
	}
	defer f.Close()
	var out []Record
	for dec := json.NewDecoder(f); dec.More(); {
		var r Record
		if err := dec.Decode(&r); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		out = append(out, r)
	}
	return out, nil
}

// Gap is a Judge: the server computes the ids from nothing and says how probable the two best tokens are.
func (s *Reprise) Gap(ctx context.Context, ids []int32) (float64, error) {
	var said struct {
		Choices []struct {
			Logprobs struct {
				Top []map[string]float64 `json:"top_logprobs"`
			} `json:"logprobs"`
		} `json:"choices"`
	}
	if err := s.Post(ctx, "/v1/completions", map[string]any{
		"model": s.Model.ID, "prompt": ids, "max_tokens": 1, "temperature": 0, "logprobs": 2, "reprise": map[string]any{"reuse": false},
	}, &said); err != nil {
		return 0, err
	}
	if len(said.Choices) != 1 || len(said.Choices[0].Logprobs.Top) == 0 {
		return 0, errors.New("the server gave no log probabilities: the first token ends the answer")
	}
	best := []float64{}
	for _, p := range said.Choices[0].Logprobs.Top[0] {
		best = append(best, p)
	}
	slices.Sort(best)
	if len(best) < 2 {
		return math.Inf(1), nil
	}
	return best[len(best)-1] - best[len(best)-2], nil
}
