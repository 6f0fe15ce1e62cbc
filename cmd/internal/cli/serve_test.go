package cli

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/server/api"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// Asked a second time to end, the server no longer waits for the answers under way.
func TestASecondSignalCutsAnswers(t *testing.T) {
	mine := make(chan os.Signal, 8) // so that a signal that comes too early does not end the test
	signal.Notify(mine, syscall.SIGTERM)
	defer signal.Stop(mine)
	began := make(chan struct{})
	e := wiretest.New(func(ctx context.Context, _ *wiretest.Engine, _ engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
		close(began)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	s, err := api.NewServer(api.Options{Engine: e, Addr: "127.0.0.1:0"})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		res, err := http.Post(s.URL()+"/v1/chat/completions", "", strings.NewReader(`{"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}`))
		if err == nil {
			_ = res.Body.Close()
		}
	}()
	<-began
	var log strings.Builder
	asked, first := context.WithCancel(t.Context())
	first()
	ended := make(chan error, 1)
	go func() { ended <- serve(asked, s, slog.New(slog.NewTextHandler(&log, nil))) }()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for over := false; !over; {
		select {
		case err := <-ended:
			if over = true; err != nil {
				t.Error(err)
			}
		case <-again.C:
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-answered
	if text := log.String(); !strings.Contains(text, "context canceled") {
		t.Errorf("it waited to the end of the time for closing: %s", text)
	}
}
