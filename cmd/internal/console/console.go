package console

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode"

	"reprise/model/hub"
)

// IsTerminal says whether a stream is a terminal. The null device is a character device too, and none.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// Dim wraps text in the terminal's faint style when on is set.
func Dim(on bool, text string) string {
	if !on {
		return text
	}
	return "\x1b[2m" + text + "\x1b[0m"
}

// Bytes is a size in decimal units: "1.07 GB".
func Bytes(n int64) string { return hub.SizeText(n) }

// ParseBytes reads a size in decimal units: "2GB", "1.5 MB", "800000".
func ParseBytes(text string) (int64, error) {
	number, unit := text, ""
	if i := strings.IndexFunc(text, unicode.IsLetter); i >= 0 {
		number, unit = text[:i], text[i:]
	}
	factor, known := map[string]float64{"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}[strings.ToLower(unit)]
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !known || err != nil || !(n >= 0 && n*factor < math.MaxInt64) {
		return 0, fmt.Errorf("%q is not a size: write a number and B, kB, MB, GB or TB (decimal), for instance 2GB", text)
	}
	return int64(n * factor), nil
}

// Count is a number with its thousands apart: "32,768".
func Count(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// Millis is a time given in milliseconds: "46 ms", "3.1 s".
func Millis(ms float64) string {
	switch {
	case ms >= 1e4:
		return fmt.Sprintf("%.1f s", ms/1e3)
	case ms >= 1e3:
		return fmt.Sprintf("%.2f s", ms/1e3)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// Rate is a speed in tokens a second: "146 tok/s", "8.3 tok/s".
func Rate(perSecond float64) string {
	if perSecond >= 100 {
		return fmt.Sprintf("%.0f tok/s", perSecond)
	}
	return fmt.Sprintf("%.1f tok/s", perSecond)
}

// Printable is a text of somebody else's for a terminal: what would move its cursor, colour it or turn the text round is replaced.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// OneLine folds a text that spans lines into one, for a terminal: what a command says when it fails.
func OneLine(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return Printable(strings.Join(parts, "; "))
}

// WriteJSON prints a value as indented JSON, with <, > and & as they are.
func WriteJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
