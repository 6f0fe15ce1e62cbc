package doctor

import (
	"context"
	"runtime"
	"strings"

	"reprise/cmd/internal/console"
	"reprise/cmd/internal/load"
	"reprise/mlx"
)

// device is what the model would run on.
type device struct {
	kind  mlx.Device
	room  int64 // bytes that a GPU recommends to use; 0: unknown, or the host's memory counts
	works bool
	metal int64 // Metal's recommended working set; 0: none
}

func (r *Report) machine() {
	m, err := r.system.machine()
	if err != nil {
		r.add("machine", Warning, "figures will lack the machine's memory; see whether /proc is mounted", "%v", err)
		return
	}
	r.ok("machine", "%s", m)
	host, err := r.system.host()
	if err != nil {
		r.add("memory", Warning, "admission cannot watch memory; see whether /proc is mounted", "%v", err)
		return
	}
	limit := "no control-group limit"
	if host.Limit.Bytes > 0 {
		limit = "control-group limit " + console.Bytes(host.Limit.Bytes) + " with " + console.Bytes(host.Limit.RoomBytes) + " left"
	}
	if host.SwapUsedBytes > host.TotalBytes/10 {
		r.add("memory", Warning, "close other programs: a model that is swapped out decodes at disk speed",
			"%s available of %s, %s swapped out, %s", console.Bytes(host.AvailableBytes), console.Bytes(host.TotalBytes), console.Bytes(host.SwapUsedBytes), limit)
		return
	}
	r.ok("memory", "%s available of %s, %s", console.Bytes(host.AvailableBytes), console.Bytes(host.TotalBytes), limit)
}

// mlx starts a worker on the device that would be used.
func (r *Report) mlx(ctx context.Context, name string) device {
	kind, err := load.Device(name)
	if err != nil {
		r.add("device", Problem, "use --device cpu or auto; for an NVIDIA GPU build with MLX_BACKEND=cuda make build", "%v", err)
		return device{}
	}
	w, err := mlx.Start(kind)
	if err != nil {
		r.add("device", Problem, "run `make build` again; if it stays, run with --device cpu", "%v", err)
		return device{}
	}
	defer w.Close()
	info, err := r.system.info(ctx, w)
	if err != nil {
		r.add("device", Problem, "run `make build` again; if it stays, run with --device cpu", "%s: %v", kind, err)
		return device{kind: kind}
	}
	says := []string{kind.String()}
	if info.Name != "" {
		says = append(says, info.Name)
	}
	if info.MemorySize > 0 {
		says = append(says, "memory "+console.Bytes(info.MemorySize))
	}
	if info.RecommendedWorkingSet > 0 {
		says = append(says, "recommended working set "+console.Bytes(info.RecommendedWorkingSet))
	}
	text := strings.Join(says, ", ")
	if mend := r.idleGPU(kind); mend != "" {
		r.add("device", Warning, mend, "%s", text)
	} else {
		r.ok("device", "%s", text)
	}
	if level, threads := w.KernelLevel(); threads > 0 {
		r.ok("cpu kernels", "%s, %d threads on %d usable cores", level, threads, runtime.NumCPU())
	}
	d := device{kind: kind, works: true, room: info.RecommendedWorkingSet, metal: info.RecommendedWorkingSet}
	if d.room == 0 {
		d.room = info.MemorySize
	}
	return d
}

// idleGPU says how a GPU that the machine has, but MLX does not see, could be used. What is wrong on a Mac is told under
// "metal".
func (r *Report) idleGPU(used mlx.Device) string {
	if used != mlx.GPU && !r.system.gpu() && r.system.nvidia() {
		return "this machine has an NVIDIA GPU that this MLX was not built for: MLX_BACKEND=cuda make build"
	}
	return ""
}

// blas says what computes the products that MLX's own ops make on the CPU device; the kernels make those with weights.
func (r *Report) blas() {
	library, threads := r.system.blas()
	cores := runtime.NumCPU()
	switch {
	case library == "":
		r.add("blas", Warning, "run `make build` again: without OpenBLAS MLX's own matrix products on the CPU device are about thirty times slower", "none found")
	case threads > cores:
		r.add("blas", Warning, "pass --threads, or lower OPENBLAS_NUM_THREADS", "%s, %d threads on %d usable cores", library, threads, cores)
	case threads == 0:
		r.ok("blas", "%s, its own choice of threads", library)
	default:
		r.ok("blas", "%s, %d threads on %d usable cores", library, threads, cores)
	}
}
