package run

import (
	"context"
	"strings"

	"reprise/kvcache/ledger"
	"reprise/server/engine"
)

// script answers turns with texts in order, and remembers what it was asked.
type script struct {
	answers []string
	asked   []engine.Request
	during  func(ctx context.Context) error // called in the middle of an answer
}

func (s *script) Turn(ctx context.Context, req engine.Request, emit func(engine.Event) error) (*engine.Result, error) {
	answer := s.answers[len(s.asked)]
	s.asked = append(s.asked, req)
	row := ledger.Row{PromptTokens: ledger.Some(9), LookupHitTokens: ledger.Some(5), RecomputeTokens: ledger.Some(1), NewTokens: ledger.Some(3)}
	res := &engine.Result{Row: row, IDs: []int32{7}}
	var text strings.Builder
	for i, part := range strings.SplitAfter(answer, " ") {
		if i == 1 && s.during != nil {
			if err := s.during(ctx); err != nil {
				res.Text = text.String()
				return res, err
			}
		}
		text.WriteString(part)
		if emit != nil {
			if err := emit(engine.Event{Text: part}); err != nil {
				return res, err
			}
		}
	}
	res.Text = text.String()
	return res, nil
}
