package experiment

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"reprise/cmd/internal/loop/fixture"
)

//go:embed files
var files embed.FS

// The parts of the folder.
const (
	Fixtures = "fixtures" // texts, for `bench loop --fixtures`
	Image    = "smoke.ppm"
	Commands = "commands.sh"
	Skill    = "SKILL.md"
	ReadMe   = "README.md"
)

// side is the smoke image's width and height.
const side = 32

// Init writes the folder, which must be new or empty. It returns the files' names.
func Init(dir string) (written []string, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("%s has files in it: name a new folder, so that no edited text is lost", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s cannot be used: %w", dir, err)
	}
	write := func(name string, content []byte, mode fs.FileMode) {
		if err != nil {
			return
		}
		path := filepath.Join(dir, name)
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, content, mode)
		}
		written = append(written, name)
	}
	err = nil
	for _, name := range []string{ReadMe, Skill, Commands} {
		content, readErr := files.ReadFile("files/" + name)
		if readErr != nil {
			return nil, readErr // embedded
		}
		mode := fs.FileMode(0o644)
		if name == Commands {
			mode = 0o755
		}
		write(name, content, mode)
	}
	write(Image, Smoke(), 0o644)
	texts := fixture.Files()
	names, globErr := fs.Glob(texts, "*")
	if globErr != nil {
		return nil, globErr
	}
	for _, name := range names {
		content, readErr := fs.ReadFile(texts, name)
		if readErr != nil {
			return nil, readErr
		}
		write(filepath.Join(Fixtures, name), content, 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be written: %w", dir, err)
	}
	return written, nil
}

// Smoke is a white image in ASCII: a PPM that any editor shows.
func Smoke() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "P3\n%d %d\n255\n", side, side)
	row := strings.TrimSpace(strings.Repeat("255 255 255 ", side))
	for range side {
		b.WriteString(row + "\n")
	}
	return []byte(b.String())
}
