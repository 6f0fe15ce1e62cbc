package responses

import (
	"net/http"
	"testing"

	"reprise/server/api/wire"
	"reprise/server/api/wire/wiretest"
)

// TestParameterTable: ../PARAMETERS.md has exactly the parameters that the endpoint knows, each with a test that names it.
func TestParameterTable(t *testing.T) {
	o, err := wire.ParseObject([]byte(`{"stream_options":{},"reprise":{},"reasoning":{},"text":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	m := wiretest.New(nil).Loaded
	_, _ = take(o, http.Header{}, m, newKept())
	wiretest.Table(t, "POST /v1/responses", o.Names())
}
