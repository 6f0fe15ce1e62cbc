package loop

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// traceOf writes a run's trace of turns with these answers to one prompt.
func traceOf(t *testing.T, prompt []int32, answers ...[]int32) string {
	t.Helper()
	dir := t.TempDir()
	f, err := create(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, ids := range answers {
		if err := f.add(&Record{Turn: i + 1, Prompt: append(slices.Clone(prompt), int32(i)), Generated: ids}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSameTokens(t *testing.T) {
	prompt := []int32{1, 2, 3}
	a := traceOf(t, prompt, []int32{7, 8, 9}, []int32{4, 5})
	for name, tt := range map[string]struct {
		with  string
		gap   float64
		equal int
		ties  string
		wrong string
	}{
		"the same":         {traceOf(t, prompt, []int32{7, 8, 9}, []int32{4, 5}), 1, 2, "", ""},
		"fewer turns":      {traceOf(t, prompt, []int32{7, 8, 9}), 1, 1, "", ""},
		"a tie":            {traceOf(t, prompt, []int32{7, 8, 9}, []int32{4, 6}), 9e-5, 1, "turn 2: token 2 of the answer is 5 here and 6 there", ""},
		"no tie":           {traceOf(t, prompt, []int32{7, 8, 9}, []int32{4, 6}), 2e-4, 1, "", "turn 2: token 2 of the answer is 5 here and 6 there"},
		"cut short":        {traceOf(t, prompt, []int32{7, 8}, []int32{4, 5}), 0, 1, "", "turn 1: answers of 3 and 2 tokens"},
		"another prompt":   {traceOf(t, []int32{1, 2, 4}, []int32{7, 8, 9}), 0, 0, "", "turn 1: the prompts are not the same ids"},
		"no ids, no proof": {traceOf(t, nil, []int32{7, 8, 9}), 0, 0, "", "turn 1: the prompts are not the same ids"},
	} {
		var asked []int32
		s, err := Same(t.Context(), a, tt.with, func(_ context.Context, ids []int32) (float64, error) { asked = ids; return tt.gap, nil })
		if err != nil {
			t.Fatal(err)
		}
		if s.Equal != tt.equal || !strings.HasPrefix(strings.Join(s.Ties, "\n"), tt.ties) || (tt.ties == "") != (len(s.Ties) == 0) || !strings.HasPrefix(strings.Join(s.Wrong, "\n"), tt.wrong) || (tt.wrong == "") != (len(s.Wrong) == 0) {
			t.Errorf("%s: %s, ties %q, wrong %q", name, s, s.Ties, s.Wrong)
		}
		if asked != nil && !slices.Equal(asked, []int32{1, 2, 3, 1, 4}) {
			t.Errorf("%s: judged behind %v", name, asked)
		}
	}
	if _, err := Same(t.Context(), a, t.TempDir(), nil); err == nil {
		t.Error("a folder without a run was compared")
	}
	unsure := errors.New("no answer")
	if _, err := Same(t.Context(), a, traceOf(t, prompt, []int32{6}), func(context.Context, []int32) (float64, error) { return 0, unsure }); !errors.Is(err, unsure) {
		t.Errorf("a judge that fails: %v", err)
	}
}
