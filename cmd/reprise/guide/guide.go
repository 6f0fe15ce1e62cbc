package guide

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed *.md
var files embed.FS

// names are the chapters in their order; a chapter's file has its name.
var names = []string{"recipe", "machine", "model", "smoke", "phases", "serve", "agent", "loop", "lifecycle", "locality", "counters", "claims"}

// Flags is what a chapter holds where the flags by phase belong.
const Flags = "{{flags}}"

// Chapter is one of the twelve.
type Chapter struct {
	Number      int
	Name, Title string
	Text        string // Markdown, with the comments that name tests
}

// Chapters are all of them, in order.
func Chapters() []Chapter {
	out := make([]Chapter, len(names))
	for i, name := range names {
		raw, err := files.ReadFile(name + ".md")
		if err != nil {
			panic(err) // embedded
		}
		text := string(raw)
		title, _, _ := strings.Cut(strings.TrimPrefix(text, "# "), "\n")
		out[i] = Chapter{i + 1, name, title, text}
	}
	return out
}

// Find is the chapter of a name or number.
func Find(which string) (*Chapter, error) {
	chapters := Chapters()
	i := slices.IndexFunc(chapters, func(c Chapter) bool { return c.Name == which || strconv.Itoa(c.Number) == which })
	if i < 0 {
		return nil, fmt.Errorf("the guide has no chapter %q: there are 1 to %d, or %s", which, len(chapters), strings.Join(names, ", "))
	}
	return &chapters[i], nil
}

var comment = regexp.MustCompile(`(?m)^<!--.*-->\n`)

// Shown is the chapter for a reader, with the flags filled in.
func (c *Chapter) Shown(flags string) string {
	text := strings.ReplaceAll(comment.ReplaceAllString(c.Text, ""), Flags, flags)
	return fmt.Sprintf("# %d. %s", c.Number, strings.TrimPrefix(text, "# "))
}

// Command is a line of a block marked sh.
type Command struct {
	Line string
	Test string // that runs it; "": the guide's own
}

var block = regexp.MustCompile("(?ms)(?:^<!-- (\\w+) -->\n)?^```sh\n(.*?)^```$")

// Commands are those of a Markdown text, with lines that end in a backslash joined.
func Commands(text string) []Command {
	var out []Command
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		body := strings.ReplaceAll(m[2], "\\\n", " ")
		for line := range strings.Lines(body) {
			line, _, _ = strings.Cut(line, " #")
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				out = append(out, Command{line, m[1]})
			}
		}
	}
	return out
}
