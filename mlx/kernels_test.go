package mlx_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The kernels' own tests, C++ beside the library that the binary links (third_party/setup.sh builds them): every weight
// format, group, shape and remainder against float64, on every instruction set that this machine has, and the MLX ops
// against MLX's own dequantize and matmul.
func TestKernels(t *testing.T) {
	const bin = "../third_party/build/kernels/bin"
	run := func(name, level string) {
		t.Run(name+"/"+level, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(filepath.Join(bin, name))
			cmd.Env = append(os.Environ(), "REPRISE_CPU_LEVEL="+level)
			out, err := cmd.CombinedOutput()
			switch text := strings.TrimSpace(string(out)); {
			case err != nil:
				t.Fatalf("%v\n%s", err, text)
			case strings.HasPrefix(text, "SKIP"):
				t.Skip(text)
			case !strings.HasPrefix(text, "ok"):
				t.Fatalf("says neither ok nor SKIP:\n%s", text)
			default:
				t.Log(text)
			}
		})
	}
	for _, level := range []string{"plain", "avx2", "avx512", "neon"} {
		run("test_products", level)
	}
	run("test_primitives", "")
}
