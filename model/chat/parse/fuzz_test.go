package parse

import (
	"fmt"
	"strings"
	"testing"
)

// tokensOf cuts a text at a dialect's markers, which become their tokens.
func tokensOf(raw string, ids map[string]int32) []token {
	var out []token
	for raw != "" {
		at, marker := len(raw), ""
		for m := range ids {
			if i := strings.Index(raw, m); i >= 0 && (i < at || i == at && len(m) > len(marker)) {
				at, marker = i, m
			}
		}
		if at > 0 {
			out = append(out, token{-1, raw[:at]})
		}
		if marker != "" {
			out = append(out, token{ids[marker], marker})
		}
		raw = raw[at+len(marker):]
	}
	return out
}

// FuzzParse: no output makes the parser panic or wait, its arguments are JSON, its events make its message, and where
// the text was cut does not matter.
func FuzzParse(f *testing.F) {
	c := loadCorpus(f)
	tools := toolsOf(f, c.Tools)
	for i := range c.Cases {
		x := &c.Cases[i]
		var raw strings.Builder
		for _, tok := range c.tokens(f, x) {
			raw.WriteString(tok.text)
		}
		flags := byte(0)
		for bit, on := range []bool{x.Dialect == "qwen3.6", x.Thinking, x.Ended == "length", x.MarkersAsText, !x.Tools} {
			if on {
				flags |= 1 << bit
			}
		}
		f.Add(raw.String(), flags, uint16(i*37))
	}
	f.Fuzz(func(t *testing.T, raw string, flags byte, cut uint16) {
		if len(raw) > 1<<14 {
			return
		}
		on := func(bit int) bool { return flags>>bit&1 == 1 }
		name := "gemma4"
		if on(0) {
			name = "qwen3.6"
		}
		byText := on(0) && on(3)
		d := c.dialect(t, name, byText)
		declared := tools
		if on(4) {
			declared = nil
		}
		tokens := []token{{-1, raw}}
		if !byText {
			tokens = tokensOf(raw, c.Vocabularies[name])
		}
		want := parseAll(t, d, declared, on(1), on(2), tokens)
		var pieces []token
		seed := uint32(cut) + 1
		for _, x := range tokens {
			for x.id < 0 && len(x.text) > 1 {
				seed = seed*1664525 + 1013904223
				n := 1 + int(seed>>24)%min(7, len(x.text))
				pieces = append(pieces, token{-1, x.text[:n]})
				x.text = x.text[n:]
			}
			pieces = append(pieces, x)
		}
		if diff := parseAll(t, d, declared, on(1), on(2), pieces).differs(want); diff != "" {
			t.Errorf("cut as %s: %s", fmt.Sprintf("%q", pieces), diff)
		}
	})
}
