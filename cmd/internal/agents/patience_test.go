package agents

import (
	"context"
	"os/exec"
	"sync"
	"testing"
	"time"

	"reprise/server/api"
	"reprise/server/api/wire/wiretest"
	"reprise/server/engine"
)

// TestSDKsWaitForWholeAnswers: an answer in one that takes twice as long as the SDKs wait for a byte. They read the white
// space in front of it as signs of life, and the JSON behind it as the answer, in every API.
func TestSDKsWaitForWholeAnswers(t *testing.T) {
	at := clients(t)
	s, err := api.NewServer(api.Options{Addr: "127.0.0.1:0", Engine: wiretest.New(
		func(ctx context.Context, e *wiretest.Engine, req engine.Request, _ func(engine.Event) error) (*engine.Result, error) {
			select {
			case <-ctx.Done(): // the client gave up
				return nil, ctx.Err()
			case <-time.After(18 * time.Second):
				return e.Finish(req, "Hello", 2), nil
			}
		})})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(t.Context()) }()
	var both sync.WaitGroup
	for _, command := range [][]string{{at.Python, "testdata/patience.py", s.URL()}, {at.Node, "testdata/patience.mjs", at.Modules, s.URL()}} {
		both.Go(func() {
			if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", command[1], err, out)
			}
		})
	}
	both.Wait()
}
