package speed

import (
	"math"
	"strings"
	"testing"

	"reprise/model/hub"
)

func TestSizesAreComparedPartByPart(t *testing.T) {
	in := &hub.Inspection{HeldBytes: 1000, Components: []hub.Component{{Name: "mlp", Held: 800}, {Name: "shared_expert", Held: 200}, {Name: "vision", Bytes: 99}}}
	exact := CompareSizes(in, map[string]int64{"mlp": 800, "shared_expert": 200}, 1001)
	if len(exact.Parts) != 2 || math.Abs(exact.Worst-0.001) > 1e-9 {
		t.Errorf("%+v", exact)
	}
	off := CompareSizes(in, map[string]int64{"mlp": 800, "shared_expert": 190, "other": 1}, 1000)
	if len(off.Parts) != 3 || off.Worst < 0.9 { // what inspect does not list at all is as wrong as can be
		t.Errorf("%+v", off)
	}
	if missing := CompareSizes(in, map[string]int64{"mlp": 800}, 1000); missing.Worst != 1 {
		t.Errorf("%+v", missing)
	}
	var text strings.Builder
	exact.writeText(&text)
	if !strings.Contains(text.String(), "shared expert") || !strings.Contains(text.String(), "0.10 %") {
		t.Error(text.String())
	}
}
