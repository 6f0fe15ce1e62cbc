package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// kinds are testdata's tokenizers; make.py says what each stands for.
var kinds = []string{"fallback", "prefixed", "bytelevel"}

type vectors struct {
	Texts []struct {
		Text        string  `json:"text"`
		IDs         []int32 `json:"ids"`
		WithSpecial []int32 `json:"with_special"`
	} `json:"texts"`
	Sequences []struct {
		IDs     []int32 `json:"ids"`
		Kept    string  `json:"kept"`
		Skipped string  `json:"skipped"`
	} `json:"sequences"`
}

func loadVectors(t *testing.T, kind string) vectors {
	t.Helper()
	var all map[string]vectors
	if err := json.Unmarshal(read(t, "testdata/vectors.json"), &all); err != nil {
		t.Fatal(err)
	}
	v := all[kind]
	if len(v.Texts) < 30 || len(v.Sequences) < 80 {
		t.Fatalf("vectors.json has %d texts and %d sequences for %s: it is not what make.py writes", len(v.Texts), len(v.Sequences), kind)
	}
	return v
}

// checkpoint writes a folder with the given files and returns it.
func checkpoint(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// load loads one of testdata's tokenizers, closed when the test ends.
func load(t *testing.T, kind string) *Tokenizer {
	t.Helper()
	return loadDir(t, checkpoint(t, map[string]string{"tokenizer.json": string(read(t, "testdata/"+kind+".json"))}))
}

func loadDir(t *testing.T, dir string) *Tokenizer {
	t.Helper()
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tok.Close(); err != nil {
			t.Error(err)
		}
	})
	return tok
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
