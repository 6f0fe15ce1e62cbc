package agents

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"reprise/cmd/internal/process"
	"reprise/kvcache/ledger"
)

// Server is a running `reprise serve`.
type Server struct{ *process.Server }

// Serve starts binary with the flags and home (REPRISE_HOME), and waits until it is ready. Its log goes to log.
func Serve(ctx context.Context, binary, home string, log io.Writer, flags ...string) (*Server, error) {
	s, err := process.Reprise{Name: "the server", Binary: binary, Home: home, Log: log, Flags: flags}.Serve(ctx)
	if err != nil {
		return nil, err
	}
	return &Server{s}, nil
}

// Rows are the ledger's, by turn.
func (s *Server) Rows(ctx context.Context) (map[string]ledger.Row, error) {
	var list struct{ Rows []ledger.Row }
	if err := s.call(ctx, http.MethodGet, "/v1/cache/ledger", nil, &list); err != nil {
		return nil, err
	}
	rows := map[string]ledger.Row{}
	for _, r := range list.Rows {
		rows[r.TurnID] = r
	}
	return rows, nil
}

func (s *Server) call(ctx context.Context, method, path string, body io.Reader, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("anthropic-version", "2023-06-01")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s: %.300s", path, res.Status, raw)
	}
	return json.Unmarshal(raw, into)
}
