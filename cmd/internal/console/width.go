package console

import (
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Width is how many columns a terminal has now; 0: the stream is none, or does not say.
func Width(stream any) int {
	f, ok := stream.(*os.File)
	if !ok || !IsTerminal(f) {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// gap is between the columns of a table: what follows the first one is where folded lines go on.
const gap = "  "

// Fold breaks lines that are wider than a terminal between words; they go on under the place where the first line's second column
// begins. A width of 0 leaves the text as it is, and so does one that has no room for words.
func Fold(text string, width int) string {
	if width <= 0 {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		end := strings.TrimSuffix(line, "\n")
		b.WriteString(fold(end, width))
		b.WriteString(line[len(end):])
	}
	return b.String()
}

// narrowest is the room that folded words need.
const narrowest = 20

func fold(line string, width int) string {
	indent := 0
	if at := strings.Index(line, gap); at >= 0 {
		rest := strings.TrimLeft(line[at:], " ")
		indent = utf8.RuneCountInString(line[:len(line)-len(rest)])
	}
	if utf8.RuneCountInString(line) <= width || width-indent < narrowest {
		return line
	}
	runes := []rune(line)
	out := []string{}
	for first := true; ; first = false {
		room := width
		if !first {
			room -= indent
		}
		if len(runes) <= room {
			out = append(out, string(runes))
			break
		}
		cut := room
		for cut > 0 && runes[cut] != ' ' {
			cut--
		}
		if cut == 0 || first && cut < indent { // a word that is wider than the terminal
			cut = room
		}
		out = append(out, strings.TrimRight(string(runes[:cut]), " "))
		runes = []rune(strings.TrimLeft(string(runes[cut:]), " "))
	}
	return strings.Join(out, "\n"+strings.Repeat(" ", indent))
}
