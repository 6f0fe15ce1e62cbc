package rooms

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "reprise"
	root   = "../../.." // of the checkout
)

// rooms is the design's table: what a room's packages may import of ours, beside their own room. A name stands for
// the package and all below it, except where a longer name of the table takes over.
var rooms = map[string][]string{
	"mlx":             {},
	"kvcache/state":   {"mlx"},
	"model":           {"mlx", "kvcache/state"},
	"kvcache":         {},
	"kvcache/ledger":  {"kvcache"}, // part of kvcache, named for those who may import only this part
	"server/prompt":   {"model"},
	"server/schedule": {"mlx", "model"},
	"server/engine":   {"mlx", "kvcache/state", "model", "kvcache", "kvcache/ledger", "server/prompt", "server/schedule"},
	"server/api":      {"server/engine", "kvcache/ledger", "model"},
	"server/dash":     {"server/engine", "kvcache/ledger"},
	"server/metrics":  {"server/engine", "kvcache/ledger"},
	"cmd": {"mlx", "kvcache/state", "model", "kvcache", "kvcache/ledger", "server/prompt", "server/schedule", "server/engine",
		"server/api", "server/dash", "server/metrics"},
}

// roomOf is the room of a folder relative to the root, "" when it lies in none.
func roomOf(dir string) string {
	for dir != "." {
		if _, ok := rooms[dir]; ok {
			return dir
		}
		dir = path.Dir(dir)
	}
	return ""
}

// problem says what is wrong with a package of folder dir importing folder to, "" when nothing is.
func problem(dir, to string) string {
	from, into := roomOf(dir), roomOf(to)
	switch {
	case into == "":
		return "lies in no room"
	case from == into || slices.Contains(rooms[from], into):
		return ""
	}
	return "is not in the row of " + from
}

// file is what the tests read of a Go file.
type file struct {
	name    string // relative to the root
	test    bool
	pkg     string
	doc     bool // it has a package comment
	imports []string
}

// packages are the Go files of the checkout by folder, for every system and build tag.
func packages(t *testing.T) map[string][]file {
	t.Helper()
	out := map[string][]file{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); p != root && (strings.HasPrefix(n, ".") || strings.HasPrefix(n, "_") || n == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(p) != ".go" {
			return nil
		}
		f, err := parse(p)
		if err != nil {
			return err
		}
		dir := path.Dir(f.name)
		out[dir] = append(out[dir], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("found %d packages: the test looks in the wrong place", len(out))
	}
	return out
}

func parse(p string) (file, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	rel, err := filepath.Rel(root, p)
	if err != nil {
		return file{}, err
	}
	f := file{name: filepath.ToSlash(rel), test: strings.HasSuffix(p, "_test.go"), pkg: parsed.Name.Name, doc: hasText(parsed.Doc)}
	for _, i := range parsed.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, name)
	}
	return f, nil
}

func hasText(c *ast.CommentGroup) bool { return c != nil && strings.TrimSpace(c.Text()) != "" }

// Imports go upwards in the design's table only. Tests may import what they like.
func TestImportOrder(t *testing.T) {
	crossed := 0
	for dir, files := range packages(t) {
		if roomOf(dir) == "" {
			t.Errorf("%s holds Go files and lies in no room: the top level is fixed (design.md)", dir)
			continue
		}
		for _, f := range files {
			for _, name := range f.imports {
				to, ours := strings.CutPrefix(name, module+"/")
				if !ours || f.test {
					continue
				}
				if roomOf(to) != roomOf(dir) {
					crossed++
				}
				if p := problem(dir, to); p != "" {
					t.Errorf("%s imports %s, which %s", f.name, name, p)
				}
			}
		}
	}
	if crossed < 20 {
		t.Errorf("only %d imports from room to room were seen", crossed)
	}
}

// The table itself is an order: no room is reachable from a room that it may import.
func TestTableIsAnOrder(t *testing.T) {
	var reach func(from string, seen map[string]bool)
	reach = func(from string, seen map[string]bool) {
		for _, to := range rooms[from] {
			if _, ok := rooms[to]; !ok {
				t.Fatalf("the row of %s names %s, which is no room", from, to)
			}
			if !seen[to] {
				seen[to] = true
				reach(to, seen)
			}
		}
	}
	for room := range maps.Keys(rooms) {
		seen := map[string]bool{}
		if reach(room, seen); seen[room] {
			t.Errorf("%s may import itself by way of others", room)
		}
	}
	for _, c := range []struct {
		dir, to string
		allowed bool
	}{
		{"mlx", "mlx/safetensors", true}, {"kvcache/state", "mlx", true}, {"kvcache", "kvcache/state", false}, {"kvcache", "mlx", false},
		{"kvcache/tier", "kvcache", true}, {"kvcache/ledger/footprint", "kvcache/ledger", true}, {"model/gemma3", "kvcache", false}, {"model/gemma3", "model/nn", true},
		{"server/prompt", "mlx", false}, {"server/schedule", "server/engine", false}, {"server/api/openai", "server/prompt", false}, {"server/dash", "model", false},
		{"server/api/openai", "kvcache/ledger", true}, {"server/api/openai", "kvcache", false}, {"server/engine", "server/api", false},
		{"cmd/internal/run", "server/api/openai", true}, {"mlx", "model", false}, {"model", "other", false},
	} {
		if p := problem(c.dir, c.to); (p == "") != c.allowed {
			t.Errorf("%s importing %s: %q, allowed is %v", c.dir, c.to, p, c.allowed)
		}
	}
}

// C stands in mlx, and in the wrapper of a Rust library: no C type and no other way to memory leaks out of them.
func TestCgoStandsInMLXOnly(t *testing.T) {
	seen := 0
	for dir, files := range packages(t) {
		for _, f := range files {
			switch {
			case !slices.Contains(f.imports, "C"):
			case dir != "mlx" && dir != "model/sample/grammar":
				t.Errorf("%s imports C: cgo belongs into mlx, and into thin wrappers of Rust libraries", f.name)
			default:
				seen++
			}
		}
	}
	if seen == 0 {
		t.Error("no file of mlx imports C: the test does not see cgo")
	}
}

// Every package says in its doc.go what it owns. A command says it in its main file, a package that only serves
// tests (its name ends in test) in any file.
func TestEveryPackageHasADoc(t *testing.T) {
	for dir, files := range packages(t) {
		files = slices.DeleteFunc(files, func(f file) bool { return f.test })
		if len(files) == 0 {
			continue // tests only
		}
		anywhere := files[0].pkg == "main" || strings.HasSuffix(files[0].pkg, "test")
		if !slices.ContainsFunc(files, func(f file) bool { return f.doc && (anywhere || path.Base(f.name) == "doc.go") }) {
			t.Errorf("package %s has no doc.go with a package comment", dir)
		}
	}
}
