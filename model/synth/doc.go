// Package synth makes up checkpoints: random weights in a real config's key structure, as files or in device memory.
// They are for measuring and for tests: shapes, quantization and cost are the real model's, what they say is noise.
//
// It owns the values, a checkpoint's smaller variants (Shrink) and the relabelling of a borrowed vocabulary. Which
// tensors there are is package layout's.
//
// Invariants:
//
//   - the same config, options and seed give the same files, to the byte, on every machine;
//   - values are such that a forward pass behaves: each layer adds about 1/√layers of the residual's size, logits have a
//     deviation of about 1, and nothing overflows bfloat16 however many layers there are;
//   - affine biases centre the quants on zero without being a power of two times the scales, so that they are kept and
//     read as a real conversion's are;
//   - memory is bounded by one buffer (files) or one tensor (device).
package synth
