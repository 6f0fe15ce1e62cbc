package gemma4_test

import (
	"testing"

	"reprise/kvcache/state"
	"reprise/model/probe/probetest"
)

func TestQuantizedKVAgreesWithMLXLM(t *testing.T) {
	probetest.KVParity(t, "testdata/tiny-q4")
}

// The captures of TestReuse, fewer.
func TestReuseOfQuantizedKV(t *testing.T) {
	for _, q := range []state.Quantization{{Bits: 8, Group: 32}, {Bits: 4, Group: 32}} {
		t.Run(q.String(), func(t *testing.T) {
			probetest.Reuse{Widths: []int{200, 60, 1, 1, 90, 9}, Captures: []int{30, 200, 261, 263, 355}, Then: []int{17, 1, 1, 3}, KV: q}.Run(t, "testdata/tiny-q4")
		})
	}
}
