package openai

import (
	"net/http"
	"slices"
	"testing"

	"reprise/server/api/wire"
	"reprise/server/api/wire/wiretest"
)

// TestParameterTable: ../PARAMETERS.md has exactly the parameters that each endpoint knows, each with a test that names it.
func TestParameterTable(t *testing.T) {
	names := func(take func(*wire.Object)) []string {
		o, err := wire.ParseObject([]byte(`{"stream_options": {}, "reprise": {}}`))
		if err != nil {
			t.Fatal(err)
		}
		take(o)
		return o.Names()
	}
	wiretest.Table(t, "POST /v1/chat/completions", names(func(o *wire.Object) { _, _ = conversation(o, http.Header{}, Target{}) }))
	wiretest.Table(t, "POST /v1/completions", names(func(o *wire.Object) { _, _ = continuation(o, http.Header{}, Target{}) }))
	both := names(func(o *wire.Object) { _, _, _ = toTokenize(o, http.Header{}, Target{}) }) // a text's
	both = append(both, names(func(o *wire.Object) { o.Raw("add_special_tokens"); _, _ = conversation(o, http.Header{}, Target{}) })...)
	slices.Sort(both)
	wiretest.Table(t, "POST /tokenize", slices.Compact(both))
	wiretest.Table(t, "POST /v1/embeddings", names(func(o *wire.Object) { _ = toEmbed(o, "") }))
	wiretest.Table(t, "GET /v1/models", nil)
	wiretest.Table(t, "GET /v1/models/{id}", []string{"id"}) // of the path
	wiretest.Table(t, "POST /detokenize", names(func(o *wire.Object) { _, _ = toDetokenize(o, Target{}) }))
}
