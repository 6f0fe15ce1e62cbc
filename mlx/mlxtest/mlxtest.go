// Package mlxtest runs tests of what stands above mlx on a worker of their own. It knows nothing of models or
// states. Its invariant: a test that leaves an array behind fails.
package mlxtest

import (
	"context"
	"testing"

	"reprise/mlx"
)

// OnWorker runs fn on a CPU worker and fails the test on an error or a leaked array.
//
// fn must not call t.Fatal: that would end the worker's goroutine. It returns an error, or calls t.Errorf.
func OnWorker(t testing.TB, fn func(s *mlx.Scope) error) {
	t.Helper()
	before := mlx.LiveArrays()
	w, err := mlx.Start(mlx.CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Do(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
	if n := mlx.LiveArrays() - before; n != 0 {
		t.Fatalf("%d arrays leaked", n)
	}
}
