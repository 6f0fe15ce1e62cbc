// Package layout knows which tensors a checkpoint of an architecture has: their names as MLX's converters write them,
// their shapes, and which of them a conversion quantizes. It derives them from a config.json alone, so that a checkpoint
// can be sized, made up or converted without one at hand.
//
// It owns that list and nothing that computes: no file of weights is read or written here, and no MLX is linked. The
// model packages take tensors by the names in this list; package cmd/internal/models loads what is made of it, which is
// how the two are held together.
//
// Invariants:
//
//   - names and shapes are those of mlx-lm's module tree for the same config (testdata/mlx_lm.json, make_vectors.py);
//   - a tensor is listed once, in the order of the modules;
//   - towers for images and sound and the tensors for multi-token prediction are not listed: mlx-lm drops them.
package layout
