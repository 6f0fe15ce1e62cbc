package shim

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"reprise/mlx"
)

//go:embed shim.h
var runtimeHeader string

// Flavour is whose dialect stands before a kernel.
type Flavour string

// The two.
const (
	Metal Flavour = "metal"
	CUDA  Flavour = "cuda"
)

// Shim is an mlx.Emulator. Its launches come from one worker.
type Shim struct {
	flavour  Flavour
	folder   string
	programs map[string]*program
	Launches map[string]int // by the kernel's name
}

// program is a compiled kernel, as a process that answers one launch after the other.
type program struct {
	in     io.WriteCloser
	out    io.Reader
	errors *bytes.Buffer
	wait   func() error
}

// New starts with nothing compiled; the test's end stops what it started. It skips the test where there is no C++ compiler.
func New(t testing.TB, flavour Flavour) *Shim {
	t.Helper()
	if _, err := exec.LookPath("c++"); err != nil {
		t.Skip("no C++ compiler")
	}
	m := &Shim{flavour: flavour, folder: t.TempDir(), programs: map[string]*program{}, Launches: map[string]int{}}
	t.Cleanup(func() {
		for _, p := range m.programs {
			p.in.Close()
			_ = p.wait()
		}
	})
	return m
}

// Run is mlx.Emulator's.
func (m *Shim) Run(k *mlx.Kernel, l mlx.Launch, inputs []mlx.HostArray) ([][]byte, error) {
	p, err := m.program(k, l, inputs)
	if err != nil {
		return nil, err
	}
	m.Launches[k.Name]++
	var request bytes.Buffer
	put := func(v any) { _ = binary.Write(&request, binary.LittleEndian, v) }
	for _, v := range [2][3]int{l.Grid, l.Group} {
		put([3]int32{int32(v[0]), int32(v[1]), int32(v[2])})
	}
	for _, a := range inputs {
		var shape [8]int32
		for i, n := range a.Shape {
			shape[i] = int32(n)
		}
		put(shape)
		put(int64(len(a.Bytes)))
		request.Write(a.Bytes)
	}
	var out [][]byte
	for _, o := range l.Outputs {
		n := o.Dtype.Size()
		for _, d := range o.Shape {
			n *= d
		}
		put(int64(n))
		out = append(out, make([]byte, n))
	}
	if _, err := p.in.Write(request.Bytes()); err != nil {
		return nil, p.failed(err)
	}
	for _, o := range out {
		if _, err := io.ReadFull(p.out, o); err != nil {
			return nil, p.failed(err)
		}
	}
	return out, nil
}

func (p *program) failed(err error) error {
	_ = p.wait()
	return fmt.Errorf("%w: %s", err, strings.TrimSpace(p.errors.String()))
}

func (m *Shim) program(k *mlx.Kernel, l mlx.Launch, inputs []mlx.HostArray) (*program, error) {
	source, err := m.source(k, l, inputs)
	if err != nil {
		return nil, err
	}
	if p := m.programs[source]; p != nil {
		return p, nil
	}
	path := filepath.Join(m.folder, fmt.Sprint(len(m.programs)))
	if err := os.WriteFile(path+".cpp", []byte(source), 0o600); err != nil {
		return nil, err
	}
	if text, err := exec.Command("c++", "-std=c++17", "-O1", "-w", "-o", path, path+".cpp").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s does not compile: %w\n%s", k.Name, err, text)
	}
	cmd := exec.Command(path)
	p := &program{errors: &bytes.Buffer{}, wait: cmd.Wait}
	cmd.Stderr = p.errors
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	m.programs[source] = p
	return p, cmd.Start()
}

var types = map[mlx.Dtype]string{mlx.Float32: "float", mlx.BFloat16: "bfloat16_t", mlx.Int32: "int32_t", mlx.Uint32: "uint32_t", mlx.Uint8: "uint8_t"}

// source is the whole program: the function as MLX would make it, and a main that feeds it.
func (m *Shim) source(k *mlx.Kernel, l mlx.Launch, inputs []mlx.HostArray) (string, error) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	header, body := k.Source(mlx.CUDADialect)
	if m.flavour == Metal {
		line("#define FLAVOUR_METAL")
		header, body = k.Source(mlx.MetalDialect)
	}
	b.WriteString(runtimeHeader)
	b.WriteString(header)
	for i := range inputs {
		line("static Buffer in%d;", i)
	}
	for i := range l.Outputs {
		line("static Buffer out%d;", i)
	}
	line("static void kernel() {")
	for i, a := range inputs {
		c, ok := types[a.Dtype]
		if !ok {
			return "", fmt.Errorf("the shim has no %v", a.Dtype)
		}
		line("const %s *%s = in%d.data<%s>();\nconst int *%s_shape = in%d.shape;", c, k.Inputs[i], i, c, k.Inputs[i], i)
	}
	for i, o := range l.Outputs {
		c, ok := types[o.Dtype]
		if !ok {
			return "", fmt.Errorf("the shim has no %v", o.Dtype)
		}
		line("%s *%s = out%d.data<%s>();", c, k.Outputs[i], i, c)
	}
	for _, a := range l.Template {
		if a.Dtype != mlx.DefaultDtype {
			line("using %s = %s;", a.Name, types[a.Dtype])
		} else {
			line("constexpr int %s = %d;", a.Name, a.Int)
		}
	}
	b.WriteString(body)
	line("}\nint main() {\nrun_lane = kernel;\nfor (;;) {\nint grid[3], group[3];\nread_all(grid, 12);\nread_all(group, 12);")
	for i := range inputs {
		line("read_all(in%d.shape, 32);\nin%d.read_size();\nread_all(in%d.make(), in%d.bytes);", i, i, i, i)
	}
	for i := range l.Outputs {
		line("out%d.read_size();\nout%d.make();", i, i)
	}
	line("run_grid(grid, group);")
	for i := range inputs {
		line("in%d.check();\nfree(in%d.memory);", i, i)
	}
	for i := range l.Outputs {
		line("out%d.check();\nfwrite(out%d.data<char>(), 1, out%d.bytes, stdout);\nfree(out%d.memory);", i, i, i, i)
	}
	line("fflush(stdout);\n}\n}")
	return b.String(), nil
}
