package gguftest

import (
	"os"
	"path/filepath"
	"testing"
)

// SmallModel is the path of the small real model that the set-up brings. A test
// that needs it fails without it: it is part of the build.
func SmallModel(t testing.TB) string {
	t.Helper()
	path := filepath.Join(root(t), "third_party", "build", "models", "gemma-3-270m-q4_k_m.gguf")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the small model is not there, run make build: %v", err)
	}
	return path
}

// root is the folder of go.mod, above the package under test.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no go.mod above the test")
	return ""
}
