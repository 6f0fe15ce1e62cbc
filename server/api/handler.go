package api

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"reprise/server/api/anthropic"
	"reprise/server/api/openai"
	"reprise/server/api/wire"
)

// handler makes the mux and puts the guards before it.
func (s *Server) handler(routes []wire.Route) http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, r := range routes {
		mux.HandleFunc(r.Method+" "+r.Path, handle(r.Handle))
		methods[r.Path] = append(methods[r.Path], r.Method)
	}
	for path, allowed := range methods {
		mux.HandleFunc(path, handle(wrongMethod(allowed)))
	}
	mux.HandleFunc("/", handle(notFound))
	return s.survive(s.guard(s.bodies.count(s.record(mux))))
}

// writeError answers in the shape of the API that the path belongs to, also where no route of it was reached.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	if path := r.URL.Path; path == anthropic.Path || strings.HasPrefix(path, anthropic.Path+"/") {
		anthropic.WriteError(w, err)
		return
	}
	openai.WriteError(w, err)
}

// handle gives a route's error to the client.
func handle(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		switch {
		case err == nil:
		case errors.Is(err, wire.ErrCut):
			panic(http.ErrAbortHandler) // net/http's way to cut a connection
		default:
			writeError(w, r, err)
		}
	}
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return &wire.Error{Status: http.StatusNotFound, Code: wire.CodeNotFound, Message: fmt.Sprintf("there is no %s %.200s here", r.Method, r.URL.Path)}
}

func wrongMethod(allowed []string) func(http.ResponseWriter, *http.Request) error {
	slices.Sort(allowed)
	list := strings.Join(allowed, ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", list)
		return &wire.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: fmt.Sprintf("%s %.200s is not possible: use %s", r.Method, r.URL.Path, list)}
	}
}

// survive turns a panic into a 500, or into a cut connection when the answer has begun.
func (s *Server) survive(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := &watched{ResponseWriter: w}
		defer func() {
			p := recover()
			switch {
			case p == nil:
				return
			case p == http.ErrAbortHandler: //nolint:errorlint // a recovered value, and meant
				panic(p)
			}
			s.log.Error("panic in a handler", "method", r.Method, "path", r.URL.Path, "panic", wire.Panicked(p, s.opts.LogPrompts), "stack", string(debug.Stack()))
			if began.written {
				panic(http.ErrAbortHandler)
			}
			writeError(w, r, &wire.Error{Status: http.StatusInternalServerError, Code: "internal_error",
				Message: "the server made a mistake; its log has the details"})
		}()
		next.ServeHTTP(began, r)
	})
}

// watched knows whether an answer has begun.
type watched struct {
	http.ResponseWriter
	written bool
}

func (w *watched) WriteHeader(status int) {
	w.written = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(b []byte) (int, error) {
	w.written = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
