package doctor

import (
	"context"
	"os"
	"runtime"
	"syscall"

	"reprise/kvcache/ledger/footprint"
	"reprise/kvcache/ledger/footprint/machine"
	"reprise/mlx"
)

// probe is what is asked of the system; tests put another machine in its place.
type probe struct {
	goos    string
	machine func() (machine.Machine, error)
	host    func() (footprint.Host, error)
	info    func(ctx context.Context, w *mlx.Worker) (mlx.DeviceInfo, error)
	gpu     func() bool                              // MLX sees one
	nvidia  func() bool                              // the system has one
	sysctl  func(name string) (value int, ok bool)   // macOS
	disk    func(dir string) (free int64, err error) // of the file system that dir is on
	mlx     func() string                            // its version
	blas    func() (library string, threads int)
}

func system() probe {
	return probe{
		goos: runtime.GOOS, machine: machine.Read, host: footprint.ReadHost, gpu: mlx.HasGPU, sysctl: sysctl, mlx: mlx.Version, blas: mlx.BLAS,
		info:   func(ctx context.Context, w *mlx.Worker) (mlx.DeviceInfo, error) { return w.Info(ctx) },
		nvidia: func() bool { _, err := os.Stat("/dev/nvidia0"); return err == nil },
		disk: func(dir string) (int64, error) {
			var s syscall.Statfs_t
			if err := syscall.Statfs(dir, &s); err != nil {
				return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
			}
			return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // of 32 bits on macOS
		},
	}
}
