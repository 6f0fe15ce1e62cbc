package hub

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// SmallModel is the name of the model that the set-up imports, used when none
// is named.
const SmallModel = "gemma-3-270m"

// Home returns reprise's own folder: $REPRISE_HOME, else ~/.cache/reprise. It
// need not exist.
func Home() (string, error) {
	if dir := os.Getenv("REPRISE_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("reprise's folder: %w: set REPRISE_HOME", err)
	}
	return filepath.Join(user, ".cache", "reprise"), nil
}

// places are the folders in which checkpoints are looked for. A field is empty
// where this machine has no such place.
type places struct {
	models string   // REPRISE_HOME/models: a folder per model, or per org and model
	hub    string   // the Hugging Face cache: models--ORG--NAME
	setup  []string // folders that may hold the set-up's small model, best first
}

func findPlaces() (places, error) {
	home, err := Home()
	if err != nil {
		return places{}, err
	}
	return places{models: filepath.Join(home, "models"), hub: huggingFaceCache(), setup: setupFolders()}, nil
}

// huggingFaceCache follows the order of huggingface_hub's constants.
func huggingFaceCache() string {
	for _, name := range []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} {
		if dir := os.Getenv(name); dir != "" {
			return dir
		}
	}
	if dir := os.Getenv("HF_HOME"); dir != "" {
		return filepath.Join(dir, "hub")
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "huggingface", "hub")
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(user, ".cache", "huggingface", "hub")
}

// setupFolders lists where the set-up leaves the small model: beside the binary
// of a checkout (bin/reprise → third_party/build/models), else in the build
// cache, where an installed binary and test binaries find it.
func setupFolders() []string {
	var dirs []string
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dirs = append(dirs, filepath.Join(filepath.Dir(exe), "..", "third_party", "build", "models", SmallModel))
	}
	if cache := buildCache(); cache != "" {
		dirs = append(dirs, filepath.Join(cache, "models", SmallModel))
		dirs = append(dirs, newestFirst(filepath.Join(cache, "*", SmallModel))...)
	}
	return dirs
}

// buildCache is where third_party/setup.sh keeps what it made.
func buildCache() string {
	if dir := os.Getenv("REPRISE_BUILD_CACHE"); dir != "" {
		return dir
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(user, "Library", "Caches", "reprise-build")
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "reprise-build")
	}
	return filepath.Join(user, ".cache", "reprise-build")
}

// newestFirst lists what matches pattern: after an update of the set-up the
// cache holds the old import too.
func newestFirst(pattern string) []string {
	matches, err := filepath.Glob(pattern)
	if err != nil { // the cache's path has a bracket in it
		return nil
	}
	modified := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	slices.SortStableFunc(matches, func(a, b string) int {
		if ma, mb := modified(a), modified(b); ma != mb {
			if ma > mb {
				return -1
			}
			return 1
		}
		return 0
	})
	return matches
}
