package connect

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Agent is one of the agents whose configuration is known here.
type Agent interface {
	// Name is what the command line calls it.
	Name() string
	title() string
	least() int // tokens of context that it needs
	path(home string) string
	parse(raw []byte) (document, error)
	merge(d document, s *Server, api API) error
	read(d document) Connection
}

// Agents are all of them.
var Agents = []Agent{openclaw{}, hermes{}}

// Find is the agent of that name.
func Find(name string) (Agent, error) {
	for _, a := range Agents {
		if a.Name() == name {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%q is not an agent that is known here: openclaw or hermes", name)
}

// Connection is what an agent's configuration says about this server.
type Connection struct {
	URL     string // "" when it does not name one
	Model   string
	Context int    // 0 when it does not say
	Chosen  bool   // it is the agent's default, not only one of its providers
	Other   string // what is the default
	Asks    bool   // the agent asks the server for the length that its configuration does not say
}

// Change is a configuration with and without the server in it.
type Change struct {
	Agent    Agent
	Path     string
	Before   []byte // nil when there is no file
	After    []byte
	Fragment []byte // what a configuration with nothing else in it would be
}

// Prepare makes the change for the user whose home that is, and writes nothing. A context that is too short for the agent is
// an error.
func Prepare(a Agent, home string, s *Server, api API) (*Change, error) {
	if s.Context < a.least() {
		return nil, fmt.Errorf("%s needs a context of %d tokens and %s has %d: start it with `reprise serve --ctx %d`", a.title(), a.least(), s.URL, s.Context, 65536)
	}
	c := &Change{Agent: a, Path: a.path(home)}
	var err error
	if c.Before, err = os.ReadFile(c.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if c.After, err = merged(a, c.Before, s, api); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	if c.Fragment, err = merged(a, nil, s, api); err != nil {
		return nil, err
	}
	return c, nil
}

func merged(a Agent, raw []byte, s *Server, api API) ([]byte, error) {
	d, err := a.parse(raw)
	if err != nil {
		return nil, err
	}
	was, err := d.text()
	if err != nil {
		return nil, err
	}
	if err := a.merge(d, s, api); err != nil {
		return nil, err
	}
	now, err := d.text()
	if err == nil && raw != nil && bytes.Equal(was, now) {
		return raw, nil // as its owner laid it out
	}
	return now, err
}

// Needed says whether the file lacks anything.
func (c *Change) Needed() bool { return c.Before == nil || !bytes.Equal(c.Before, c.After) }

// Write puts the change in place and says where the copy of the old file is, "" when there was none.
func (c *Change) Write(now time.Time) (backup string, err error) {
	path := c.Path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link to a file that is kept elsewhere stays one
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	if c.Before != nil {
		backup = path + ".before-reprise-" + now.UTC().Format("20060102T150405")
		if err := create(backup, c.Before); err != nil {
			return "", fmt.Errorf("no copy of %s could be made, so it was not changed: %w", path, err)
		}
	}
	return backup, replace(path, c.After)
}

// create writes a file that must not be there yet. Configurations hold keys: nobody else may read them.
func create(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}

// replace puts the file in place as a whole or not at all.
func replace(path string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".reprise-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone when it was renamed
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
