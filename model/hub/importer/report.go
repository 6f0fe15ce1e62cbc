package importer

import (
	"fmt"
	"strings"

	"reprise/model/hub/gguf"
)

// Report says what an import did.
type Report struct {
	Dir          string // the checkpoint directory
	Source       string // the GGUF file
	SourceSHA256 string
	Architecture string // model_type of the checkpoint
	Dialect      string
	// BaseModel is true when the file has no chat template of its own: it was
	// pretrained only, whatever template the import added.
	BaseModel bool
	Tensors   []TensorReport // by name
	Bytes     int64          // of model.safetensors
}

// TensorReport says how one tensor was carried over.
type TensorReport struct {
	Name   string // Hugging Face name, ending in ".weight"
	Source gguf.Type
	Shape  []int64
	// Bits is the width of the affine quantization, 0 for a tensor kept as floats.
	Bits int
	// MaxError and RMSError are measured against the file's own values, in
	// float32; RMS is that of the values themselves. All 0 for floats, which are
	// copied, or exact by arithmetic (norms: one subtraction in float32).
	MaxError, RMSError, RMS float64
}

// Exact reports whether every value of the source came through.
func (t TensorReport) Exact() bool { return t.MaxError == 0 }

// String summarizes the import: one line, and one for every inexact tensor.
func (r *Report) String() string {
	var b strings.Builder
	exact := 0
	for _, t := range r.Tensors {
		if t.Exact() {
			exact++
		}
	}
	fmt.Fprintf(&b, "imported %s (%s, sha256 %.12s…): %d tensors, %d exact, %.1f MB", r.Dir, r.Architecture, r.SourceSHA256,
		len(r.Tensors), exact, float64(r.Bytes)/1e6)
	for _, t := range r.Tensors {
		if !t.Exact() {
			fmt.Fprintf(&b, "\n  %s: %s to %d bits, max error %.3g, RMS error %.3g (%.3g %% of its RMS)",
				t.Name, t.Source, t.Bits, t.MaxError, t.RMSError, 100*t.RMSError/t.RMS)
		}
	}
	return b.String()
}
