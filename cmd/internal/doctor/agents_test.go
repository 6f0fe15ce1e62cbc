package doctor

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The agents' side is among the findings: a configuration that no longer fits the running server comes with what mends it.
func TestAgents(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"data":[{"id":"small","owned_by":"reprise","context_length":65536}]}`))
	}))
	defer srv.Close()
	addr := strings.TrimPrefix(srv.URL, "http://")
	for _, v := range []string{"OPENCLAW_CONFIG_PATH", "OPENCLAW_STATE_DIR", "OPENCLAW_HOME", "HERMES_HOME"} {
		t.Setenv(v, "")
	}
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	path := filepath.Join(dir, ".hermes", "config.yaml")
	for _, tt := range []struct {
		context string
		level   Level
		says    string
	}{
		{"65536", OK, "65536"},
		{"60000", Warning, "60000"},
		{"128000", Problem, "128000"},
	} {
		text := "model: {provider: reprise, default: small, context_length: " + tt.context + "}\nproviders: {reprise: {base_url: " + srv.URL + "/v1}}\n"
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := &Report{}
		r.agents(t.Context(), Options{Addr: addr})
		if f := find(t, r, "hermes"); f.Level != tt.level || !strings.Contains(f.Says, tt.says) || (f.Mend == "") != (tt.level == OK) {
			t.Errorf("told of %s: %+v", tt.context, f)
		}
		if f := find(t, r, "openclaw"); f.Level != OK {
			t.Errorf("%+v", f)
		}
	}
}
