package tokenizer

import "unicode/utf8"

// Stream decodes ids one at a time. It belongs to one goroutine.
type Stream struct {
	vocab       *vocab
	skipSpecial bool
	strip       []stripLeading // what is left to remove from the sequence's start
	text        utf8Decoder
	piece, out  []byte // scratch, reused
}

// Push adds an id and returns the text that is complete because of it, often
// the id's own piece, "" while a character is still in parts.
func (s *Stream) Push(id int32) string {
	if !s.vocab.has(id) || (s.skipSpecial && s.vocab.special[id]) {
		return ""
	}
	s.piece = s.vocab.decode.appendPiece(s.piece[:0], s.vocab.pieces[id])
	s.out = s.text.append(s.out[:0], s.stripped(s.piece))
	return string(s.out)
}

// Flush ends the sequence: bytes held back that never became a character come
// out as one U+FFFD. The stream is then as new.
func (s *Stream) Flush() string {
	s.out = s.text.flush(s.out[:0])
	s.strip = s.vocab.decode.strip
	return string(s.out)
}

// stripped removes what the decoder drops from the start of a sequence. A rule
// is over at the first byte it does not match.
func (s *Stream) stripped(piece []byte) []byte {
	for len(s.strip) > 0 && len(piece) > 0 {
		rule := s.strip[0]
		if rule.count > 0 && piece[0] == rule.char {
			piece = piece[1:]
			s.strip = append([]stripLeading{{rule.char, rule.count - 1}}, s.strip[1:]...)
			continue
		}
		s.strip = s.strip[1:]
	}
	return piece
}

// utf8Decoder reads UTF-8 in pieces. pending holds the start of a character
// whose rest has not come; it is a valid prefix of some character.
type utf8Decoder struct {
	pending [utf8.UTFMax]byte
	n       int
}

func (u *utf8Decoder) append(dst, src []byte) []byte {
	for len(src) > 0 {
		if u.n == 0 {
			valid := validPrefix(src)
			dst, src = append(dst, src[:valid]...), src[valid:]
			if len(src) == 0 {
				break
			}
		}
		u.pending[u.n] = src[0]
		switch {
		case utf8.Valid(u.pending[:u.n+1]):
			dst = append(dst, u.pending[:u.n+1]...)
			u.n, src = 0, src[1:]
		case !utf8.FullRune(u.pending[:u.n+1]):
			u.n, src = u.n+1, src[1:]
		case u.n == 0: // a byte that starts no character
			dst, src = utf8.AppendRune(dst, utf8.RuneError), src[1:]
		default: // the prefix is broken here; this byte is read again on its own
			dst = u.flush(dst)
		}
	}
	return dst
}

func (u *utf8Decoder) flush(dst []byte) []byte {
	if u.n > 0 {
		u.n = 0
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	return dst
}

// validPrefix returns the length of the longest prefix made of whole characters.
func validPrefix(b []byte) int {
	if utf8.Valid(b) {
		return len(b)
	}
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		n += size
	}
	return n
}
