package doctor

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"reprise/cmd/internal/tiny"
	"reprise/kvcache/ledger/footprint"
	"reprise/kvcache/ledger/footprint/machine"
	"reprise/mlx"
	"reprise/mlx/mlxtest"
	"reprise/model/hub"
)

// aMac is a probe of a Mac where all is in order.
func aMac() probe {
	p := system()
	p.goos = "darwin"
	p.machine = func() (machine.Machine, error) {
		return machine.Machine{Processor: "Apple M5", Model: "Mac17,2", OS: "macOS 26.1 (25B78)", Arch: "arm64", PhysicalCores: 10, MemoryBytes: 16 << 30}, nil
	}
	p.host = func() (footprint.Host, error) {
		return footprint.Host{TotalBytes: 16 << 30, AvailableBytes: 9 << 30}, nil
	}
	p.gpu = func() bool { return true }
	p.info = func(context.Context, *mlx.Worker) (mlx.DeviceInfo, error) {
		return mlx.DeviceInfo{Name: "Apple M5", RecommendedWorkingSet: 11_453_251_584, MemorySize: 16 << 30}, nil
	}
	p.sysctl = sysctls(map[string]int{"iogpu.wired_limit_mb": 0})
	return p
}

func sysctls(values map[string]int) func(string) (int, bool) {
	return func(name string) (int, bool) { n, ok := values[name]; return n, ok }
}

// runs changes what the probe says of the system and the processor.
func runs(system, processor string) func(*probe) {
	return func(p *probe) {
		p.machine = func() (machine.Machine, error) {
			return machine.Machine{Processor: processor, OS: system, MemoryBytes: 16 << 30}, nil
		}
	}
}

// Acceptance 6.6: each thing of the system is broken through the probe; the finding and its mending line follow.
func TestFindingsOfTheSystem(t *testing.T) {
	unread := errors.New("no such thing here")
	for _, tt := range []struct {
		name    string
		change  func(p *probe)
		finding string
		level   Level
		says    string
		mend    string
	}{
		{"a Mac in order", nil, "macos", OK, "macOS 26.1", ""},
		{"Metal is there", nil, "metal", OK, "there", ""},
		{"the system's own limit", nil, "working set", OK, "11.45 GB of 17.18 GB", ""},
		{"a limit that was raised", func(p *probe) { p.sysctl = sysctls(map[string]int{"iogpu.wired_limit_mb": 12800}) }, "working set", OK, "is 12800", ""},
		{"an old kernel without the limit", func(p *probe) { p.sysctl = sysctls(nil) }, "working set", OK, "is not there", ""},
		{"an old macOS", runs("macOS 13.6 (22G120)", "Apple M2"), "macos", Problem, "MLX needs macOS 14", "Software Update"},
		{"an M5 before 26", runs("macOS 15.5 (24F74)", "Apple M5"), "macos", Warning, "without the matrix units", "update to macOS 26"},
		{"an M2 before 26", runs("macOS 15.5 (24F74)", "Apple M2"), "macos", OK, "macOS 15.5", ""},
		{"a macOS without a version", runs("macOS", "Apple M5"), "macos", Warning, "does not say", "sw_vers"},
		{"translated", func(p *probe) { p.sysctl = sysctls(map[string]int{"sysctl.proc_translated": 1}) }, "rosetta", Problem, "translated from x86-64", "arm64"},
		{"no Metal", func(p *probe) { p.gpu = func() bool { return false } }, "metal", Problem, "no Metal device", "mlx.metallib"},
		{"a limit that leaves macOS nothing", func(p *probe) { p.sysctl = sysctls(map[string]int{"iogpu.wired_limit_mb": 15500}) }, "working set", Warning, "left to macOS", "sudo sysctl iogpu.wired_limit_mb=11571"},
		{"Metal does not say its working set", func(p *probe) {
			p.info = func(context.Context, *mlx.Worker) (mlx.DeviceInfo, error) { return mlx.DeviceInfo{}, nil }
		}, "working set", Warning, "does not say", "reprise plan"},
		{"another MLX", func(p *probe) { p.mlx = func() string { return "0.31.0" } }, "libraries", Problem, "0.31.0", "make build"},
		{"the MLX of the build", nil, "libraries", OK, builtFor, ""},
		{"no BLAS", func(p *probe) { p.blas = func() (string, int) { return "", 0 } }, "blas", Warning, "none found", "make build"},
		{"more threads than cores", func(p *probe) { p.blas = func() (string, int) { return "OpenBLAS", 4096 } }, "blas", Warning, "4096 threads", "OPENBLAS_NUM_THREADS"},
		{"a full disk", func(p *probe) { p.disk = func(string) (int64, error) { return 4_999_999_999, nil } }, "disk", Warning, "5.00 GB are free", "REPRISE_HOME"},
		{"room on the disk", func(p *probe) { p.disk = func(string) (int64, error) { return 5_000_000_000, nil } }, "disk", OK, "are free", ""},
		{"a disk that does not say", func(p *probe) { p.disk = func(string) (int64, error) { return 0, unread } }, "disk", Warning, "could not be read", "df"},
		{"a machine that does not say", func(p *probe) { p.machine = func() (machine.Machine, error) { return machine.Machine{}, unread } }, "machine", Warning, "no such thing", "/proc"},
		{"memory that cannot be read", func(p *probe) { p.host = func() (footprint.Host, error) { return footprint.Host{}, unread } }, "memory", Warning, "no such thing", "/proc"},
		{"swapped out", func(p *probe) {
			p.host = func() (footprint.Host, error) {
				return footprint.Host{TotalBytes: 16e9, AvailableBytes: 1e9, SwapUsedBytes: 2e9}, nil
			}
		}, "memory", Warning, "2.00 GB swapped out", "close other programs"},
		{"no memory free", func(p *probe) {
			p.host = func() (footprint.Host, error) { return footprint.Host{TotalBytes: 16e9, AvailableBytes: 1000}, nil }
		}, "fits", Warning, "free memory is 1000 B", "reprise plan"},
		{"an NVIDIA GPU that MLX does not see", func(p *probe) {
			p.goos, p.gpu, p.nvidia = "linux", func() bool { return false }, func() bool { return true }
		}, "device", Warning, "cpu", "MLX_BACKEND=cuda"},
		{"a device that does not answer", func(p *probe) {
			p.info = func(context.Context, *mlx.Worker) (mlx.DeviceInfo, error) { return mlx.DeviceInfo{}, unread }
		}, "device", Problem, "no such thing", "--device cpu"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("REPRISE_HOME", t.TempDir())
			p := aMac()
			if tt.change != nil {
				tt.change(&p)
			}
			f := find(t, examineWith(t, Options{Model: tiny.Copy(t, "tiny-f32")}, p), tt.finding)
			if f.Level != tt.level || !strings.Contains(f.Says, tt.says) || !strings.Contains(f.Mend, tt.mend) {
				t.Errorf("%s is %s: %s → %s", f.Name, f.Level, f.Says, f.Mend)
			}
		})
	}
}

// On another system nothing of a Mac is looked for.
func TestNoMac(t *testing.T) {
	t.Setenv("REPRISE_HOME", t.TempDir())
	p := aMac()
	p.goos = "linux"
	for _, f := range examineWith(t, Options{Model: tiny.Copy(t, "tiny-f32")}, p).Findings {
		if slices.Contains([]string{"macos", "metal", "rosetta", "working set"}, f.Name) {
			t.Errorf("%+v", f)
		}
	}
}

// The folders of models: none, whole ones, a damaged one that is named.
func TestModels(t *testing.T) {
	for _, name := range []string{"HF_HUB_CACHE", "REPRISE_BUILD_CACHE"} {
		t.Setenv(name, t.TempDir())
	}
	home := t.TempDir()
	t.Setenv("REPRISE_HOME", home)
	whole := Options{Model: tiny.Copy(t, "tiny-f32")}
	if f := find(t, examine(t, whole), "models"); f.Level != Warning || !strings.Contains(f.Says, "none") || !strings.Contains(f.Mend, "make build") {
		t.Errorf("without models: %+v", f)
	}
	if err := os.CopyFS(filepath.Join(home, "models", "whole"), os.DirFS(whole.Model)); err != nil {
		t.Fatal(err)
	}
	if f := find(t, examine(t, whole), "models"); f.Level != OK || !strings.Contains(f.Says, "1 on this machine") {
		t.Errorf("with one: %+v", f)
	}
	broken := filepath.Join(home, "models", "broken")
	if err := os.CopyFS(broken, os.DirFS(whole.Model)); err != nil {
		t.Fatal(err)
	}
	tiny.Truncate(t, broken, 4)
	if f := find(t, examine(t, whole), "models"); f.Level != Warning || !strings.Contains(f.Says, "1 of 2") || !strings.Contains(f.Says, "broken") || !strings.Contains(f.Mend, "again") {
		t.Errorf("with a damaged one: %+v", f)
	}
}

// Without a home folder nothing can be found or kept.
func TestNoHome(t *testing.T) {
	whole := Options{Model: tiny.Copy(t, "tiny-f32")}
	for _, name := range []string{"HOME", "REPRISE_HOME", "XDG_CACHE_HOME"} {
		t.Setenv(name, "")
	}
	r := examine(t, whole)
	if f := find(t, r, "models"); f.Level != Warning || !strings.Contains(f.Mend, "folder") {
		t.Errorf("%+v", f)
	}
	if f := find(t, r, "folders"); f.Level != Problem || !strings.Contains(f.Mend, "REPRISE_HOME") {
		t.Errorf("%+v", f)
	}
	if f := find(t, r, "agents"); f.Level != Warning || f.Mend != "set HOME" {
		t.Errorf("%+v", f)
	}
}

// A checkpoint without an end, and one that does not say what it was trained for.
func TestFindingsOfOddCheckpoints(t *testing.T) {
	t.Setenv("REPRISE_HOME", t.TempDir())
	small, err := hub.Resolve("")
	if err != nil {
		t.Fatalf("this test needs the small model (run `make build`): %v", err)
	}
	dir := tiny.Copy(t, "tiny-f32")
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		raw, err := os.ReadFile(filepath.Join(small.Dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if f := find(t, examine(t, Options{Model: dir}), "tokenizer"); f.Level != OK {
		t.Errorf("with a tokenizer: %+v", f)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "generation_config.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	tiny.Config(t, dir, map[string]any{"eos_token_id": nil, "max_position_embeddings": nil})
	r := examine(t, Options{Model: dir})
	if f := find(t, r, "tokenizer"); f.Level != Problem || !strings.Contains(f.Says, "no id ends a text") || !strings.Contains(f.Mend, "eos_token_id") {
		t.Errorf("without an end: %+v", f)
	}
	if f := find(t, r, "context"); f.Level != Warning || !strings.Contains(f.Mend, "--ctx") {
		t.Errorf("without a context: %+v", f)
	}
}

// The cut model that a GPU's kernels are compared with has every kind of layer of the real configs, and loads.
func TestCut(t *testing.T) {
	configs, err := filepath.Glob("../../../model/*/testdata/tiny-*/config.json")
	if err != nil || len(configs) < 10 {
		t.Fatal(len(configs), err)
	}
	for _, file := range append(configs, "../plan/configs/gemma-4-e4b.json", "../plan/configs/qwen3.6-27b.json", "../plan/configs/qwen3.6-35b-a3b.json") {
		cfg, err := hub.ReadConfigFile(file)
		if err != nil {
			t.Fatal(err)
		}
		small, err := cut(cfg)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		kinds := func(c *hub.Config) []string {
			list, err := hub.LayerTypes(c)
			if err != nil {
				t.Fatal(err)
			}
			return slices.Compact(slices.Sorted(slices.Values(list)))
		}
		if a, b := kinds(cfg), kinds(small); !slices.Equal(a, b) {
			t.Errorf("%s has layers of %v, cut %v", file, a, b)
		}
		if strings.Contains(file, "qwen3.6") {
			continue // it takes seconds to make up
		}
		mlxtest.OnWorker(t, func(s *mlx.Scope) error { return loadCut(s, cfg, mlx.CPU) })
	}
}

func TestBuiltForIsPinned(t *testing.T) {
	pins, err := os.ReadFile("../../../third_party/pins.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, wheel := range []string{"mlx-cpu", "mlx-metal", "mlx-cuda-13"} {
		m := regexp.MustCompile(`(?m)^pypi ` + wheel + ` (\S+)`).FindSubmatch(pins)
		if m == nil || string(m[1]) != builtFor {
			t.Errorf("%s is pinned at %s, doctor knows %s", wheel, m, builtFor)
		}
	}
	if system().mlx() != builtFor {
		t.Errorf("this MLX is %s", system().mlx())
	}
}

// findings are those that the tests saw.
type findings struct {
	mu    sync.Mutex
	names map[string]bool // name and level, and name and mending line
}

var seen = findings{names: map[string]bool{}}

func (s *findings) note(list ...Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range list {
		s.names[f.Name+": "+string(f.Level)] = true
		s.names[f.Name+": "+f.Mend] = true
	}
}

// TestMain holds every finding in the source that is not in order against those that the tests saw.
func TestMain(m *testing.M) {
	code := m.Run()
	if selected := slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.run=") || strings.HasPrefix(a, "-test.skip=") }); code == 0 && !selected {
		for _, missing := range unseen() {
			fmt.Printf("no test sees the finding %s\n", missing)
			code = 1
		}
	}
	os.Exit(code)
}

// unseen are the calls of add in this package whose finding no test saw.
func unseen() []string {
	var out []string
	files, _ := filepath.Glob("*.go")
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return []string{err.Error()}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 4 {
				return true
			}
			if fun, ok := call.Fun.(*ast.SelectorExpr); !ok || fun.Sel.Name != "add" {
				return true
			}
			finding, literal := text(call.Args[0])
			level, isName := call.Args[1].(*ast.Ident)
			if !literal || !isName {
				return true // another package's findings
			}
			key := finding + ": " + strings.ToLower(level.Name)
			if mend, literal := text(call.Args[2]); literal {
				key = finding + ": " + mend
			}
			if !seen.names[key] {
				out = append(out, key)
			}
			return true
		})
	}
	return out
}

func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}
