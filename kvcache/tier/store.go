package tier

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Put hands a block over to the writer. It never waits: what finds no room there is dropped and counted. done, when given, is
// told what was stored.
func (r *Remote) Put(b *Block) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting.Amount()+b.Bytes() > mostWaiting || r.breaker.isOpen() || time.Now().Before(r.full) {
		r.stats.Dropped++
		return false
	}
	select {
	case r.jobs <- b:
		r.waiting.Add(b.Bytes())
		return true
	default:
		r.stats.Dropped++
		return false
	}
}

// knownFor is how long a block that was seen there is taken to be there: others clear a store, and a store evicts.
const knownFor = time.Minute

// Has says whether this process stored the block lately, or found it there.
func (r *Remote) Has(h *Header) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.known[h.Slot][h.member()]
	return ok && time.Since(at) < min(knownFor, r.opts.TTL/2)
}

// Learn asks which of these blocks are there, so that nobody prepares them for nothing. Off says that the store is left alone.
func (r *Remote) Learn(ctx context.Context, headers []*Header) (off bool) {
	var ask []*Header
	for _, h := range headers {
		if !r.Has(h) {
			ask = append(ask, h)
		}
	}
	if len(ask) == 0 {
		return r.breaker.isOpen()
	}
	return r.guarded(ctx, r.opts.Timeout, func(ctx context.Context) error {
		pipe := r.client.Pipeline()
		cmds := make([]*redis.BoolCmd, len(ask))
		for i, h := range ask {
			cmds[i] = pipe.HExists(ctx, slotKey(h.Slot), h.member())
		}
		if _, err := pipe.Exec(ctx); err != nil && !wrongKind(err) {
			return err
		}
		for i, cmd := range cmds {
			if err := r.checkSlot(ctx, ask[i].Slot, cmd.Err()); err != nil && !errors.As(err, new(*BadBlock)) {
				return err
			}
			if cmd.Val() {
				r.note(ask[i])
			}
		}
		return nil
	}) != nil
}

// Flush waits until everything that was handed over is stored or dropped.
func (r *Remote) Flush(ctx context.Context) error {
	r.mu.Lock()
	drained := r.waiting.Drained()
	r.mu.Unlock()
	return Await(ctx, drained)
}

func (r *Remote) run(ctx context.Context) {
	defer close(r.done)
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-r.notes:
			r.write(ctx, n)
			r.mu.Lock()
			r.waiting.Add(-int64(len(n.data)))
			r.mu.Unlock()
		case b := <-r.jobs:
			err := r.store(ctx, b)
			r.mu.Lock()
			if r.waiting.Add(-b.Bytes()); err != nil {
				r.stats.Dropped++
			}
			r.mu.Unlock()
		}
	}
}

// store writes the parts, then the header that names them.
func (r *Remote) store(ctx context.Context, b *Block) error {
	start := time.Now()
	packed := r.packer.pack(b)
	patience := r.opts.Timeout + time.Duration(float64(packed.Bytes())/remoteSpeed*float64(time.Second))
	err := r.guarded(ctx, patience, func(ctx context.Context) error {
		if err := r.measure(ctx); err != nil {
			return err
		}
		there, err := r.client.HExists(ctx, slotKey(b.Slot), b.member()).Result()
		if err = r.checkSlot(ctx, b.Slot, err); err != nil && !errors.As(err, new(*BadBlock)) || there {
			return err
		}
		pipe := r.client.Pipeline()
		for i, data := range packed.Data {
			pipe.Set(ctx, b.partKey(i), data, r.opts.TTL)
		}
		pipe.HSet(ctx, slotKey(b.Slot), b.member(), packed.encode())
		pipe.Expire(ctx, slotKey(b.Slot), r.opts.TTL)
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		r.mu.Lock()
		r.toldFull = false
		r.stats.Stores++
		r.stats.WriteBytes += packed.Bytes()
		r.mu.Unlock()
		return nil
	})
	if err == nil {
		r.note(&b.Header)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.StoreMs += ms(time.Since(start))
	return err
}

// measureEvery is how often the store is asked for its memory.
const measureEvery = 10 * time.Second

// errFull says that the store holds as much as it may.
var errFull = errors.New("the remote cache is full")

// filled stops storing for a while.
func (r *Remote) filled(err error) {
	r.mu.Lock()
	first := !r.toldFull
	r.full, r.toldFull = time.Now().Add(measureEvery), true
	r.mu.Unlock()
	if first {
		r.opts.Log.Warn("the remote cache takes no blocks: it is read, and tried again every so often", "addr", r.stats.Addr, "err", err, "every", measureEvery)
	}
}

// measure asks what the store holds, and is errFull when that is as much as it may: by our limit, or by its own.
func (r *Remote) measure(ctx context.Context) error {
	if time.Since(r.measured) < measureEvery {
		return nil
	}
	info, err := r.client.Info(ctx, "memory").Result()
	if err != nil {
		return err
	}
	r.measured = time.Now()
	used, most := infoBytes(info, "used_memory"), infoBytes(info, "maxmemory")
	r.mu.Lock()
	r.stats.StoreBytes = used
	r.mu.Unlock()
	if r.opts.Limit > 0 && (most == 0 || r.opts.Limit < most) {
		most = r.opts.Limit
	}
	evicts := strings.Contains(info, "maxmemory_policy:") && !strings.Contains(info, "maxmemory_policy:noeviction") && r.opts.Limit == 0
	if most > 0 && used > most && !evicts {
		return fmt.Errorf("%w: it uses %d bytes of %d", errFull, used, most)
	}
	return nil
}

func infoBytes(info, name string) int64 {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}
