package gemma3_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"reprise/mlx"
	"reprise/model"
	"reprise/model/probe"
	"reprise/model/probe/probetest"
)

const realCheckpoint = "../../third_party/build/models/gemma-3-270m"

// realVectors is testdata/real-270m.json, which model/parity/make_gemma3_real.py writes.
type realVectors struct {
	SHA256  map[string]string `json:"sha256"`
	Prompts []struct {
		Name   string    `json:"name"`
		IDs    []int32   `json:"ids"`
		Greedy []int32   `json:"greedy"`
		Gaps   []float32 `json:"gaps"`
	} `json:"prompts"`
}

// TestRealWeights continues three prompts greedily on the real checkpoint. A load serves all prompts; the packed
// one is short because MLX's quantized product on the CPU device is scalar.
func TestRealWeights(t *testing.T) {
	requireReal(t)
	want := readReal(t)
	for file, sum := range want.SHA256 {
		if got := sha256Of(t, filepath.Join(realCheckpoint, file)); got != sum {
			t.Fatalf("%s has SHA-256 %s, the vectors were made with %s: run make build, or make parity after a change of the importer", file, got, sum)
		}
	}
	for _, c := range []struct {
		name   string
		widen  bool
		tokens int
	}{{"widened", true, 32}, {"packed", false, 6}} {
		t.Run(c.name, func(t *testing.T) {
			probetest.WithModel(t, realCheckpoint, c.widen, func(s *mlx.Scope, m model.Model) error {
				for _, p := range want.Prompts {
					// In two chunks, so that the state is continued also in the prefill.
					got, err := probe.Greedy(s, m, p.IDs, c.tokens, (len(p.IDs)+1)/2)
					if err != nil {
						return fmt.Errorf("%s: %w", p.Name, err)
					}
					probetest.CheckGreedy(t, p.Name, got, p.Greedy[:c.tokens], p.Gaps)
				}
				return nil
			})
		})
	}
}

func readReal(t *testing.T) (want realVectors) {
	t.Helper()
	raw, err := os.ReadFile("testdata/real-270m.json")
	if err == nil {
		err = json.Unmarshal(raw, &want)
	}
	if err != nil || len(want.Prompts) != 3 || len(want.SHA256) == 0 {
		t.Fatalf("testdata/real-270m.json: %d prompts, %d files, %v", len(want.Prompts), len(want.SHA256), err)
	}
	return want
}

// texts are the three prompts and their continuations, one behind the other.
func texts(t *testing.T) (ids []int32) {
	for _, p := range readReal(t).Prompts {
		ids = append(append(ids, p.IDs...), p.Greedy...)
	}
	return ids
}

func requireReal(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(realCheckpoint, "config.json")); err != nil {
		t.Fatalf("the small real model is missing (run make build): %v", err)
	}
}

func sha256Of(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
