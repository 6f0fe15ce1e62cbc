package tier

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// note is a small value that processes share beside the blocks: what it means is the caller's.
type note struct {
	name string
	data []byte
}

// mostNote is how large one may be.
const mostNote = 1 << 20

func noteKey(name string) string { return keyPrefix + "n:" + name }

// Note stores a value under a name, behind the caller; one that finds no room is dropped.
func (r *Remote) Note(name string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(data) > mostNote || r.waiting.Amount()+int64(len(data)) > mostWaiting || r.breaker.isOpen() {
		return
	}
	select {
	case r.notes <- note{name, data}:
		r.waiting.Add(int64(len(data)))
	default:
	}
}

// write stores a note. A failure was told by guarded.
func (r *Remote) write(ctx context.Context, n note) {
	_ = r.guarded(ctx, r.opts.Timeout, func(ctx context.Context) error {
		return r.client.Set(ctx, noteKey(n.name), n.data, r.opts.TTL).Err()
	})
}

// Noted reads a value; nil when there is none, or the store does not answer. What is read is wanted longer.
func (r *Remote) Noted(ctx context.Context, name string) []byte {
	var data []byte
	_ = r.guarded(ctx, r.opts.Timeout, func(ctx context.Context) (err error) {
		if data, err = r.client.GetEx(ctx, noteKey(name), r.opts.TTL).Bytes(); errors.Is(err, redis.Nil) {
			data, err = nil, nil
		}
		return err
	})
	return data
}
