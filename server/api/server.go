package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"reprise/server/api/anthropic"
	"reprise/server/api/openai"
	"reprise/server/api/responses"
	"reprise/server/api/wire"
)

// Options say where to listen and what to serve.
type Options struct {
	Engine   wire.Engine  // with its model loaded
	Addr     string       // HOST:PORT; "": DefaultAddr. Port 0 takes a free one
	APIKey   string       // that clients must show; "": none, on loopback only
	Page     http.Handler // of GET /; nil: there is none
	Metrics  http.Handler // of GET /metrics; nil: there is none
	Record   io.Writer    // gets a Trace, one line of JSON, for each request that runs a turn; nil: nothing
	Origins  []string     // web pages that may use the server: "https://host"; none: pages of its own alone
	Profiles bool         // /debug/pprof, on loopback only
	// LogPrompts puts the texts of prompts and answers into the log.
	LogPrompts bool
	OpenTurns  int          // running and waiting; more are refused with 429. 0: DefaultOpenTurns
	Logger     *slog.Logger // nil: none
}

// Defaults of Options.
const (
	DefaultAddr      = "127.0.0.1:8000"
	DefaultOpenTurns = 64
)

// Limits of a connection. A request's body has its own (package wire) as well; an answer takes as long as it takes.
const (
	headerTime  = 10 * time.Second
	idleTime    = 2 * time.Minute
	headerBytes = 64 << 10
)

// Server serves one engine. Start and Close are called once each; Close does not close the engine.
type Server struct {
	opts     Options
	engine   wire.Engine
	log      *slog.Logger
	loopback bool     // that is where it listens
	key      [32]byte // SHA-256 of the API key
	bodies   *bodies
	http     *http.Server
	listener net.Listener
	served   chan error         // the one result of http.Serve
	stop     context.CancelFunc // of every request's context
	stopping atomic.Bool
}

// NewServer checks the options and makes the routes; it does not listen yet.
func NewServer(opts Options) (*Server, error) {
	if opts.Engine == nil {
		return nil, errors.New("api: no engine to serve")
	}
	if opts.Addr == "" {
		opts.Addr = DefaultAddr
	}
	if opts.OpenTurns == 0 {
		opts.OpenTurns = DefaultOpenTurns
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	loopback, err := isLoopback(opts.Addr)
	if err != nil {
		return nil, err
	}
	if !loopback && opts.APIKey == "" {
		return nil, errOpen(opts.Addr)
	}
	if opts.Profiles && !loopback {
		return nil, fmt.Errorf("--pprof: %s can be reached from other machines; profiles are for this one alone", opts.Addr)
	}
	for _, origin := range opts.Origins {
		if err := http.NewCrossOriginProtection().AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("--cors-origin %s: must be SCHEME://HOST or SCHEME://HOST:PORT: %w", origin, err)
		}
	}
	base, stop := context.WithCancel(context.Background())
	s := &Server{
		opts: opts, engine: opts.Engine, log: opts.Logger, loopback: loopback,
		key: sha256.Sum256([]byte(opts.APIKey)), bodies: newBodies(opts.Engine.MemoryStats().Limit), served: make(chan error, 1), stop: stop,
	}
	own := s.routes()
	for path, h := range map[string]http.Handler{pagePath: opts.Page, "/metrics": opts.Metrics} {
		if h != nil {
			own = append(own, wire.Route{Method: http.MethodGet, Path: path, Handle: func(w http.ResponseWriter, r *http.Request) error {
				h.ServeHTTP(w, r)
				return nil
			}})
		}
	}
	if opts.Profiles {
		own = append(own, profiles()...)
	}
	turns := wire.NewTurns(wire.TurnOptions{Engine: opts.Engine, Log: opts.Logger, Open: opts.OpenTurns, Texts: opts.LogPrompts})
	s.http = &http.Server{
		Handler:           s.handler(slices.Concat(own, openai.New(turns).Routes(), anthropic.New(turns).Routes(), responses.New(turns).Routes())),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       headerTime + wire.BodyTime, // of a body that nobody reads, too: it is waited for before the answer leaves
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Handler is the server without its socket.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Start listens and serves in the background.
func (s *Server) Start() error {
	l, err := net.Listen("tcp", s.opts.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; choose another with --addr", s.opts.Addr, err)
	}
	// A name may lead anywhere: the socket has the last word.
	if a, ok := l.Addr().(*net.TCPAddr); s.opts.APIKey == "" && !(ok && a.IP.IsLoopback()) {
		return errors.Join(errOpen(l.Addr().String()), l.Close())
	}
	s.listener = l
	go func() { s.served <- s.http.Serve(l) }()
	return nil
}

// URL is where the server listens, "http://127.0.0.1:8000"; "" before Start.
func (s *Server) URL() string {
	if s.listener == nil {
		return ""
	}
	return "http://" + s.listener.Addr().String()
}

// Served gives the error that ended the service, once; http.ErrServerClosed after Close.
func (s *Server) Served() <-chan error { return s.served }

// Close stops listening and waits for the answers under way until ctx ends; those that are left are cancelled and
// cut then, and Close returns an error that wraps ctx's.
func (s *Server) Close(ctx context.Context) error {
	s.stopping.Store(true)
	err := s.http.Shutdown(ctx)
	s.stop()
	if err == nil {
		return nil
	}
	// The cancelled turns end within a step; they must be gone before the caller closes the engine.
	last, cancel := context.WithTimeout(context.Background(), lastTime)
	defer cancel()
	if s.http.Shutdown(last) != nil {
		_ = s.http.Close() // its errors are the sockets', which nobody uses any more
		return fmt.Errorf("cancelled answers did not end within %v: %w", lastTime, err)
	}
	return fmt.Errorf("answers under way were cut off: %w", err)
}

// lastTime is how long cancelled turns may take to end.
const lastTime = 5 * time.Second

func errOpen(addr string) error {
	return fmt.Errorf("%s can be reached from other machines: set --api-key (or REPRISE_API_KEY), or listen on 127.0.0.1", addr)
}

// isLoopback says whether an address is this machine's own only.
func isLoopback(addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, fmt.Errorf("--addr %q must be HOST:PORT: %w", addr, err)
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback(), nil
}
