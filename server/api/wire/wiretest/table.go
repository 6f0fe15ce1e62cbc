package wiretest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Table checks one endpoint's section of package api's PARAMETERS.md, which begins with "## ENDPOINT", from the directory of that
// package's tests or of an adapter's. Its rows are "| parameter | effect | test |": the parameters must be known, all of them, and each named
// test of the directory must exist and say the parameter's name.
func Table(t *testing.T, endpoint string, known []string) {
	t.Helper()
	raw, err := os.ReadFile("PARAMETERS.md")
	if os.IsNotExist(err) {
		raw, err = os.ReadFile(filepath.Join("..", "PARAMETERS.md"))
	}
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(raw), "\n## "+endpoint+"\n")
	if !found {
		t.Fatalf("PARAMETERS.md has no section %q", endpoint)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	tests := testSources(t)
	var listed []string
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		name, ok := strings.CutPrefix(cells[0], "| `")
		if !ok || len(cells) != 3 {
			continue
		}
		name = strings.TrimSuffix(name, "`")
		listed = append(listed, name)
		if !slices.Contains(known, name) {
			t.Errorf("%s: the table has %s, which the endpoint does not know", endpoint, name)
		}
		leaf := name[strings.LastIndex(name, ".")+1:]
		for test := range strings.SplitSeq(strings.TrimSuffix(cells[2], " |"), ", ") {
			if source, ok := tests[test]; !ok {
				t.Errorf("%s, %s: there is no %s here", endpoint, name, test)
			} else if !strings.Contains(source, `"`+leaf+`"`) {
				t.Errorf("%s, %s: %s does not say %s", endpoint, name, test, leaf)
			}
		}
	}
	for _, name := range known {
		if !slices.Contains(listed, name) {
			t.Errorf("%s knows %s, which the table lacks", endpoint, name)
		}
	}
}

// testSources are the texts of the test functions in this directory.
func testSources(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				out[f.Name.Name] = string(text[set.Position(f.Pos()).Offset:set.Position(f.End()).Offset])
			}
		}
	}
	return out
}
