package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"reprise/cmd/internal/console"
	"reprise/kvcache/state"
	"reprise/mlx"
	"reprise/model/arch"
	"reprise/model/hub"
	"reprise/server/engine"
)

// Devices are the names that Device takes.
var Devices = []string{"auto", "cpu", "gpu"}

// Device is the device of that name; auto is the GPU where there is one.
func Device(name string) (mlx.Device, error) {
	switch name {
	case "auto":
		return mlx.BestDevice(), nil
	case "cpu":
		return mlx.CPU, nil
	case "gpu":
		if !mlx.HasGPU() {
			return mlx.CPU, errors.New("--device gpu: this MLX finds no GPU; use --device cpu, or see `reprise doctor`")
		}
		return mlx.GPU, nil
	}
	return mlx.CPU, fmt.Errorf("--device %s: must be one of %v", name, Devices)
}

// Open loads a model, telling about it on log. The caller closes the engine.
func Open(ctx context.Context, o engine.Options, log io.Writer) (*engine.Engine, error) {
	ckpt, err := Find(o.Model)
	if err != nil {
		return nil, err
	}
	switch {
	case o.CPU.Threads < 0:
		return nil, fmt.Errorf("--threads %d: must be positive, or 0 for one on each physical core", o.CPU.Threads)
	case o.CPU != (mlx.Options{}) && o.Device != mlx.CPU:
		return nil, errors.New("--threads and --activations are of the CPU device: leave them out, or add --device cpu")
	}
	progress := console.NewProgress(log, "loading "+ckpt.Name)
	defer progress.Close()
	o.Progress = progress.Update
	e, err := engine.Open(ctx, o)
	if err != nil {
		return nil, failed(ckpt, err)
	}
	if m := e.Model(); m.Trained > 0 && m.Context > m.Trained {
		fmt.Fprintf(log, "warning: --ctx %d is beyond the %d tokens that these weights were trained for; answers may degrade there\n", m.Context, m.Trained)
	}
	return e, nil
}

// Find resolves a model and checks that this build has its architecture, before anything is loaded.
func Find(model string) (hub.Checkpoint, error) {
	ckpt, err := hub.Resolve(model)
	if err != nil {
		return ckpt, err
	}
	cfg, err := hub.ReadConfig(ckpt.Dir)
	if err != nil {
		return ckpt, err
	}
	return ckpt, cfg.Supported(arch.Supported())
}

// failed adds what to do to the errors of a load, which name the file or tensor.
func failed(ckpt hub.Checkpoint, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("loading %s was cancelled: %w", ckpt.Name, err)
	}
	var misfit *state.MisfitError
	if errors.As(err, &misfit) {
		return fmt.Errorf("model %s: --kv-group %d: %w; take a smaller one, or leave --kv-bits out", ckpt.Name, misfit.Group, misfit)
	}
	return Damaged(ckpt, err)
}

// Damaged says of an error about a checkpoint's files where they are and what to do.
func Damaged(ckpt hub.Checkpoint, err error) error {
	return fmt.Errorf("model %s: %w (if the files in %s are damaged, download or import them again; `reprise models inspect %s` looks into them)",
		ckpt.Name, err, ckpt.Dir, ckpt.Name)
}

// Base says whether a checkpoint is marked as pretrained only: the mark that our importer leaves in config.json.
func Base(cfg *hub.Config) bool {
	var c struct {
		Reprise struct {
			BaseModel bool `json:"base_model"`
		} `json:"reprise"`
	}
	return json.Unmarshal(cfg.Raw, &c) == nil && c.Reprise.BaseModel
}

// Supported says whether this build has the architecture.
func Supported(modelType string) bool { return slices.Contains(arch.Supported(), modelType) }
