package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// scanner walks a JSON document without building values for what the caller
// does not ask for. A tokenizer.json of 33 MB is nearly all merges, which only
// the encoder needs: encoding/json takes five times as long to step over them.
//
// It checks structure (brackets, strings, separators), which finds a truncated
// file; what it skips is not otherwise validated.
type scanner struct {
	data []byte
	pos  int
}

var errTruncated = errors.New("the file ends too early (an interrupted download?)")

func (s *scanner) fail(want string) error {
	if s.pos >= len(s.data) {
		return errTruncated
	}
	return fmt.Errorf("byte %d: found %q where %s was expected", s.pos, s.data[s.pos], want)
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c {
		return s.fail(strconv.QuoteRune(rune(c)))
	}
	s.pos++
	return nil
}

// object calls visit for each key, with the scanner at the key's value; visit
// must consume exactly that value.
func (s *scanner) object(visit func(key string) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		key, err := s.str()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := visit(key); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return nil
		default:
			return s.fail("',' or '}'")
		}
	}
}

// raw consumes a value of any kind and returns its bytes.
func (s *scanner) raw() ([]byte, error) {
	s.peek()
	start := s.pos
	depth := 0
	for {
		switch c := s.peek(); c {
		case 0:
			return nil, s.fail("a value")
		case '"':
			if _, err := s.rawString(); err != nil {
				return nil, err
			}
		case '{', '[':
			depth++
			s.pos++
		case '}', ']':
			if depth == 0 {
				return nil, s.fail("a value")
			}
			depth--
			s.pos++
		case ',', ':':
			if depth == 0 {
				return nil, s.fail("a value")
			}
			s.pos++
			continue
		default:
			s.scalar()
		}
		if depth == 0 {
			return s.data[start:s.pos], nil
		}
	}
}

// scalar steps over a number or a literal.
func (s *scanner) scalar() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r', ',', ':', '}', ']', '{', '[', '"':
			return
		}
		s.pos++
	}
}

// rawString consumes a string and returns it with its quotes.
func (s *scanner) rawString() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.fail("a string")
	}
	start := s.pos
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case '\\':
			s.pos++
		case '"':
			s.pos++
			return s.data[start:s.pos], nil
		}
	}
	return nil, errTruncated
}

func (s *scanner) str() (string, error) {
	raw, err := s.rawString()
	if err != nil {
		return "", err
	}
	body := raw[1 : len(raw)-1]
	for _, c := range body {
		if c == '\\' || c < ' ' {
			var out string
			if err := json.Unmarshal(raw, &out); err != nil {
				return "", fmt.Errorf("string %s: %w", raw, err)
			}
			return out, nil
		}
	}
	return string(body), nil
}

// integer consumes a whole number that fits a token id.
func (s *scanner) integer() (int32, error) {
	s.peek()
	start := s.pos
	s.scalar()
	n, err := strconv.ParseInt(string(s.data[start:s.pos]), 10, 32)
	if err != nil {
		s.pos = start
		return 0, s.fail("a token id")
	}
	return int32(n), nil
}
