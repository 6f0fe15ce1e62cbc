package anthropic

import (
	"net/http"
	"testing"

	"reprise/server/api/wire"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// TestParameterTable: ../PARAMETERS.md has exactly the parameters that the endpoint knows, each with a test that names it.
func TestParameterTable(t *testing.T) {
	const nested = `"tool_choice":{"type":"tool"},"thinking":{},"output_config":{}`
	m := wiretest.New(nil).Loaded
	names := func(body string, take func(*wire.Object)) []string {
		o, err := wire.ParseObject([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		take(o)
		return o.Names()
	}
	wiretest.Table(t, "POST /v1/messages", names(`{"reprise":{},`+nested+`}`, func(o *wire.Object) { _, _ = take(o, http.Header{}, m) }))
	wiretest.Table(t, "POST /v1/messages/count_tokens", names("{"+nested+"}", func(o *wire.Object) { conversation(o, m, &engine.Request{}) }))
}
