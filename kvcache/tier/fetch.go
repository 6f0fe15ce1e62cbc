package tier

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// list gives the blocks of each slot. What is no header, or one of another slot, is removed.
func (r *Remote) list(ctx context.Context, slots []Slot) ([][]*Entry, error) {
	out := make([][]*Entry, len(slots))
	err := r.guarded(ctx, r.opts.Timeout, func(ctx context.Context) error {
		pipe := r.client.Pipeline()
		cmds := make([]*redis.MapStringStringCmd, len(slots))
		for i, s := range slots {
			cmds[i] = pipe.HGetAll(ctx, slotKey(s))
		}
		if _, err := pipe.Exec(ctx); err != nil && !wrongKind(err) {
			return err
		}
		var wrong error
		for i, cmd := range cmds {
			if err := r.checkSlot(ctx, slots[i], cmd.Err()); err != nil && !errors.As(err, new(*BadBlock)) {
				return err
			} else if err != nil {
				wrong = err
			}
			r.unlearn(slots[i]) // what is not listed is not there any more
			for member, raw := range cmd.Val() {
				h, err := decodeHeader([]byte(raw))
				if err == nil && (h.Slot != slots[i] || h.member() != member) {
					err = bad("the remote store gave another block's header")
				}
				if err != nil {
					wrong = err
					r.bad(err)
					r.client.HDel(ctx, slotKey(slots[i]), member)
					continue
				}
				r.note(h)
				out[i] = append(out[i], &Entry{h, 2})
			}
		}
		return wrong
	})
	return out, err
}

// wrongKind says that a key holds another kind of value than a command is for.
func wrongKind(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// checkSlot takes the error of a command on a slot. A key of ours that holds another kind of value would be in the way for ever: it
// is removed, as a damaged block is.
func (r *Remote) checkSlot(ctx context.Context, s Slot, err error) error {
	if !wrongKind(err) {
		return err
	}
	err = bad("the remote store has another kind of value in %s", slotKey(s))
	r.bad(err)
	r.client.Unlink(ctx, slotKey(s))
	return err
}

func (r *Remote) bad(err error) {
	r.opts.Log.Warn("a block of the remote cache is damaged; it is removed", "addr", r.stats.Addr, "err", err)
	r.mu.Lock()
	r.stats.Bad++
	r.mu.Unlock()
}

// load fetches whole blocks, many parts at a time, and checks them.
func (r *Remote) load(ctx context.Context, entries []*Entry) ([]*Block, error) {
	start := time.Now()
	var total int64
	for _, e := range entries {
		total += e.Bytes()
	}
	patience := r.opts.Timeout + time.Duration(float64(total)/remoteSpeed*float64(time.Second))
	var out []*Block
	err := r.guarded(ctx, patience, func(ctx context.Context) error {
		for len(entries) > 0 {
			n, bytes := 0, int64(0)
			for n < len(entries) && (n == 0 || bytes+entries[n].Bytes() <= batchBytes) {
				bytes += entries[n].Bytes()
				n++
			}
			got, err := r.fetch(ctx, entries[:n])
			if err != nil {
				return err
			}
			out, entries = append(out, got...), entries[n:]
		}
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.LoadMs += ms(time.Since(start))
	if err == nil {
		r.stats.Loads += int64(len(out))
		r.stats.ReadBytes += total
	}
	return out, err
}

// fetch is one pipeline of a load. The parts that come are wanted longer.
func (r *Remote) fetch(ctx context.Context, entries []*Entry) ([]*Block, error) {
	pipe := r.client.Pipeline()
	cmds := make([][]*redis.StringCmd, len(entries))
	for i, e := range entries {
		pipe.Expire(ctx, slotKey(e.Slot), r.opts.TTL)
		for k := range e.Parts {
			cmds[i] = append(cmds[i], pipe.GetEx(ctx, e.partKey(k), r.opts.TTL))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) && !wrongKind(err) {
		return nil, err
	}
	var out []*Block
	for i, e := range entries {
		b := &Block{Header: *e.Header}
		for k, cmd := range cmds[i] {
			data, err := cmd.Bytes()
			switch {
			case errors.Is(err, redis.Nil):
				err = errGone
			case wrongKind(err): // which a store writes over
				err = bad("the remote store has another kind of value in %s", e.partKey(k))
				r.bad(err)
			case err == nil:
				if data, err = e.Parts[k].check(data); err != nil {
					r.bad(err)
				}
			}
			if err != nil {
				r.forget(ctx, e.Header)
				return nil, err
			}
			b.Data = append(b.Data, data)
		}
		out = append(out, b)
	}
	return out, nil
}

// forget removes a block that is not whole.
func (r *Remote) forget(ctx context.Context, h *Header) {
	r.client.HDel(ctx, slotKey(h.Slot), h.member())
	r.mu.Lock()
	delete(r.known[h.Slot], h.member())
	r.mu.Unlock()
}

func (r *Remote) drop(ctx context.Context, entries []*Entry) {
	_ = r.guarded(ctx, r.opts.Timeout, func(ctx context.Context) error {
		for _, e := range entries {
			r.forget(ctx, e.Header)
		}
		return nil
	})
}

// Clear removes every block of every model.
func (r *Remote) Clear(ctx context.Context) error {
	r.unlearn()
	return r.guarded(ctx, 30*time.Second, func(ctx context.Context) error {
		keys := r.client.Scan(ctx, 0, keyPrefix+"*", 1000).Iterator()
		for keys.Next(ctx) {
			if err := r.client.Unlink(ctx, keys.Val()).Err(); err != nil {
				return err
			}
		}
		return keys.Err()
	})
}
