package parse

import (
	"strings"
	"unicode/utf8"
)

// lexer makes one stream of bytes of ids and text: valid UTF-8, with markers as single bytes (mark).
type lexer struct {
	d     *Dialect
	chars []byte // the beginning of a character
	held  []byte // whole characters that may begin a marker that is found by its text
}

// push appends a token. Text that an id has is read unless the id is a marker.
func (l *lexer) push(dst []byte, id int32, text string) []byte {
	if m, ok := l.d.ids[id]; ok {
		return append(l.flush(dst), byte(m))
	}
	l.decode(text)
	return l.release(dst, false)
}

// flush appends what was held back: nothing that it was waited for has come.
func (l *lexer) flush(dst []byte) []byte {
	if len(l.chars) > 0 {
		l.held = utf8.AppendRune(l.held, utf8.RuneError)
		l.chars = l.chars[:0]
	}
	return l.release(dst, true)
}

// decode adds a text's characters to held; what is no UTF-8 becomes U+FFFD, a byte each, and what may become a character
// waits.
func (l *lexer) decode(text string) {
	if len(l.chars) == 0 && utf8.ValidString(text) {
		l.held = append(l.held, text...)
		return
	}
	b := append(l.chars, text...)
	for len(b) > 0 {
		if !utf8.FullRune(b) {
			break
		}
		r, size := utf8.DecodeRune(b)
		l.held = utf8.AppendRune(l.held, r)
		b = b[size:]
	}
	l.chars = append([]byte(nil), b...)
}

// release appends what cannot become a marker any more, and the markers.
func (l *lexer) release(dst []byte, last bool) []byte {
	if len(l.d.texts) == 0 {
		dst = append(dst, l.held...)
		l.held = l.held[:0]
		return dst
	}
	text := string(l.held)
	l.held = l.held[:0]
	for text != "" {
		at := strings.IndexByte(text, '<')
		if at < 0 {
			return append(dst, text...)
		}
		dst, text = append(dst, text[:at]...), text[at:]
		size, m := l.marker(text)
		switch {
		case size > 0:
			dst, text = append(dst, byte(m)), text[size:]
		case size < 0 && !last:
			l.held = append(l.held, text...)
			return dst
		default:
			dst, text = append(dst, '<'), text[1:]
		}
	}
	return dst
}

// marker finds the one that a text begins with: its size, 0 for none, -1 when the text may become one.
func (l *lexer) marker(text string) (size int, m mark) {
	for _, x := range l.d.texts {
		if strings.HasPrefix(text, x.text) {
			return len(x.text), x.mark
		}
		if strings.HasPrefix(x.text, text) {
			size = -1
		}
	}
	return size, 0
}
