package api

import (
	"io"
	"strings"
	"testing"

	"reprise/server/api/wire"
)

// A conversation of too many messages, and too many tools, are refused by name in every API.
func TestCounts(t *testing.T) {
	many := func(one string, n int) string { return "[" + strings.Repeat(one+",", n) + one + "]" }
	messages, tools := many(`{"role":"user","content":"x"}`, wire.MaxItems), many(`{"type":"function","name":"f","function":{"name":"f"}}`, wire.MaxTools)
	plain := many(`{"name":"f"}`, wire.MaxTools)
	for _, c := range [][3]string{
		{"/v1/chat/completions", `{"model":"tiny","messages":` + messages + `}`, "messages has 16385 entries"},
		{"/v1/chat/completions", `{"model":"tiny","messages":[{"role":"user","content":"x"}],"tools":` + tools + `}`, "tools has 1025 entries"},
		{"/v1/responses", `{"model":"tiny","input":` + messages + `}`, "input has 16385 entries"},
		{"/v1/responses", `{"model":"tiny","input":"x","tools":` + many(`{"type":"function","name":"f"}`, wire.MaxTools) + `}`, "tools has 1025 entries"},
		{"/v1/messages", `{"model":"tiny","max_tokens":1,"messages":` + messages + `}`, "messages has 16385 entries"},
		{"/v1/messages", `{"model":"tiny","max_tokens":1,"messages":[{"role":"user","content":"x"}],"tools":` + plain + `}`, "tools has 1025 entries"},
	} {
		res := answerTo(t, Options{}, "POST", c[0], c[1])
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 400 || !strings.Contains(string(body), c[2]) {
			t.Errorf("%s: %d %.200s, want %s", c[0], res.StatusCode, body, c[2])
		}
	}
}
