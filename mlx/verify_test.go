package mlx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
)

// A kernel is compared once; one that differs, fails, gives another shape or NaN is off, with one warning that is kept.
func TestVerify(t *testing.T) {
	var log bytes.Buffer
	w, err := StartWith(CPU, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	values := func(v ...float32) func(*Scope) []Array {
		return func(s *Scope) []Array { return []Array{New(s, v, len(v))} }
	}
	calls := 0
	cases := []struct {
		name   string
		kernel func(*Scope) []Array
		reason string // part of it; "" is on
	}{
		{"right", func(s *Scope) []Array { calls++; return values(1, 2.00001, -4)(s) }, ""},
		{"wrong", values(1, 2.1, -4), "value 1 of result 0 is 2.1, the plain ops give 2"},
		{"nan", values(1, 2, float32(math.NaN())), "is NaN"},
		{"short", values(1, 2), "2 values"},
		{"none", func(s *Scope) []Array { return nil }, "0 results"},
		{"fails", func(s *Scope) []Array { s.Fail(errors.New("does not compile")); return nil }, "does not compile"},
	}
	err = w.Do(context.Background(), func(s *Scope) error {
		for range 2 {
			for _, c := range cases {
				if on := s.Verify(c.name, 1e-5, c.kernel, values(1, 2, -4)); on != (c.reason == "") {
					t.Errorf("%s is on: %v", c.name, on)
				}
			}
		}
		bad := s.Child()
		defer bad.Close()
		if bad.Verify("no twin", 1e-5, values(1), func(s *Scope) []Array { s.Fail(errors.New("no op")); return nil }); bad.Err() == nil {
			t.Error("plain ops that fail are no error")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls != 1 {
		t.Errorf("compared %d times", calls)
	}
	checks := w.KernelChecks()
	if len(checks) != len(cases) {
		t.Fatalf("%d checks are kept: %v", len(checks), checks)
	}
	for i, c := range cases {
		got := checks[i]
		if got.Kernel != c.name || got.On != (c.reason == "") || !strings.Contains(got.Reason, c.reason) || got.On != (got.Reason == "") {
			t.Errorf("%s: kept %+v", c.name, got)
		}
		if n := strings.Count(log.String(), "kernel="+c.name); n != map[bool]int{true: 0, false: 1}[got.On] {
			t.Errorf("%s: %d warnings\n%s", c.name, n, log.String())
		}
	}
	if _, err := json.Marshal(checks); err != nil {
		t.Error(err)
	}
}

// Errors of a launch are the scope's, and the CPU device compiles nothing.
func TestLaunchErrors(t *testing.T) {
	kernel := &Kernel{Name: "twice", Inputs: []string{"x"}, Outputs: []string{"y"}, Body: "y[0] = 2 * x[0];"}
	one := []Spec{{Shape: []int{1}, Dtype: Float32}}
	onWorker(t, func(s *Scope) error {
		if s.CustomKernels() {
			t.Error("the CPU device has custom kernels")
		}
		for want, l := range map[string]Launch{
			"whole groups": {Grid: [3]int{33, 1, 1}, Group: [3]int{32, 1, 1}, Outputs: one},
			"0 outputs":    {Grid: [3]int{32, 1, 1}, Group: [3]int{32, 1, 1}},
			"back-end":     {Grid: [3]int{32, 1, 1}, Group: [3]int{32, 1, 1}, Outputs: one}, // the wheel of this machine has no GPU
		} {
			bad := s.Child()
			out := bad.Launch(kernel, l, New(bad, []float32{1}, 1))
			if err := bad.Err(); err == nil || !strings.Contains(err.Error(), want) || len(out) != len(l.Outputs) {
				t.Errorf("want an error with %q, got %v", want, err)
			}
			bad.Close()
		}
		return nil
	})
}

func TestCompactKeepsTheCode(t *testing.T) {
	const source = "\n  // what follows\n#define A 1\n  for (;;) { // until\n\n    x += A;\n  }\n"
	if got := compact(source); got != "#define A 1\nfor (;;) {\nx += A;\n}\n" {
		t.Errorf("got %q", got)
	}
}
