package events

import (
	"bufio"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRead(t *testing.T) {
	long := strings.Repeat("x", 1<<14)
	for _, tt := range []struct {
		stream, want string
		ended        bool
	}{
		{"", "", false},
		{"data: a\n\n: alive\nevent: x\ndata:b\r\n\ndata:\n\ndata: [DONE]\n\ndata: c\n", "a|b", true},
		{"data: a", "a", false},
		{"data: " + long + "\ndata: [DONE]", long, true},
	} {
		var got []string
		ended, err := Read(iotest.OneByteReader(strings.NewReader(tt.stream)), 1<<15, func(data []byte) error { got = append(got, string(data)); return nil })
		if err != nil || ended != tt.ended || strings.Join(got, "|") != tt.want {
			t.Errorf("%.60q: %.60q, ended %v, %v", tt.stream, got, ended, err)
		}
	}
	if _, err := Read(strings.NewReader("data: "+long), 1<<14, func([]byte) error { return nil }); !errors.Is(err, bufio.ErrTooLong) {
		t.Errorf("a line beyond the limit: %v", err)
	}
	broken := errors.New("broken")
	if _, err := Read(iotest.ErrReader(broken), 99, func([]byte) error { return nil }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if ended, err := Read(strings.NewReader("data: a\ndata: [DONE]\n"), 99, func([]byte) error { return broken }); ended || !errors.Is(err, broken) {
		t.Errorf("ended %v, %v", ended, err)
	}
}

func TestWhatAnEventIsNot(t *testing.T) {
	var into struct{}
	if err := Decode([]byte("{"), &into); err == nil || !strings.Contains(err.Error(), `the stream holds "{"`) {
		t.Errorf("%v", err)
	}
	for text, want := range map[string]bool{"": false, "null": false, `{"message":"too long"}`: true} {
		if err := Failed(json.RawMessage(text)); (err != nil) != want || want && !strings.Contains(err.Error(), "too long") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
