package api

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"reprise/model/hub"
	"reprise/server/api/wire"
)

// bodies bounds the bytes of all requests that are being read or answered: 64 of the largest size allowed would be 4 GB
// before the first one is looked at.
type bodies struct {
	limit int64 // bytes
	held  atomic.Int64
}

// What bodies may hold: a share of the process's memory, since what is made of a body takes several times as much. One body of
// the largest size always fits.
const (
	bodiesPart = 32 // of the memory limit
	mostBodies = 1 << 30
)

func newBodies(memory int64) *bodies {
	return &bodies{limit: min(max(wire.MaxBody+1, memory/bodiesPart), mostBodies)} // +1: one that is too large is told that instead
}

// count has next's request give its bytes back when it was answered.
func (b *bodies) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &countedBody{ReadCloser: r.Body, all: b}
		defer func() { b.held.Add(-body.bytes) }()
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

// countedBody fails with a *wire.Error when it would take more than is left. What it read counts until its request is answered:
// the texts stay as long.
type countedBody struct {
	io.ReadCloser
	all   *bodies
	bytes int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes += int64(n)
	if held := c.all.held.Add(int64(n)); held > c.all.limit {
		return 0, &wire.Error{Status: http.StatusServiceUnavailable, Code: wire.CodeMemory, RetryAfter: bodiesRetry, Message: fmt.Sprintf(
			"there is not enough memory now for this request's body: the bodies of all requests under way may take %s, and others hold %s. Try again in %d seconds.",
			hub.SizeText(c.all.limit), hub.SizeText(max(0, held-c.bytes)), int(bodiesRetry.Seconds()))}
	}
	return n, err
}

// bodiesRetry is what a refused client is told.
const bodiesRetry = 5 * time.Second
