package gemma4_test

import (
	"testing"

	"reprise/model/probe/probetest"
)

func TestQuantizedKVAgreesWithMLXLM(t *testing.T) {
	probetest.KVParity(t, "testdata/tiny-q4")
}

func TestReuseOfQuantizedKV(t *testing.T) { probetest.KVReuse(t, "testdata/tiny-q4") }
