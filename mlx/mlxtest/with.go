package mlxtest

import (
	"context"
	"testing"

	"reprise/mlx"
)

// With is OnWorker with options: mlx.Options{Plain: true} runs MLX's own ops, without the kernels.
func With(t testing.TB, opts mlx.Options, fn func(s *mlx.Scope) error) {
	t.Helper()
	before := mlx.LiveArrays()
	w, err := mlx.StartWith(mlx.CPU, opts)
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
