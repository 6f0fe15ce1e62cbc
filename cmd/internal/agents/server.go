package agents

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"time"

	"reprise/kvcache/ledger"
)

// Server is a running `reprise serve`.
type Server struct {
	URL  string
	cmd  *exec.Cmd
	done chan error
}

// The server's own limits: of its load, and of its ending.
const (
	loading = 2 * time.Minute
	ending  = 20 * time.Second
)

var readyLine = regexp.MustCompile(`^ready: (http://\S+) serves `)

// Serve starts binary with the flags and home (REPRISE_HOME), and waits until it is ready. Its log goes to log.
func Serve(ctx context.Context, binary, home string, log io.Writer, flags ...string) (*Server, error) {
	cmd := exec.Command(binary, append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...)...)
	cmd.Env = append(os.Environ(), "REPRISE_HOME="+home)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{cmd: cmd, done: make(chan error, 1)}
	ready := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m[1]
			}
		}
		s.done <- cmd.Wait()
	}()
	limit := time.After(loading)
	select {
	case s.URL = <-ready:
		return s, nil
	case err := <-s.done:
		return nil, errors.Join(errors.New("the server ended before it was ready"), err)
	case <-limit:
		err = fmt.Errorf("the server was not ready within %v", loading)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, s.Close())
}

// Close ends the server as a user would, and harder when that takes too long.
func (s *Server) Close() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		return err
	case <-time.After(ending):
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		return fmt.Errorf("the server did not end within %v and was killed: %w", ending, <-s.done)
	}
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
