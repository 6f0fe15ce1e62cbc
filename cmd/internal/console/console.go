package console

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

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

// OneLine folds a text that spans lines into one: what a command says when it fails.
func OneLine(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

// WriteJSON prints a value as indented JSON, with <, > and & as they are.
func WriteJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
