package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/cmd/internal/tiny"
	"reprise/mlx"
)

// examine looks at a tiny checkpoint with a folder of its own, unless the options say otherwise.
func examine(t *testing.T, o Options) *Report {
	t.Helper()
	return examineWith(t, o, system())
}

// examineWith does on another machine.
func examineWith(t *testing.T, o Options, p probe) *Report {
	t.Helper()
	if o.Device == "" {
		o.Device = "cpu"
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	r := look(context.Background(), o, p)
	for _, f := range r.Findings {
		seen.note(f)
		if (f.Level == OK) != (f.Mend == "") || f.Says == "" {
			t.Errorf("%s is %s, says %q and mends with %q", f.Name, f.Level, f.Says, f.Mend)
		}
	}
	return r
}

func find(t *testing.T, r *Report, name string) Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no finding is called %s: %+v", name, r.Findings)
	return Finding{}
}

// Each thing is broken, and the finding about it says so.
func TestFindings(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, o *Options)
		finding string
		level   Level
		says    string
		mend    string
	}{
		{"all there", func(*testing.T, *Options) {}, "model", OK, "gemma3_text", ""},
		{"the folder is free", func(*testing.T, *Options) {}, "folders", OK, "writable", ""},
		{"the port is free", func(*testing.T, *Options) {}, "port", OK, "free", ""},
		{"it fits", func(*testing.T, *Options) {}, "fits", OK, "weights need", ""},
		{"no such model", func(_ *testing.T, o *Options) { o.Model = "nosuch" }, "model", Problem, `"nosuch" was not found`, "make build"},
		{"weights cut short", func(t *testing.T, o *Options) { tiny.Truncate(t, o.Model, 4) }, "model", Problem, "truncated", "again"},
		{"another architecture", func(t *testing.T, o *Options) { tiny.Config(t, o.Model, map[string]any{"model_type": "mamba9"}) }, "model", Problem, "mamba9", "--model"},
		{"no tokenizer", func(*testing.T, *Options) {}, "tokenizer", Problem, "tokenizer.json", "tokenizer.json"},
		{"no template", func(*testing.T, *Options) {}, "template", Warning, "no chat template", "--chat-template"},
		{"a template that does not parse", write("chat_template.jinja", "{% if %}"), "template", Problem, "template", "--chat-template"},
		{"a template without tools", write("chat_template.jinja", "{{ messages[0].content }}"), "template", Warning, "no place for tools", "--chat-template"},
		{"a template with tools", write("chat_template.jinja", "{{ tools }}"), "template", OK, "place for tools", ""},
		{"context beyond training", func(_ *testing.T, o *Options) { o.Context = 4096 }, "context", Warning, "trained for 2,048", "--ctx"},
		{"context within training", func(_ *testing.T, o *Options) { o.Context = 1024 }, "context", OK, "1,024", ""},
		{"the port is taken", func(_ *testing.T, o *Options) { o.Addr = taken.Addr().String() }, "port", Warning, "not free", "--addr"},
		{"a file where the folder would be", func(t *testing.T, _ *Options) {
			path := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			t.Setenv("REPRISE_HOME", path)
		}, "folders", Problem, "file", "REPRISE_HOME"},
		{"a device that nobody has", func(_ *testing.T, o *Options) { o.Device = "abacus" }, "device", Problem, "abacus", "--device"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("REPRISE_HOME", t.TempDir())
			o := Options{Model: tiny.Copy(t, "tiny-f32")}
			tt.prepare(t, &o)
			f := find(t, examine(t, o), tt.finding)
			if f.Level != tt.level || !strings.Contains(f.Says, tt.says) || !strings.Contains(f.Mend, tt.mend) {
				t.Errorf("%s is %s: %s → %s", f.Name, f.Level, f.Says, f.Mend)
			}
		})
	}
}

func write(name, text string) func(*testing.T, *Options) {
	return func(t *testing.T, o *Options) {
		if err := os.WriteFile(filepath.Join(o.Model, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWithoutAGPU(t *testing.T) {
	if mlx.HasGPU() {
		t.Skip("this machine has a GPU")
	}
	t.Setenv("REPRISE_HOME", t.TempDir())
	r := examine(t, Options{Model: tiny.Copy(t, "tiny-f32"), Device: "gpu"})
	if f := find(t, r, "device"); f.Level != Problem || !strings.Contains(f.Mend, "MLX_BACKEND=cuda") {
		t.Errorf("%+v", f)
	}
}

func TestText(t *testing.T) {
	var out strings.Builder
	r := &Report{}
	r.ok("first", "is %d", 1)
	r.add("second", Problem, "mend it", "is\nbroken")
	r.add("third", Warning, "look at it", "is odd")
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(out.String(), "\n")
	want := "ok       first          is 1\n" +
		"PROBLEM  second         is; broken\n" + "                        → mend it\n" +
		"warning  third          is odd\n" + "                        → look at it\n"
	if text != want || r.Problems() != 1 {
		t.Errorf("%d problems:\n%s\nwant\n%s", r.Problems(), text, want)
	}
}

// Kernels that the model would use are compared; one that is off is a warning with its reason.
func TestKernels(t *testing.T) {
	qwen, err := filepath.Abs("../../../model/qwen35/testdata/tiny-q4")
	if err != nil {
		t.Fatal(err)
	}
	if f := find(t, examine(t, Options{Model: qwen}), "kernels"); f.Level != OK || !strings.Contains(f.Says, "compared with plain ops, all agree") {
		t.Errorf("finding %+v", f)
	}
	r := &Report{}
	defer func() { seen.note(r.Findings...) }()
	r.kernelChecks([]mlx.KernelCheck{{Kernel: "good", On: true}, {Kernel: "bad", Reason: "value 3 differs"}}, nil)
	r.kernelChecks(nil, errors.New("layer_types is missing"))
	r.kernelChecks(nil, nil)
	if f := r.Findings; len(f) != 2 || f[0].Level != Warning || f[0].Says != "switched off: bad: value 3 differs" || !strings.Contains(f[0].Mend, "slower") ||
		f[1].Level != Warning || !strings.Contains(f[1].Says, "layer_types") {
		t.Errorf("findings %+v", f)
	}
}
