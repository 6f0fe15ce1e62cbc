package mlx

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// onWorker runs fn on a CPU worker and fails the test on an error or a leaked array.
func onWorker(t *testing.T, fn func(s *Scope) error) {
	t.Helper()
	before := LiveArrays()
	w, err := Start(CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Do(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
	if n := LiveArrays(); n != before {
		t.Fatalf("%d arrays leaked", n-before)
	}
}

func TestErrorsComeBackAsGoErrors(t *testing.T) {
	onWorker(t, func(s *Scope) error {
		bad := s.Child()
		defer bad.Close()
		c := bad.Matmul(New(bad, make([]float32, 6), 2, 3), New(bad, make([]float32, 6), 2, 3))
		if c.Valid() {
			t.Error("a failed op returned an array")
		}
		// Later ops and Eval report the first error instead of crashing on the missing array.
		err := bad.Eval(bad.Add(c, c))
		var e *Error
		if !errors.As(err, &e) || e.Op != "Matmul" || !strings.Contains(e.Message, "(2,3)") {
			t.Errorf("error is %v", err)
		}
		if !strings.Contains(e.Error(), "float32[2 3], float32[2 3]") {
			t.Errorf("the message does not name the inputs: %v", e)
		}
		missing := s.Child()
		defer missing.Close()
		if missing.Exp(Array{}); missing.Err() == nil {
			t.Error("an op on a missing array did not fail")
		}
		return nil
	})
}

func TestPanicOnTheWorkerIsAnError(t *testing.T) {
	w, err := Start(CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	err = w.Do(context.Background(), func(s *Scope) error { panic("boom") })
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Fatalf("got %v", err)
	}
	if err := w.Do(context.Background(), func(s *Scope) error { return nil }); err != nil {
		t.Fatalf("the worker did not survive the panic: %v", err)
	}
}

func TestDoHonoursItsContextAndClose(t *testing.T) {
	w, err := Start(CPU)
	if err != nil {
		t.Fatal(err)
	}
	started, release := make(chan struct{}), make(chan struct{})
	go w.Do(context.Background(), func(s *Scope) error { close(started); <-release; return nil })
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Do(ctx, func(s *Scope) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting behind a job: %v", err)
	}
	close(release)
	w.Close()
	if err := w.Do(context.Background(), func(s *Scope) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestKeepMovesOwnership(t *testing.T) {
	onWorker(t, func(s *Scope) error {
		before := LiveArrays()
		inner := s.Child()
		kept := inner.Keep(New(inner, []float32{1, 2, 3}, 3))
		inner.Square(kept)
		inner.Close()
		if n := LiveArrays() - before; n != 1 {
			t.Errorf("%d arrays live after the scope closed, want the kept one", n)
		}
		if v, err := Read[float32](s, kept); err != nil || !slices.Equal(v, []float32{1, 2, 3}) {
			t.Errorf("kept array reads %v, %v", v, err)
		}
		kept.Free()
		return nil
	})
}

// A KV buffer is updated once per step: the update must reuse the buffer, or each step copies the cache.
func TestSliceUpdateWritesInPlace(t *testing.T) {
	onWorker(t, func(s *Scope) error {
		const rows, width = 1 << 12, 1 << 8
		buf := s.Keep(s.Zeros([]int{rows, width}, Float32))
		if err := s.Eval(buf); err != nil {
			return err
		}
		base := ReadMemory().Active
		ResetPeak()
		for i := range 10 {
			step := s.Child()
			next := step.Keep(step.SliceUpdate(buf, step.Full([]int{1, width}, step.Scalar(float64(i+1), Float32), Float32), []int{i, 0}, []int{i + 1, width}, []int{1, 1}))
			buf.Free()
			buf = next
			if err := step.Eval(buf); err != nil {
				return err
			}
			step.Close()
		}
		defer buf.Free()
		if extra := ReadMemory().Peak - base; extra > rows*width*4/2 {
			t.Errorf("updates of a %d-byte buffer took %d bytes more: it was copied", rows*width*4, extra)
		}
		v, err := Read[float32](s, buf)
		if err == nil && (v[0] != 1 || v[9*width] != 10 || v[10*width] != 0) {
			t.Errorf("rows hold %v %v %v", v[0], v[9*width], v[10*width])
		}
		return err
	})
}

func TestDataOfEveryDtype(t *testing.T) {
	onWorker(t, func(s *Scope) error {
		for d := Bool; d <= BFloat16; d++ {
			a := s.AsType(New(s, []float32{0, 1, 1, 0, 1, 1}, 2, 3), d)
			raw, err := s.Bytes(s.Transpose(a, []int{1, 0}))
			if err != nil {
				return err
			}
			if len(raw) != 6*d.Size() {
				t.Fatalf("%v: %d bytes", d, len(raw))
			}
			back, err := s.Float32s(s.FromBytes(raw, d, 3, 2))
			if err != nil {
				return err
			}
			if !slices.Equal(back, []float32{0, 0, 1, 1, 1, 1}) {
				t.Errorf("%v: transposed round trip gives %v", d, back)
			}
		}
		if raw, _ := s.Bytes(s.AsType(New(s, []float32{1.5}, 1), BFloat16)); !slices.Equal(raw, []byte{0xC0, 0x3F}) {
			t.Errorf("bfloat16 1.5 is % x", raw)
		}
		a := s.Transpose(s.Zeros([]int{2, 3, 5}, Float32), []int{2, 0, 1})
		if err := s.Eval(a); err != nil {
			return err
		}
		if !slices.Equal(a.Shape(), []int{5, 2, 3}) || !slices.Equal(a.Strides(), []int{1, 15, 5}) || a.Dim(-1) != 3 {
			t.Errorf("shape %v strides %v", a.Shape(), a.Strides())
		}
		if New(s.Child(), []float32{1}, 2).Valid() {
			t.Error("New accepted too few values")
		}
		return nil
	})
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.safetensors")
	onWorker(t, func(s *Scope) error {
		a := s.AsType(New(s, []float32{1, 2, 3, 4, 5, 6}, 2, 3), BFloat16)
		if err := s.Save(path, map[string]Array{"a": s.Transpose(a, []int{1, 0}), "b": New(s, []int32{7}, 1)}, map[string]string{"k": "v"}); err != nil {
			return err
		}
		tensors, meta, err := s.Load(path)
		if err != nil {
			return err
		}
		if meta["k"] != "v" || len(tensors) != 2 || tensors["a"].Dtype() != BFloat16 {
			t.Errorf("loaded %v, metadata %v", tensors, meta)
		}
		v, err := s.Float32s(tensors["a"])
		if err == nil && !slices.Equal(v, []float32{1, 4, 2, 5, 3, 6}) {
			t.Errorf("a is %v", v)
		}
		return err
	})
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw[:len(raw)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	onWorker(t, func(s *Scope) error {
		if _, _, err := s.Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("a truncated file loads: %v", err)
		}
		return nil
	})
}

func TestMemoryCountersAndDevice(t *testing.T) {
	onWorker(t, func(s *Scope) error {
		before := ReadMemory().Active
		a := s.Ones([]int{1 << 20}, Float32)
		if err := s.Eval(a); err != nil {
			return err
		}
		if n := ReadMemory().Active - before; n < 4<<20 || n > 5<<20 {
			t.Errorf("4 MiB array adds %d bytes of active memory", n)
		}
		return nil
	})
	was := SetCacheLimit(1 << 20)
	if got := SetCacheLimit(was); got != 1<<20 {
		t.Errorf("cache limit read back as %d", got)
	}
	if Version() != "0.32.2" {
		t.Errorf("MLX version %s: pins.txt and this test must agree", Version())
	}
	w, err := Start(CPU)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if info, err := w.Info(context.Background()); err != nil || info.Name == "" {
		t.Errorf("device info %+v, %v", info, err)
	}
}
