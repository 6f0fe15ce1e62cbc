package qwen35_test

import (
	"testing"

	"reprise/kvcache/state"
	"reprise/model/probe/probetest"
)

func TestQuantizedKVAgreesWithMLXLM(t *testing.T) {
	probetest.KVParity(t, "testdata/kv-f32")
}

func TestReuseOfQuantizedKV(t *testing.T) { probetest.KVReuse(t, "testdata/kv-f32") }

// The error of quantized keys and values on random weights of a tiny hybrid, with bounds of twice what was measured.
func TestQuantizedKVErrorOfAHybrid(t *testing.T) {
	ids := make([]int32, 400)
	for i := range ids {
		ids[i] = int32(3 + (i*i*31+i*7)%93)
	}
	forms := []state.Quantization{{Bits: 8, Group: 32}, {Bits: 4, Group: 32}}
	relative := []float64{0.07, 0.6}
	for i, x := range probetest.KVErrors(t, "testdata/kv-f32", ids, forms...) {
		t.Logf("a tiny qwen3_5, keys and values at %s: %v", forms[i], x)
		if x.Relative == 0 || x.Relative > relative[i] {
			t.Errorf("%s: more than %g of the largest logit, or nothing", forms[i], relative[i])
		}
	}
}
