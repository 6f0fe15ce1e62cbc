package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// isSpace is Python's str.isspace for one code point: Go's white space and the
// four information separators.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func pyUpper(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	var b strings.Builder
	for _, r := range s {
		if m, ok := specialUpper[r]; ok {
			b.WriteString(m)
		} else {
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	return b.String()
}

func pyLower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	runes := []rune(s)
	var b strings.Builder
	for i := range runes {
		b.WriteString(lowerAt(runes, i))
	}
	return b.String()
}

// lowerAt is the lower case of code point i where it stands.
func lowerAt(runes []rune, i int) string {
	switch r := runes[i]; {
	case r == 'İ':
		return "i̇"
	case r == 'Σ' && finalSigma(runes, i):
		return "ς"
	default:
		return string(unicode.ToLower(r))
	}
}

// finalSigma says whether the capital sigma at i ends a word: a cased letter
// before it and none behind it.
func finalSigma(runes []rune, i int) bool {
	skip := func(r rune) bool {
		return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm) || r == '\'' || r == '.' || r == ':'
	}
	j := i - 1
	for j >= 0 && skip(runes[j]) {
		j--
	}
	if j < 0 || !isCased(runes[j]) {
		return false
	}
	k := i + 1
	for k < len(runes) && skip(runes[k]) {
		k++
	}
	return k == len(runes) || !isCased(runes[k])
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isCased(r rune) bool {
	return unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r)
}

func titleRune(r rune) string {
	if m, ok := specialTitle[r]; ok {
		return m
	}
	return string(unicode.ToTitle(r))
}

func pyCapitalize(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	return titleRune(r) + strings.TrimPrefix(pyLower(s), pyLower(s[:n]))
}

// pyTitle starts every run of cased letters with a title-case one.
func pyTitle(s string) string {
	var b strings.Builder
	inWord := false
	runes := []rune(s)
	for i, r := range runes {
		if inWord {
			b.WriteString(lowerAt(runes, i))
		} else {
			b.WriteString(titleRune(r))
		}
		inWord = isCased(r)
	}
	return b.String()
}

func pySwapcase(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		if unicode.IsUpper(r) {
			b.WriteString(lowerAt(runes, i))
		} else {
			b.WriteString(pyUpper(string(r)))
		}
	}
	return b.String()
}

// stripper says which code points strip(chars) removes; nil chars are white space.
func stripper(chars Value) (func(rune) bool, error) {
	if chars == nil || chars == absent {
		return isSpace, nil
	}
	set, ok := chars.(string)
	if !ok {
		return nil, typeErrorf("strip arg must be None or str")
	}
	return func(r rune) bool { return strings.ContainsRune(set, r) }, nil
}

// splitFields is str.split() and rsplit() without a separator; max < 0 is unlimited.
func splitFields(s string, max int, fromRight bool) []string {
	var out []string
	s = strings.TrimFunc(s, isSpace)
	for s != "" {
		if max >= 0 && len(out) == max {
			out = append(out, s)
			break
		}
		if fromRight {
			i := strings.LastIndexFunc(s, isSpace)
			_, n := utf8.DecodeRuneInString(s[max0(i):])
			if i < 0 {
				n = 0
			}
			out = append(out, s[max0(i)+n:])
			s = strings.TrimRightFunc(s[:max0(i)], isSpace)
			continue
		}
		i := strings.IndexFunc(s, isSpace)
		if i < 0 {
			i = len(s)
		}
		out = append(out, s[:i])
		s = strings.TrimLeftFunc(s[i:], isSpace)
	}
	if fromRight {
		reverse(out)
	}
	return out
}

func max0(i int) int { return max(i, 0) }

// splitSep is str.split(sep) and rsplit(sep).
func splitSep(s, sep string, max int, fromRight bool) []string {
	if !fromRight {
		if max >= 0 {
			max++
		}
		return strings.SplitN(s, sep, max)
	}
	var out []string
	for max < 0 || len(out) < max {
		i := strings.LastIndex(s, sep)
		if i < 0 {
			break
		}
		out = append(out, s[i+len(sep):])
		s = s[:i]
	}
	out = append(out, s)
	reverse(out)
	return out
}

func reverse[T any](s []T) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

func isLineBreak(r rune) bool {
	return r >= '\n' && r <= '\r' || r >= 0x1c && r <= 0x1e || r == 0x85 || r == 0x2028 || r == 0x2029
}

func splitLines(s string, keepEnds bool) []string {
	var out []string
	for s != "" {
		i := strings.IndexFunc(s, isLineBreak)
		if i < 0 {
			return append(out, s)
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		if strings.HasPrefix(s[i:], "\r\n") {
			n = 2
		}
		line := s[:i]
		if keepEnds {
			line = s[:i+n]
		}
		out = append(out, line)
		s = s[i+n:]
	}
	return out
}

// allRunes says whether s is not empty and every code point passes.
func allRunes(s string, ok func(rune) bool) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) < 0
}

// allCased is islower and isupper: a cased letter exists and none is of the other case.
func allCased(s string, want func(rune) bool) bool {
	seen := false
	for _, r := range s {
		if want(r) {
			seen = true
		} else if isCased(r) {
			return false
		}
	}
	return seen
}
