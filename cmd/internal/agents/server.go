package agents

import (
	"context"
	"io"
	"net/http"

	"reprise/cmd/internal/client"
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
	if err := s.api().Get(ctx, "/v1/cache/ledger", &list); err != nil {
		return nil, err
	}
	rows := map[string]ledger.Row{}
	for _, r := range list.Rows {
		rows[r.TurnID] = r
	}
	return rows, nil
}

func (s *Server) api() client.Server { return client.Server{URL: s.URL} }

// ask sends a request of any of the APIs again; each ignores what the others want.
func (s *Server) ask(ctx context.Context, path string, body, into any) error {
	return s.api().Call(ctx, http.MethodPost, path, body, into, http.Header{"Anthropic-Version": {"2023-06-01"}})
}
