package anthropic

import (
	"net/http"
	"testing"

	"reprise/server/api/wire"
	"reprise/server/api/wire/wiretest"
)

// TestParameterTable: ../PARAMETERS.md has exactly the parameters that the endpoint knows, each with a test that names it.
func TestParameterTable(t *testing.T) {
	o, err := wire.ParseObject([]byte(`{"reprise":{},"tool_choice":{"type":"tool"},"thinking":{},"output_config":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	m := wiretest.New(nil).Loaded
	_, _ = take(o, http.Header{}, m)
	wiretest.Table(t, "POST /v1/messages", o.Names())
}
