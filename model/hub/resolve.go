package hub

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Source says where a checkpoint was found.
type Source string

// The places where checkpoints are.
const (
	FromFolder      Source = "folder"       // a path
	FromHome        Source = "home"         // REPRISE_HOME/models
	FromHuggingFace Source = "hugging_face" // the Hugging Face cache
	FromSetup       Source = "setup"        // the small model that `make build` imported
)

// Checkpoint is a folder with a model in it.
type Checkpoint struct {
	Name     string `json:"name"` // what Resolve takes: a name, an id, or the folder itself
	Dir      string `json:"dir"`  // absolute
	Source   Source `json:"source"`
	Revision string `json:"revision,omitempty"` // the commit, for the Hugging Face cache
	Problem  string `json:"problem,omitempty"`  // why it cannot be used; only List reports such
}

// NotFoundError says that no checkpoint goes by a name.
type NotFoundError struct {
	Ref    string
	Looked []string // the places, in the order they were looked at
	Near   []string // names that resemble Ref
	Hint   string   // what to do, without a full stop
}

func (e *NotFoundError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "model %q was not found: looked for %s", e.Ref, strings.Join(e.Looked, ", "))
	if len(e.Near) > 0 {
		fmt.Fprintf(&b, "; did you mean %s?", strings.Join(e.Near, " or "))
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// hubID is an id of the Hugging Face hub, ORG/NAME.
var hubID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Resolve finds a checkpoint on this machine. ref is a folder, a name under
// REPRISE_HOME/models, the set-up's SmallModel (also meant by ""), or a hub id
// that the Hugging Face cache holds; they are tried in this order. What is not
// there gives a *NotFoundError. Only the presence of config.json is checked.
func Resolve(ref string) (Checkpoint, error) {
	p, err := findPlaces()
	if err != nil {
		return Checkpoint{}, err
	}
	return p.resolve(ref)
}

func (p places) resolve(ref string) (Checkpoint, error) {
	if ref == "" {
		ref = SmallModel
	}
	missing := &NotFoundError{Ref: ref}
	if c, ok, err := p.folder(ref); ok || err != nil {
		return c, err
	}
	missing.Looked = append(missing.Looked, "the folder "+ref)
	if looksLikePath(ref) {
		missing.Hint = "`reprise models ls` lists what there is"
		return Checkpoint{}, missing
	}
	dir := filepath.Join(p.models, filepath.FromSlash(ref))
	if hasConfig(dir) {
		return Checkpoint{Name: ref, Dir: dir, Source: FromHome}, nil
	}
	missing.Looked = append(missing.Looked, dir)
	if ref == SmallModel {
		if c, ok := p.small(); ok {
			return c, nil
		}
		missing.Looked = append(missing.Looked, p.setup...)
		missing.Hint = "run `make build`, which imports it"
		return Checkpoint{}, missing
	}
	if hubID.MatchString(ref) {
		c, err := p.cached(ref)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return c, err
		}
		missing.Looked = append(missing.Looked, p.cacheFolder(ref))
		missing.Hint = fmt.Sprintf("downloading is not built yet: fetch it with `hf download %s`, or pass the folder of a checkpoint", ref)
	} else {
		missing.Hint = "`reprise models ls` lists what there is"
	}
	missing.Near = near(ref, p.list())
	return Checkpoint{}, missing
}

// looksLikePath tells a path from a name: a name has no other meaning for its
// first character, and at most one slash.
func looksLikePath(ref string) bool {
	return filepath.IsAbs(ref) || strings.HasPrefix(ref, ".") || strings.HasPrefix(ref, "~") ||
		strings.HasSuffix(ref, "/") || strings.Count(ref, "/") > 1 || strings.Contains(ref, "..")
}

// folder resolves ref as a path. A path that exists but holds no checkpoint is
// an error, unless ref could also be a name.
func (p places) folder(ref string) (Checkpoint, bool, error) {
	path := ref
	if rest, ok := strings.CutPrefix(ref, "~/"); ok {
		if user, err := os.UserHomeDir(); err == nil {
			path = filepath.Join(user, rest)
		}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Checkpoint{}, false, nil //nolint:nilerr // not a path on this machine: the other places are looked at next
	case strings.HasSuffix(path, ".gguf"):
		return Checkpoint{}, false, fmt.Errorf("model %s is a GGUF file: import it first, with `reprise models import %s`, and pass the folder that it writes", ref, ref)
	case !info.IsDir() && looksLikePath(ref):
		return Checkpoint{}, false, fmt.Errorf("model %s is a file: pass the checkpoint's folder", ref)
	case !hasConfig(path) && looksLikePath(ref):
		return Checkpoint{}, false, fmt.Errorf("model %s has no config.json: it is not the folder of a checkpoint", ref)
	case !hasConfig(path): // perhaps a name that happens to be a file's here
		return Checkpoint{}, false, nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return Checkpoint{}, false, fmt.Errorf("model %s: %w", ref, err)
	}
	return Checkpoint{Name: ref, Dir: abs, Source: FromFolder}, true, nil
}

func (p places) small() (Checkpoint, bool) {
	for _, dir := range p.setup {
		if hasConfig(dir) {
			if abs, err := filepath.Abs(dir); err == nil {
				dir = abs
			}
			return Checkpoint{Name: SmallModel, Dir: dir, Source: FromSetup}, true
		}
	}
	return Checkpoint{}, false
}

func (p places) cacheFolder(id string) string {
	return filepath.Join(p.hub, "models--"+strings.ReplaceAll(id, "/", "--"))
}

// cached finds id in the Hugging Face cache: refs/main names the commit whose
// snapshot is used. An id that is not there at all is os.ErrNotExist; one that
// is there in part is another error.
func (p places) cached(id string) (Checkpoint, error) {
	if p.hub == "" {
		return Checkpoint{}, os.ErrNotExist
	}
	repo := p.cacheFolder(id)
	if _, err := os.Stat(repo); err != nil {
		return Checkpoint{}, err
	}
	partial := func(what string) error {
		return fmt.Errorf("model %s is in the Hugging Face cache, but %s: finish the download with `hf download %s`", id, what, id)
	}
	ref := filepath.Join(repo, "refs", "main")
	text, err := os.ReadFile(ref)
	if err != nil {
		return Checkpoint{}, partial("has no " + ref)
	}
	commit := strings.TrimSpace(string(text))
	if commit == "" || commit != filepath.Base(commit) || commit == "." || commit == ".." {
		return Checkpoint{}, partial(fmt.Sprintf("%s holds no commit (%q)", ref, commit))
	}
	dir := filepath.Join(repo, "snapshots", commit)
	if _, err := os.Stat(dir); err != nil {
		return Checkpoint{}, partial(fmt.Sprintf("%s names commit %s, which has no snapshot", ref, commit))
	}
	if !hasConfig(dir) {
		return Checkpoint{}, partial(fmt.Sprintf("its snapshot %s has no config.json", dir))
	}
	return Checkpoint{Name: id, Dir: dir, Source: FromHuggingFace, Revision: commit}, nil
}

// hasConfig follows links, so a dangling one in a snapshot counts as absent.
func hasConfig(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "config.json"))
	return err == nil && info.Mode().IsRegular()
}
