package tier

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
)

// Reach asks the store at a URL whether it is there, for those who would measure nothing without it. A server does not: a store may
// come later. The error names the address, never the password.
func Reach(ctx context.Context, raw string) error {
	ro, o, err := parseRemote(raw)
	if err != nil {
		return err
	}
	client := redis.NewClient(ro)
	defer func() { _ = client.Close() }() // nothing was written
	limit, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	if err := client.Ping(limit).Err(); err != nil {
		var op *net.OpError
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			err = fmt.Errorf("no answer within %v", o.Timeout)
		case errors.As(err, &op):
			err = op.Err
		}
		return fmt.Errorf("no Valkey or Redis answers at %s: %w", ro.Addr, err)
	}
	return nil
}
