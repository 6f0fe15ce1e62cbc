package sidebyside

import (
	"bytes"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		limit  string
		missed string // "": it holds
		lines  int
	}{
		{"decode@0 >= 1.2 x llama.cpp", "", 1},
		{"decode@0>=1x llama.cpp", "", 1},
		{"decode@0,512 >= 1 x llama.cpp", "decode@512 is 0.980 x llama.cpp", 2},
		{"decode >= 0.9 x llama.cpp", "", 2},
		{"decode >= 1 x llama.cpp", "decode@512 is 0.980 x llama.cpp", 2},
		{"decode@2048 >= 1 x llama.cpp", "decode@2048 is not measured", 1},
		{"decode@0 >= 1 x mlx-lm", "decode@0 is not measured", 1},
		{"memory <= 0.8 x llama.cpp", "", 1},
		{"memory <= 0.79 x llama.cpp", "memory is 0.800 x llama.cpp", 1},
		{"ttft@cold <= 0.6 x llama.cpp", "", 1},
		{"load <= 1 x llama.cpp", "load was not measured", 1},
	} {
		l, err := ParseLimit(tt.limit)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		var out bytes.Buffer
		err = sample(t).Check([]Limit{l}, &out)
		if tt.missed == "" && err != nil || tt.missed != "" && (err == nil || !strings.Contains(err.Error(), tt.missed)) {
			t.Errorf("%s: %v, want %q", tt.limit, err, tt.missed)
		}
		if strings.Count(out.String(), "\n") != tt.lines || strings.Contains(out.String(), "MISSED") != (tt.missed != "") {
			t.Errorf("%s printed\n%s", tt.limit, out.String())
		}
	}
}

func TestSeveralLimitsAreAllNamed(t *testing.T) {
	var limits []Limit
	for _, text := range []string{"decode@512 >= 1 x llama.cpp", "prefill@512 >= 1 x llama.cpp", "prefill@512 >= 6 x mlx-lm"} {
		l, err := ParseLimit(text)
		if err != nil {
			t.Fatal(err)
		}
		limits = append(limits, l)
	}
	err := sample(t).Check(limits, &bytes.Buffer{})
	if want := "limits missed: decode@512 is 0.980 x llama.cpp, prefill@512 is 5.000 x mlx-lm"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestTextsThatAreNoLimit(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "is no limit"}, {"fast", "is no limit"}, {"decode@0 > 1 x llama.cpp", "is no limit"}, {"decode@ >= 1 x llama.cpp", "is no limit"},
		{"beauty >= 1 x llama.cpp", `no figure "beauty"`}, {"reused >= 1 x llama.cpp", `no figure "reused"`},
		{"decode >= 1 x vllm", `"vllm" is no peer`}, {"decode >= 1 x reprise", "no peer"},
		{"decode <= 1 x llama.cpp", "other way round"}, {"memory >= 1 x llama.cpp", "other way round"},
		{"decode >= 1.2.3 x llama.cpp", "no ratio"}, {"decode >= 0 x llama.cpp", "no ratio"},
	} {
		if _, err := ParseLimit(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
}
