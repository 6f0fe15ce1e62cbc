package qwen35

import (
	"strings"
	"testing"

	"reprise/mlx"
)

// Break replaces a text of the kernels by another until the test ends.
func Break(t *testing.T, old, new string) {
	t.Helper()
	n := 0
	for _, k := range []**mlx.Kernel{&prepareKernel, &recurrenceKernel, &finishKernel} {
		original := *k
		if !strings.Contains(original.Body, old) {
			continue
		}
		broken := *original
		broken.Body = strings.Replace(broken.Body, old, new, 1)
		*k = &broken
		n++
		t.Cleanup(func() { *k = original })
	}
	if n != 1 {
		t.Fatalf("%q stands in %d kernels", old, n)
	}
}
