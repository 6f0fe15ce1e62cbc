package tier

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Remote is L2: a Valkey or Redis that several processes share. A slot is a hash, from a block's name to its header; a part is
// a value of its own. Parts are written before the header that names them, and expire after it was last wanted.
type Remote struct {
	client  *redis.Client
	opts    RemoteOptions
	breaker breaker
	packer  packer

	mu       sync.Mutex
	stats    RemoteStats
	full     time.Time // no stores until then: the store holds as much as it may
	toldFull bool
	measured time.Time
	waiting  Backlog                       // bytes that wait to be stored
	known    map[Slot]map[string]time.Time // members seen there, and when

	jobs  chan *Block
	notes chan note
	stop  context.CancelFunc
	done  chan struct{}
}

// RemoteOptions say which store and with what patience.
type RemoteOptions struct {
	// URL is what go-redis takes (redis://user:password@host:port/db, rediss:// for TLS, unix://), and of ours: ttl=24h,
	// limit=8GB (bytes of the store's memory from which on nothing is stored), timeout=1s (of an answer).
	URL     string
	TTL     time.Duration
	Limit   int64
	Timeout time.Duration
	Log     *slog.Logger
}

// What holds when the URL does not say otherwise.
const (
	DefaultTTL     = 24 * time.Hour
	DefaultTimeout = time.Second
	remoteSpeed    = 20e6 // bytes a second: a slower transfer is given up
	mostWaiting    = 256 << 20
	keyPrefix      = "reprise:1:"
	batchBytes     = 32 << 20 // of one pipeline
)

// RemoteStats are its counters since the process began.
type RemoteStats struct {
	Addr       string  `json:"addr"`
	Stores     int64   `json:"stored_blocks"`
	Loads      int64   `json:"loaded_blocks"`
	Bad        int64   `json:"bad_blocks"`
	Dropped    int64   `json:"dropped_blocks"` // not stored: too many waited, the store is full, or it did not answer
	Failures   int64   `json:"failures"`       // time-outs and refusals
	WriteBytes int64   `json:"write_bytes"`
	ReadBytes  int64   `json:"read_bytes"`
	StoreMs    float64 `json:"store_ms"`
	LoadMs     float64 `json:"load_ms"`
	StoreBytes int64   `json:"store_bytes"`   // what the whole store held, others' data too, when it was last asked; 0: not yet
	Compressed float64 `json:"compressed_to"` // share of their size that the stored parts have
	Off        bool    `json:"off"`           // left alone after a failure
}

// ParseRemote checks a URL without connecting.
func ParseRemote(raw string) (o RemoteOptions, err error) {
	_, o, err = parseRemote(raw)
	return o, err
}

func parseRemote(raw string) (*redis.Options, RemoteOptions, error) {
	o := RemoteOptions{URL: raw, TTL: DefaultTTL, Timeout: DefaultTimeout}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, o, errors.New("it is not a URL; write it like redis://127.0.0.1:6379/0")
	}
	q := u.Query()
	for name, set := range map[string]func(string) error{
		"ttl":     func(s string) (err error) { o.TTL, err = time.ParseDuration(s); return err },
		"timeout": func(s string) (err error) { o.Timeout, err = time.ParseDuration(s); return err },
		"limit":   func(s string) (err error) { o.Limit, err = parseBytes(s); return err },
	} {
		if v := q.Get(name); v != "" {
			if err := set(v); err != nil {
				return nil, o, fmt.Errorf("%s=%s: %w", name, v, err)
			}
			q.Del(name)
		}
	}
	if o.TTL < time.Second || o.Timeout <= 0 || o.Limit < 0 {
		return nil, o, fmt.Errorf("ttl must be at least 1s, timeout positive, limit not negative")
	}
	u.RawQuery = q.Encode()
	ro, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, o, fmt.Errorf("%w; write it like redis://127.0.0.1:6379/0?ttl=24h&limit=8GB&timeout=1s", err)
	}
	ro.DialTimeout, ro.ReadTimeout, ro.WriteTimeout = o.Timeout, o.Timeout, o.Timeout
	ro.MaxRetries, ro.ContextTimeoutEnabled, ro.DisableIdentity = -1, true, true
	return ro, o, nil
}

// parseBytes reads 8GB, 500MB or a number; decimal.
func parseBytes(s string) (int64, error) {
	unit := int64(1)
	for name, n := range map[string]int64{"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12} {
		if rest, ok := strings.CutSuffix(s, name); ok {
			s, unit = rest, n
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<50/unit {
		return 0, errors.New("not a size like 8GB")
	}
	return n * unit, nil
}

// OpenRemote starts the writer. It does not connect: a store that is not there yet may come.
func OpenRemote(raw string, log *slog.Logger) (*Remote, error) {
	ro, o, err := parseRemote(raw)
	if err != nil {
		return nil, err
	}
	if o.Log = log; log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Remote{client: redis.NewClient(ro), opts: o, known: map[Slot]map[string]time.Time{}, jobs: make(chan *Block, 4096), notes: make(chan note, 4096), stop: stop, done: make(chan struct{})}
	r.stats.Addr = ro.Addr
	go r.run(ctx)
	return r, nil
}

// Close stops the writer; what waits to be stored is dropped.
func (r *Remote) Close() error {
	r.stop()
	<-r.done
	return r.client.Close()
}

// Stats reads the counters.
func (r *Remote) Stats() RemoteStats {
	r.packer.mu.Lock()
	in, out := r.packer.In, r.packer.Out
	r.packer.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Off, s.Compressed = r.breaker.isOpen(), 1
	if in > 0 {
		s.Compressed = float64(out) / float64(in)
	}
	return s
}

func (h *Header) member() string {
	kind := "r"
	if h.Kept {
		kind = "k"
	}
	return kind + hex.EncodeToString(h.Digest[:16])
}

func slotKey(s Slot) string { return keyPrefix + "s:" + s.String() }

func (h *Header) partKey(i int) string {
	return fmt.Sprintf("%sp:%s:%s:%d", keyPrefix, h.Slot, h.member(), i)
}

// guarded runs one exchange with the store, unless it was left alone, and notes how it went.
func (r *Remote) guarded(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	if err := r.breaker.allow(); err != nil {
		return err
	}
	inner, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(inner)
	switch {
	case ctx.Err() != nil: // ours, not the store's
		r.breaker.cancelled()
		return ctx.Err()
	case err == nil:
		if r.breaker.succeeded() {
			r.unlearn() // it may have begun anew, or be another one
			r.opts.Log.Info("the remote cache answers again", "addr", r.stats.Addr)
		}
		return nil
	}
	var wrong *BadBlock
	if errors.As(err, &wrong) || errors.Is(err, errGone) {
		r.breaker.succeeded()
		return err
	}
	if errors.Is(err, errFull) || redis.HasErrorPrefix(err, "OOM ") { // it answers: what it has can be read
		r.breaker.succeeded()
		r.filled(err)
		return err
	}
	if timedOut(err) {
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	r.mu.Lock()
	r.stats.Failures++
	r.mu.Unlock()
	if first, wait := r.breaker.failed(err); first {
		r.opts.Log.Warn("the remote cache does not answer: the server goes on without", "addr", r.stats.Addr, "err", err, "tried_again_in", wait)
	}
	return err
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// note remembers that a block is there.
func (r *Remote) note(h *Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) > 1<<16 {
		clear(r.known) // it only spares questions
	}
	if r.known[h.Slot] == nil {
		r.known[h.Slot] = map[string]time.Time{}
	}
	r.known[h.Slot][h.member()] = time.Now()
}

// unlearn forgets which blocks are there: of these slots, or without any, of all.
func (r *Remote) unlearn(slots ...Slot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range slots {
		delete(r.known, s)
	}
	if len(slots) == 0 {
		clear(r.known)
	}
}
