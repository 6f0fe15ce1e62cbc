package loop

import (
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/kvcache/ledger"
)

// screen is what a terminal shows: a line that is cleared is gone.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) lines() []string {
	var out []string
	for line := range strings.Lines(s.text.String()) {
		if i := strings.LastIndex(line, clearLine); i >= 0 {
			line = line[i+len(clearLine):]
		}
		out = append(out, strings.TrimRight(line, "\n"))
	}
	return out
}

func TestTable(t *testing.T) {
	out := &screen{}
	table := NewTable(out, 2)
	row := ledger.Row{PromptTokens: ledger.Some(1000), L0HitTokens: ledger.Some(500), L1HitTokens: ledger.Some(0), L2HitTokens: ledger.Some(250), LookupHitTokens: ledger.Some(750),
		RecomputeTokens: ledger.Some(100), PrefillTokens: ledger.Some(250), DisplacedTokens: ledger.Some(40), TTFTMs: ledger.Some(46.0), DecodeTPS: ledger.Some(146.2)}
	table.mu.Lock()
	table.now = func() time.Time { return table.begun.Add(90 * time.Second) }
	table.mu.Unlock()
	table.Turned(&Record{Turn: 1, Row: row})
	if now := out.text.String(); !strings.Contains(now[strings.LastIndex(now, clearLine):], "turn 2 of 2, 1m30s, about 1m30s left") {
		t.Errorf("under the table: %q", now)
	}
	table.Turned(&Record{Turn: 2, Characters: 400})
	table.Close()
	lines := out.lines()
	if len(lines) < 3 || !strings.Contains(lines[0], "displaced") {
		t.Fatalf("%q", lines)
	}
	if got, want := strings.Fields(lines[1]), []string{"1", "1,000", "500", "0", "250", "250", "40", "46", "ms", "146", "tok/s", "███████████████▒▒░░░"}; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%q, want %q", got, want)
	}
	if got := strings.Join(strings.Fields(lines[2]), " "); got != "2 ~100 – – – – – – –" { // nothing was counted
		t.Errorf("%q", got)
	}
	if last := lines[len(lines)-1]; len(lines) > 3 && last != "" {
		t.Errorf("left behind: %q", last)
	}
}

// A narrow terminal has fewer columns, and no line is as wide as to wrap; one that is resized gets a header anew.
func TestTableOnNarrowTerminals(t *testing.T) {
	row := ledger.Row{PromptTokens: ledger.Some(122437), L0HitTokens: ledger.Some(100000), L1HitTokens: ledger.Some(10000), L2HitTokens: ledger.Some(2437), LookupHitTokens: ledger.Some(112437),
		RecomputeTokens: ledger.Some(0), PrefillTokens: ledger.Some(10000), DisplacedTokens: ledger.Some(4000), TTFTMs: ledger.Some(123456.0), DecodeTPS: ledger.Some(46.2)}
	for width, last := range map[int]string{0: "░", 120: "░", 105: "░", 104: "decode", 80: "decode", 76: "decode", 75: "ttft", 60: "ttft", 40: "ttft", 20: "ttft"} {
		out := &screen{}
		table := &Table{out: out, of: 9, now: time.Now, width: func() int { return width }, begun: time.Now(), turn: 1}
		table.header()
		table.Turned(&Record{Turn: 1, Row: row})
		table.Turned(&Record{Turn: 2, Row: row})
		lines := out.lines()
		if fields := strings.Fields(lines[0]); len(lines) != 4 || fields[len(fields)-1] != last {
			t.Errorf("%d columns: %q", width, lines)
		}
		for _, l := range append(lines[:3], strings.NewReplacer("\x1b[2m", "", "\x1b[0m", "").Replace(lines[3])) {
			if n := len([]rune(l)); width >= 31 && n > width {
				t.Errorf("%d columns: a line of %d: %q", width, n, l)
			}
		}
		width = 50
		table.Turned(&Record{Turn: 3, Row: row})
		if lines := out.lines(); len(lines) == 5 != (last == "ttft" && len(strings.Fields(lines[0])) == 6) {
			t.Errorf("resized: %q", lines)
		}
	}
}
