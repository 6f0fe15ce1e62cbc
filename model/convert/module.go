package convert

import (
	"context"
	"fmt"
	"io"
	"os"

	"reprise/mlx"
	"reprise/mlx/safetensors"
	"reprise/model/hub"
	"reprise/model/hub/folder"
	"reprise/model/hub/layout"
)

// blockBytes is about what is read at once; a row is never cut. MLX's CPU device takes some forty times as much to make
// nvfp4 of it.
const blockBytes = 4 << 20

// module converts one tensor.
type module struct {
	plan    *plan
	tensor  layout.Tensor
	source  source
	worker  *mlx.Worker
	advance func(sourceBytes int64)
}

func (m *module) convert(ctx context.Context, shards *folder.Shards, specs []safetensors.Spec) error {
	in, err := os.Open(m.source.File)
	if err != nil {
		return err
	}
	defer in.Close()
	outs := make([]io.Writer, len(specs))
	for i, s := range specs {
		if outs[i], err = shards.Tensor(s.Name); err != nil {
			return err
		}
	}
	rowBytes := m.source.width * m.source.DType.Size()
	most := max(1, blockBytes/max(1, rowBytes))
	for block := int64(0); block < m.source.rows; block += m.source.stride {
		from, to := block+m.source.first, block+m.source.first+m.source.count
		for row := from; row < to; row += most {
			n := min(most, to-row)
			data := make([]byte, n*rowBytes)
			if _, err := in.ReadAt(data, m.source.Offset+row*rowBytes); err != nil {
				return fmt.Errorf("%s: %w", m.source.File, err)
			}
			if err := m.block(ctx, data, int(n), outs); err != nil {
				return err
			}
			m.advance(n * rowBytes)
		}
	}
	return nil
}

// block converts n rows and appends them to the outputs: weight, scales, biases.
func (m *module) block(ctx context.Context, data []byte, n int, outs []io.Writer) error {
	return m.worker.Do(ctx, func(s *mlx.Scope) error {
		x := s.FromBytes(data, mlx.FloatOf(m.source.DType), n, int(m.source.width))
		if m.source.plusOne {
			x = s.Add(x, s.Scalar(1, x.Dtype()))
		}
		x = s.AsType(x, mlx.FloatOf(m.plan.dtypeOf(m.tensor)))
		arrays := []mlx.Array{x}
		if spec, ok := m.plan.rules.For(m.tensor, m.plan.layout.Layers); ok {
			arrays = quantized(s, x, spec)
		}
		if s.Err() == nil && len(arrays) != len(outs) {
			return fmt.Errorf("MLX's quantization gave %d arrays where %d are stored", len(arrays), len(outs))
		}
		for i, a := range arrays {
			raw, err := s.Bytes(a)
			if err != nil {
				return err
			}
			if _, err := outs[i].Write(raw); err != nil {
				return err
			}
		}
		return s.Err()
	})
}

// quantized is MLX's own quantization of rows.
func quantized(s *mlx.Scope, x mlx.Array, spec hub.Spec) []mlx.Array {
	return s.Quantize(x, spec.GroupSize, spec.Bits, spec.Mode, mlx.Array{})
}
