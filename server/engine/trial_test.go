package engine

import (
	"testing"

	"reprise/mlx"
)

// The trial's figure is that of a turn's own call of the same width, and nothing of it stays.
func TestTrialCall(t *testing.T) {
	m := room(t, 1e9, nil)
	before := mlx.ReadMemory().Active
	if err := real.tryCall(t.Context()); err != nil {
		t.Fatal(err)
	}
	tried, ok := m.calls.of(trialWidth, trialWidth)
	if after := mlx.ReadMemory().Active; !ok || after != before {
		t.Errorf("noted %t, %d bytes stay", ok, after-before)
	}
	m.calls = appetite{}
	ask(t, raw(long("Trial", 2*trialWidth), 1))
	seen, _ := m.calls.of(trialWidth, trialWidth)
	if tried < seen/2 || tried > 2*seen {
		t.Errorf("a call takes %d bytes, the trial's took %d", seen, tried)
	}
}

// The grid is as wide as memory has room for, and never narrower than the least.
func TestGridFitsMemory(t *testing.T) {
	for _, c := range []struct {
		room int64
		want int
	}{{100e9, 2048}, {9e9, 2048}, {5e9, 1024}, {2.2e9, 512}, {3e8, leastGrid}, {1e6, leastGrid}} {
		m := &memory{limit: 1e9 + c.room + ownSlack, base: 1e9, grid: 2048}
		m.calls.note(trialWidth, trialWidth, 225e6) // as on an H100, Gemma 4 E4B
		if got := m.narrow(); got != c.want {
			t.Errorf("with room for %d bytes: %d tokens a call, want %d", c.room, got, c.want)
		}
	}
}
