package console

import (
	"bytes"
	"os"
	"testing"
)

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		width      int
		text, want string
	}{
		{0, "name  a value that is long\n", "name  a value that is long\n"},
		{30, "name  a value that is rather long – yes\nshort\n", "name  a value that is rather\n      long – yes\nshort\n"},
		{30, "no columns here, and yet it is too long", "no columns here, and yet it is\ntoo long"},
		{26, "name  /a/path/that/has/no/space/in/it", "name  /a/path/that/has/no/\n      space/in/it"},
		{22, "name  too narrow for a second column", "name  too narrow for a second column"},
		{40, "exactly  forty columns are in this line.\n\n", "exactly  forty columns are in this line.\n\n"},
	} {
		if got := Fold(tt.text, tt.width); got != tt.want {
			t.Errorf("%d columns: %q, want %q", tt.width, got, tt.want)
		}
	}
}

func TestWidthOfWhatIsNoTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, stream := range []any{f, &bytes.Buffer{}, nil} {
		if n := Width(stream); n != 0 {
			t.Errorf("%T has %d columns", stream, n)
		}
	}
}
