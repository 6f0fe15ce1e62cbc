package importer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"reprise/mlx/safetensors"
	"reprise/model/hub/gguf"
)

// chunkElements is about how many weights a worker holds at once: with its
// buffers some 12 MB, whatever the tensor's size.
const chunkElements = 1 << 20

// maxWorkers bounds the memory on machines with many cores; the disk is the
// limit there.
const maxWorkers = 8

// module is the path of a module by its weight's name.
func module(name string) string { return strings.TrimSuffix(name, ".weight") }

// bitsFor is the width at which a tensor is stored, 0 for floats.
func bitsFor(t gguf.Type) int {
	if isFloat(t) {
		return 0
	}
	if bits, ok := gguf.AffineBits(t); ok {
		return bits
	}
	return fallbackBits
}

// specs declares what a placed tensor becomes in the checkpoint.
func (p placed) specs() []safetensors.Spec {
	bits := bitsFor(p.source.Type)
	if bits == 0 {
		dtype := map[gguf.Type]safetensors.DType{
			gguf.F32: safetensors.F32, gguf.F16: safetensors.F16, gguf.BF16: safetensors.BF16}[p.source.Type]
		if p.plusOne {
			dtype = safetensors.F32
		}
		return []safetensors.Spec{{Name: p.name, DType: dtype, Shape: p.source.Shape}}
	}
	rows, columns := p.source.Rows(), p.source.Columns()
	groups := []int64{rows, columns / groupSize}
	scales := safetensors.F32
	if p.half {
		scales = safetensors.F16
	}
	return []safetensors.Spec{
		{Name: p.name, DType: safetensors.U32, Shape: []int64{rows, columns * int64(bits) / 32}},
		{Name: module(p.name) + ".scales", DType: scales, Shape: groups},
		{Name: module(p.name) + ".biases", DType: scales, Shape: groups},
	}
}

// writeWeights converts every tensor into the safetensors file at path. The
// reports come in the order of tensors.
func writeWeights(ctx context.Context, f *gguf.File, tensors []placed, path string, progress func(done, total int64)) ([]TensorReport, error) {
	var specs []safetensors.Spec
	var total int64
	if err := findHalves(ctx, f, tensors); err != nil {
		return nil, err
	}
	for _, p := range tensors {
		specs = append(specs, p.specs()...)
		total += p.source.Bytes
	}
	out, err := safetensors.Create(path, specs, map[string]string{"format": "mlx"})
	if err != nil {
		return nil, err
	}
	defer out.Abort()

	reports := make([]TensorReport, len(tensors))
	err = parallel(ctx, bySize(tensors), meter(total, progress), func(ctx context.Context, i int, tick func(int64)) error {
		p := tensors[i]
		c := converter{file: f, placed: p, bits: bitsFor(p.source.Type), tick: tick}
		reports[i] = TensorReport{Name: p.name, Source: p.source.Type, Shape: p.source.Shape, Bits: c.bits}
		if err := c.run(ctx, out, &reports[i]); err != nil {
			return fmt.Errorf("tensor %q: %w", p.source.Name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return reports, out.Commit()
}

// findHalves marks the tensors whose scales and biases fit in half precision, where they take half the bytes and
// are as exact.
func findHalves(ctx context.Context, f *gguf.File, tensors []placed) error {
	return parallel(ctx, bySize(tensors), func(int64) {}, func(ctx context.Context, i int, _ func(int64)) error {
		p := &tensors[i]
		p.half = bitsFor(p.source.Type) > 0
		var raw []byte
		for at := int64(0); p.half && at < p.source.Bytes; at += int64(len(raw)) {
			if err := ctx.Err(); err != nil {
				return err
			}
			step := int64(chunkElements / p.source.Type.BlockElements() * p.source.Type.BlockBytes())
			raw = resize(raw, int(min(step, p.source.Bytes-at)))
			if err := f.ReadAt(p.source, raw, at); err != nil {
				return fmt.Errorf("tensor %q: %w", p.source.Name, err)
			}
			p.half = gguf.HalfAffine(p.source.Type, raw)
		}
		return nil
	})
}

// bySize orders the work largest first, so that no worker is left alone with
// the embedding at the end.
func bySize(tensors []placed) []int {
	order := make([]int, len(tensors))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(tensors[b].source.Bytes - tensors[a].source.Bytes) })
	return order
}

// meter adds up what the workers report.
func meter(total int64, progress func(done, total int64)) func(int64) {
	if progress == nil {
		return func(int64) {}
	}
	var mu sync.Mutex
	var done int64
	return func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		done += n
		progress(done, total)
	}
}

// parallel calls work for every item, on a few workers, and waits for them all.
// The first error ends the others.
func parallel(ctx context.Context, items []int, tick func(int64), work func(ctx context.Context, item int, tick func(int64)) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan int, len(items))
	for _, i := range items {
		queue <- i
	}
	close(queue)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxWorkers, len(items)) {
		workers.Go(func() {
			for i := range queue {
				if ctx.Err() != nil {
					return
				}
				if err := work(ctx, i, tick); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// converter carries one tensor over, a chunk of rows at a time.
type converter struct {
	file   *gguf.File
	placed placed
	bits   int
	tick   func(int64)

	weights, scales, biases *safetensors.TensorWriter // the last two nil for floats

	raw           []byte    // the chunk as in the file
	values        []float32 // the chunk widened
	quants        []uint8
	scale, bias   []float32 // one per group
	packed, bytes []byte
	deviation     deviation
}

func (c *converter) run(ctx context.Context, out *safetensors.Writer, report *TensorReport) error {
	var err error
	if c.weights, err = out.Tensor(c.placed.name); err != nil {
		return err
	}
	if c.bits > 0 {
		var errScales, errBiases error
		c.scales, errScales = out.Tensor(module(c.placed.name) + ".scales")
		c.biases, errBiases = out.Tensor(module(c.placed.name) + ".biases")
		if err := errors.Join(errScales, errBiases); err != nil {
			return err
		}
	}
	t := c.placed.source
	rowBytes := t.Columns() / int64(t.Type.BlockElements()) * int64(t.Type.BlockBytes())
	step := max(1, chunkElements/t.Columns()) * rowBytes
	for at := int64(0); at < t.Bytes; at += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.raw = resize(c.raw, int(min(step, t.Bytes-at)))
		if err := c.file.ReadAt(t, c.raw, at); err != nil {
			return err
		}
		if err := c.chunk(t.Type); err != nil {
			return err
		}
		c.tick(int64(len(c.raw)))
	}
	report.MaxError, report.RMSError, report.RMS = c.deviation.max, c.deviation.rms(), c.deviation.rmsOf()
	return nil
}

// chunk converts and writes the rows in raw.
func (c *converter) chunk(t gguf.Type) error {
	c.values = resize(c.values, len(c.raw)/t.BlockBytes()*t.BlockElements())
	if err := gguf.Dequantize(t, c.values, c.raw); err != nil {
		return err
	}
	for _, v := range c.values {
		if v-v != 0 { // an infinity or a NaN
			return fmt.Errorf("holds %v: the file is damaged", v)
		}
	}
	switch {
	case c.bits > 0:
		return c.quantized(t)
	case c.placed.plusOne:
		for i := range c.values {
			c.values[i]--
		}
		return c.floats(c.weights, c.values)
	}
	_, err := c.weights.Write(c.raw)
	return err
}

// quantized writes the chunk in affine form, exactly where the type has one.
func (c *converter) quantized(t gguf.Type) error {
	groups := len(c.values) / groupSize
	c.quants = resize(c.quants, len(c.values))
	c.scale, c.bias = resize(c.scale, groups), resize(c.bias, groups)
	if _, exact := gguf.AffineBits(t); exact {
		if err := gguf.Affine(t, c.quants, c.scale, c.bias, c.raw); err != nil {
			return err
		}
	} else {
		for g := range groups {
			at := g * groupSize
			c.scale[g], c.bias[g] = quantizeGroup(c.quants[at:at+groupSize], c.values[at:at+groupSize], c.bits)
		}
	}
	for g := range groups {
		at := g * groupSize
		c.deviation.add(c.values[at:at+groupSize], c.quants[at:at+groupSize], c.scale[g], c.bias[g])
	}
	c.packed = pack(c.packed[:0], c.quants, c.bits)
	_, err := c.weights.Write(c.packed)
	if c.placed.half {
		return errors.Join(err, c.halves(c.scales, c.scale), c.halves(c.biases, c.bias))
	}
	return errors.Join(err, c.floats(c.scales, c.scale), c.floats(c.biases, c.bias))
}

// floats writes float32 values.
func (c *converter) floats(to *safetensors.TensorWriter, values []float32) error {
	c.bytes = c.bytes[:0]
	for _, v := range values {
		c.bytes = binary.LittleEndian.AppendUint32(c.bytes, math.Float32bits(v))
	}
	_, err := to.Write(c.bytes)
	return err
}

// halves writes values that half precision holds exactly.
func (c *converter) halves(to *safetensors.TensorWriter, values []float32) error {
	c.bytes = c.bytes[:0]
	for _, v := range values {
		h, exact := gguf.Half(v)
		if !exact {
			return fmt.Errorf("scale or bias %v has no exact form in half precision: a mistake of HalfAffine", v)
		}
		c.bytes = binary.LittleEndian.AppendUint16(c.bytes, h)
	}
	_, err := to.Write(c.bytes)
	return err
}

// resize gives a slice of n elements with s's storage where that is enough.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
