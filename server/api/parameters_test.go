package api

import (
	"net/http"
	"strings"
	"testing"

	"reprise/server/api/wire/wiretest"
)

// TestOwnParameters: PARAMETERS.md has what reprise's own endpoints take, and a mistake in it is answered by its name.
func TestOwnParameters(t *testing.T) {
	wiretest.Table(t, "GET /v1/cache/ledger", rowsParams)
	wiretest.Table(t, "GET /v1/cache/why/{turn_id}", []string{"turn_id"}) // of the path
	wiretest.Table(t, "POST /v1/cache/clear", clearParams)
	wiretest.Table(t, "GET /v1/cache/stats", nil)
	wiretest.Table(t, "POST /v1/cache/verify", nil)
	h := newServer(t, Options{Engine: wiretest.New(nil)}).Handler()
	for _, tt := range []struct {
		method, path, param, value string
		status                     int
	}{
		{http.MethodGet, "/v1/cache/ledger?", "since", "turn_x", http.StatusOK},
		{http.MethodGet, "/v1/cache/ledger?", "session", "a", http.StatusOK},
		{http.MethodGet, "/v1/cache/ledger?", "until", "turn_x", http.StatusBadRequest},
		{http.MethodPost, "/v1/cache/clear?", "tier", "l1", http.StatusOK},
		{http.MethodPost, "/v1/cache/clear?", "tier", "l3", http.StatusBadRequest},
		{http.MethodPost, "/v1/cache/clear?", "session", "a", http.StatusBadRequest},
		{http.MethodGet, "/v1/cache/why/", "turn_id", "turn_x", http.StatusNotFound},
	} {
		target := tt.path + tt.param + "=" + tt.value
		if tt.param == "turn_id" {
			target = tt.path + tt.value
		}
		w := call(h, tt.method, target, "")
		if w.Code != tt.status || w.Code >= 400 && !strings.Contains(w.Body.String(), `"param":"`+tt.param+`"`) {
			t.Errorf("%s %s: %d %s, want %d", tt.method, target, w.Code, w.Body, tt.status)
		}
	}
}
