package engine

import (
	"testing"

	"reprise/kvcache/ledger"
	"reprise/model/chat"
)

func TestLines(t *testing.T) {
	var l lines
	with := func(tools int) Request {
		r := Request{Purpose: ledger.PurposeTurn}
		r.Prompt.Tools = make([]chat.Value, tools)
		return r
	}
	warm := with(0)
	warm.Purpose = ledger.PurposeWarmup
	for i, c := range []struct {
		req  Request
		side bool
	}{
		{with(0), false}, {with(0), false}, // a chat, with nothing to be beside of
		{with(12), false}, {with(0), true}, {with(2), true}, {warm, false}, {with(12), false},
		{with(18), false}, {with(12), true}, {with(18), false},
	} {
		if got := l.side(c.req); got != c.side {
			t.Errorf("request %d, with %d tools: side %v", i, len(c.req.Prompt.Tools), got)
		}
	}
	for i := range mostBeside {
		if !l.side(with(0)) {
			t.Fatalf("request %d beside the main line is taken for it", i)
		}
	}
	if first, second := l.side(with(0)), l.side(with(0)); first || second {
		t.Error("the agent is gone, and a chat is still beside it")
	}
}
