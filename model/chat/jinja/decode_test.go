package jinja

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for _, c := range []struct{ in, want string }{ // want: Python's repr(json.loads(in))
		{`{"b": 1, "a": {"d": 2, "c": 3}}`, "{'b': 1, 'a': {'d': 2, 'c': 3}}"},
		{`{"a": 1, "b": 2, "a": 3}`, "{'a': 3, 'b': 2}"},
		{`[1, 1.0, 1e3, 1.0e3, 1E-7, -0, -0.0, 1e400, -1e400]`, "[1, 1.0, 1000.0, 1000.0, 1e-07, 0, -0.0, inf, -inf]"},
		{`123456789012345678901234567890`, "123456789012345678901234567890"},
		{`9223372036854775807`, "9223372036854775807"},
		{`9223372036854775808`, "9223372036854775808"},
		{`-9223372036854775808`, "-9223372036854775808"},
		{`[NaN, Infinity, -Infinity]`, "[nan, inf, -inf]"},
		{` [ true , false , null ] `, "[True, False, None]"},
		{`"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`, `'a"\\/\x08\x0c\n\r\té😀'`},
		{`{}`, "{}"}, {`[]`, "[]"}, {`""`, "''"},
		{`{"1": 1, "01": 2, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1, "a": 9}`, "{'1': 1, '01': 2, 'a': 9, 'b': 1, 'c': 1, 'd': 1, 'e': 1, 'f': 1, 'g': 1}"},
	} {
		v, err := Decode([]byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if got, err := repr(v); err != nil || got != c.want {
			t.Errorf("%s: got %s, %v; want %s", c.in, got, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, in := range []string{"", " ", "{", "[1,]", "[1 2]", `{"a"}`, `{"a": 1,}`, `{1: 2}`, "01", "1.", ".5", "+1", "tru", `"a`, "\"a\nb\"", `"\x"`, `"\u12"`, "1 2", "'a'", "--1",
		strings.Repeat("[", 100000), strings.Repeat(`{"a":`, 100000), strings.Repeat("9", 5000)} {
		if v, err := Decode([]byte(in)); err == nil {
			t.Errorf("%.40q passes: %v", in, v)
		}
	}
}

// FuzzDecode holds the decoder against encoding/json, on which text is JSON and
// on what it means after a round trip.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a": [1, 2.5, "x\u00e9\ud83d"]}`, `[1e400]`, `"\ud83d\ude00"`, `[[], {}]`, `-0`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode(data)
		if err != nil {
			if json.Valid(data) && !strings.Contains(err.Error(), "digits") && !strings.Contains(err.Error(), "deeper") {
				t.Errorf("%q is JSON, refused: %v", data, err)
			}
			return
		}
		text, err := filterToJSON(&frame{run: &run{ctx: t.Context(), limits: Limits{}.orDefault()}}, v, args{})
		if err != nil {
			t.Fatalf("%q does not encode: %v", data, err)
		}
		again, err := Decode([]byte(text.(string)))
		if err != nil {
			t.Fatalf("%q encodes as %q: %v", data, text, err)
		}
		a, _ := repr(v)
		if b, _ := repr(again); a != b {
			t.Errorf("%q: %s after a round trip %s", data, a, b)
		}
	})
}
