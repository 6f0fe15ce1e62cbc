package process

import (
	"bytes"
	"strings"
	"sync"
)

// lines looks for one line in what is written to it. Only the goroutine that copies the program's output writes.
type lines struct {
	is    func(line string) bool
	text  []byte // of the line under way
	over  bool
	found chan string // the line, once
}

func (l *lines) Write(b []byte) (int, error) {
	if !l.over {
		l.text = append(l.text, b...)
	}
	for !l.over {
		line, rest, whole := bytes.Cut(l.text, []byte("\n"))
		if !whole {
			break
		}
		if l.text = rest; l.is(string(line)) {
			l.found <- string(line)
			l.over, l.text = true, nil
		}
	}
	return len(b), nil
}

// tail keeps the end of what was written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text); n > tailBytes {
		t.text = append(t.text[:0], t.text[n-tailBytes:]...)
	}
	return len(b), nil
}

// last is its last line.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return LastLine(t.text)
}

// LastLine is the last line of what a program said: the one that tells why it ended.
func LastLine(said []byte) string {
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	return strings.TrimPrefix(strings.TrimSpace(lines[len(lines)-1]), "reprise: ")
}
