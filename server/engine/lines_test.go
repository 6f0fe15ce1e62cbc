package engine

import (
	"testing"

	"reprise/kvcache/ledger"
	"reprise/model/chat"
	"reprise/server/prompt"
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

// TestASideRequestBesideAFullBudget: the cache's budget is what the main line has. A summary three times as long runs
// beside it, is not kept, and the main line's next turn finds in memory all that it left there.
func TestASideRequestBesideAFullBudget(t *testing.T) {
	fresh(t)
	budget := real.CacheStats().Budget
	t.Cleanup(func() { real.cache.SetBudget(budget); real.lines.tools = 0 })
	tool, err := chat.DecodeOrdered([]byte(`{"type": "function", "function": {"name": "f", "description": "Does it.", "parameters": {"type": "object", "properties": {}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	user := func(text string) chat.Message { return chat.NewMessage("user", text) }
	talk := []chat.Message{user(long("Main", 500))}
	turn := func() *Result {
		return ask(t, Request{Purpose: ledger.PurposeTurn, Prompt: prompt.Input{Messages: talk, Tools: []chat.Value{tool}}, MaxTokens: 4})
	}
	first := turn()
	talk = append(talk, chat.NewMessage("assistant", first.Text), user("Go on."))
	second := turn()
	held := second.Row.KVLiveBytes.Or(0)
	real.cache.SetBudget(held)
	for _, text := range []string{"Title", "Summary"} {
		side := ask(t, Request{Purpose: ledger.PurposeTurn, Prompt: prompt.Input{Messages: []chat.Message{user(long(text, 1500))}}, MaxTokens: 4})
		if left := side.Row.KVLiveBytes.Or(0); left > held || side.Row.PrefillTokens.Or(0) < 1500 {
			t.Errorf("%s: %d bytes are left, of a budget of %d: %+v", text, left, held, side.Row)
		}
	}
	talk = append(talk, chat.NewMessage("assistant", second.Text), user("And on."))
	third := turn()
	if hit, want := third.Row.L0HitTokens.Or(0), second.Row.PromptTokens.Or(0); hit < want {
		t.Errorf("the main line hits %d in memory; its turn before had %d tokens (%s)", hit, want, third.Row.MissReason.Or(""))
	}
}
