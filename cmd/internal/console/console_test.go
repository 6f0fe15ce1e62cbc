package console

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func TestFormats(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{Bytes(0), "0 B"}, {Bytes(9_999), "9999 B"}, {Bytes(10_000), "10.0 kB"}, {Bytes(1_500_000), "1.5 MB"}, {Bytes(1_072_000_000), "1.07 GB"},
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(32768), "32,768"}, {Count(-1234567), "-1,234,567"},
		{Millis(0.4), "0.4 ms"}, {Millis(46.4), "46 ms"}, {Millis(3140), "3.14 s"}, {Millis(62_000), "62.0 s"},
		{Rate(146.4), "146 tok/s"}, {Rate(8.26), "8.3 tok/s"},
		{OneLine("a\n  b\n\nc"), "a; b; c"}, {OneLine("plain"), "plain"},
		{Dim(false, "x"), "x"}, {Dim(true, "x"), "\x1b[2mx\x1b[0m"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "800000": 800_000, "12B": 12, "2GB": 2e9, "1.5 MB": 1.5e6, "64kb": 64e3, "1TB": 1e12,
		"": -1, "GB": -1, "-1GB": -1, "2GiB": -1, "2 G": -1, "NaN": -1, "1e300GB": -1, "1GB2": -1, "two": -1, "0x10": -1,
	} {
		got, err := ParseBytes(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestTerminals(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, stream := range map[string]any{"a buffer": &bytes.Buffer{}, "the null device": null, "nothing": nil} {
		if IsTerminal(stream) {
			t.Errorf("%s is taken for a terminal", name)
		}
	}
}

func TestProgressIsSparing(t *testing.T) {
	var now time.Time
	for _, tt := range []struct {
		terminal bool
		step     time.Duration
		want     string
	}{
		{false, time.Second, "loading x: 60 % of 100.0 MB\n"}, // one line, behind ten seconds
		{false, time.Millisecond, ""},
		{true, time.Millisecond, ""},
		{true, 40 * time.Millisecond, "\r\x1b[K\x1b[2mloading x: 18 % of 100.0 MB\x1b[0m"},
	} {
		var out strings.Builder
		p := &Progress{out: &out, label: "loading x", terminal: tt.terminal, now: func() time.Time { return now }}
		p.last = now
		for i := int64(1); i <= 14; i++ {
			now = now.Add(tt.step)
			p.Update(min(i*6, 100)*1e6, 100e6)
		}
		if got := out.String(); !strings.HasPrefix(got, tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("terminal %v, step %v: %q, want it to begin with %q", tt.terminal, tt.step, got, tt.want)
		}
		out.Reset()
		p.Close()
		if got := out.String(); (got != "") != (tt.terminal && tt.want != "") {
			t.Errorf("terminal %v, step %v: Close wrote %q", tt.terminal, tt.step, got)
		}
	}
}
