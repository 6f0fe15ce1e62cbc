package sidebyside

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Setup says where the programs and the weights are. Paths are absolute.
type Setup struct {
	Reprise string // the binary
	Peers   string // the folder that third_party/peers.sh fills
	Model   string // the checkpoint's folder, for reprise and mlx-lm
	GGUF    string // the file that the checkpoint was imported from, for llama.cpp
	Home    string // an empty folder: reprise's REPRISE_HOME
	Threads int
}

// serverContext is the context that servers are started with, tokens: llama.cpp allocates it at the start.
const serverContext = 8192

// command is a program to start.
type command struct {
	path string
	args []string
	env  []string // beside this process's
}

// speeds are what a library measures at one context, tok/s. prefill is 0 at an empty context.
type speeds struct{ prefill, decode float64 }

// engine is one of Engines: how it is started, and how it is read.
type engine struct {
	name    string
	about   About
	files   []string // that must be there
	longest int      // context that is measured, tokens; 0: any
	why     string   // of longest
	// model is what requests call the model; "": what GET /v1/models lists first.
	model string
	// early: the server says that it is healthy before the model is loaded.
	early bool
	// library are the programs that measure a context, and read takes the output of each.
	library func(context, gen int) []command
	read    func(output []byte, s *speeds) error
	server  func(port int) command
}

// missing says which file of the engine is not there.
func (e *engine) missing() error {
	for _, file := range e.files {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("%s cannot be measured: %w (`make bench` brings the peers; --engines names those to measure)", e.name, err)
		}
	}
	return nil
}

// engines are all that can be measured with the set-up, by name.
func (s Setup) engines() map[string]*engine {
	return map[string]*engine{Ours: s.ours(), LlamaCPP: s.llamaCPP(), MLXLM: s.mlxLM()}
}

func (s Setup) ours() *engine {
	own := func(args ...string) command {
		args = append(args, "--model", s.Model, "--device", "cpu", "--threads", strconv.Itoa(s.Threads))
		return command{path: s.Reprise, args: args, env: []string{"REPRISE_HOME=" + s.Home}}
	}
	return &engine{
		name:  Ours,
		about: About{Weights: filepath.Base(s.Model) + ", as imported from the GGUF file"},
		files: []string{s.Reprise, filepath.Join(s.Model, "config.json")},
		library: func(context, gen int) []command {
			// A prompt has at least one token.
			return []command{own("bench", "speed", "--json", "--repeat", "1", "--prompt", strconv.Itoa(max(1, context)), "--gen", strconv.Itoa(gen))}
		},
		read: readOurs,
		server: func(port int) command {
			return own("serve", "--ctx", strconv.Itoa(serverContext), "--addr", fmt.Sprintf("127.0.0.1:%d", port), "--log-level", "error")
		},
	}
}

func (s Setup) llamaCPP() *engine {
	dir, threads := filepath.Join(s.Peers, LlamaCPP), strconv.Itoa(s.Threads)
	bench, server := filepath.Join(dir, "bin", "llama-bench"), filepath.Join(dir, "bin", "llama-server")
	return &engine{
		name:  LlamaCPP,
		about: About{Version: firstLine(filepath.Join(dir, "VERSION")), Weights: filepath.Base(s.GGUF)},
		files: []string{bench, server, s.GGUF},
		model: "any",
		library: func(context, gen int) []command {
			run := func(args ...string) command {
				return command{path: bench, args: append(args, "-m", s.GGUF, "-t", threads, "-r", "1", "-o", "json")}
			}
			decode := run("-p", "0", "-n", strconv.Itoa(gen), "-d", strconv.Itoa(context))
			if context == 0 {
				return []command{decode}
			}
			return []command{run("-p", strconv.Itoa(context), "-n", "0"), decode}
		},
		read: readLlamaBench,
		server: func(port int) command {
			return command{path: server, args: []string{"-m", s.GGUF, "-c", strconv.Itoa(serverContext), "-t", threads, "-tb", threads,
				"--host", "127.0.0.1", "--port", strconv.Itoa(port)}}
		},
	}
}

func (s Setup) mlxLM() *engine {
	dir := filepath.Join(s.Peers, MLXLM)
	own := func(name string, args ...string) command {
		return command{path: filepath.Join(dir, name), args: append([]string{s.Model}, args...), env: []string{fmt.Sprintf("OPENBLAS_NUM_THREADS=%d", s.Threads)}}
	}
	return &engine{
		name:    MLXLM,
		about:   About{Version: firstLine(filepath.Join(dir, "VERSION")), Weights: "the same checkpoint, widened to float32 at load (its quickest form on a CPU), OpenBLAS"},
		files:   []string{filepath.Join(dir, "mlx-lm-bench"), filepath.Join(dir, "mlx-lm-server"), filepath.Join(s.Model, "config.json")},
		longest: 2048,
		why:     "it decodes so slowly on a CPU that the longer ones would take most of the run",
		model:   "default_model",
		early:   true,
		library: func(context, gen int) []command {
			return []command{own("mlx-lm-bench", "--prompt", strconv.Itoa(max(1, context)), "--gen", strconv.Itoa(gen))}
		},
		read: readMLXLM,
		server: func(port int) command {
			return own("mlx-lm-server", "--host", "127.0.0.1", "--port", strconv.Itoa(port))
		},
	}
}

// measure runs the library's programs at one context.
func (e *engine) measure(ctx context.Context, context, gen int) (speeds, error) {
	var s speeds
	for _, c := range e.library(context, gen) {
		out, err := c.output(ctx)
		if err == nil {
			err = e.read(out, &s)
		}
		if err != nil {
			return s, fmt.Errorf("%s at a context of %d: %w", e.name, context, err)
		}
	}
	if context == 0 {
		s.prefill = 0
	}
	if s.decode <= 0 || context > 0 && s.prefill <= 0 {
		return s, fmt.Errorf("%s at a context of %d: it printed no speed", e.name, context)
	}
	return s, nil
}

// describe is the engine's About, with its server's command line.
func (e *engine) describe() About {
	const port = 65535
	a := e.about
	a.Name = e.name
	c := e.server(port)
	words := []string{filepath.Base(c.path)}
	for _, arg := range c.args {
		if filepath.IsAbs(arg) {
			arg = filepath.Base(arg)
		}
		words = append(words, strings.ReplaceAll(arg, strconv.Itoa(port), "PORT"))
	}
	a.Server = strings.Join(words, " ")
	return a
}

// firstLine of a file; "version unknown" when it cannot be read.
func firstLine(file string) string {
	b, err := os.ReadFile(file)
	line, _, _ := strings.Cut(string(b), "\n")
	if err != nil || line == "" {
		return "version unknown"
	}
	return line
}

// modelName is what both files of the set-up hold.
func modelName(s Setup) string { return filepath.Base(s.Model) }
