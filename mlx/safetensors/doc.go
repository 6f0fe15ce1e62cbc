// Package safetensors reads and checks the header of a safetensors file and
// writes such files deterministically. It is plain Go: it knows the byte layout
// and nothing of MLX arrays, models or devices.
//
// mlx.Load calls [ReadHeader] before MLX's own loader sees a file, because that
// loader trusts what the header says. A file that passes has these properties:
//
//   - the header is one JSON object, inside the file, at most [MaxHeaderBytes];
//   - every tensor's name is unique, its dtype known, its shape at most
//     [MaxRank] dimensions that each fit MLX's int32;
//   - shape × dtype size is exactly the length of its data, without overflow;
//   - the tensors' data tile the rest of the file: no overlap, no gap, nothing
//     after the last one and nothing missing.
//
// The format is described at github.com/huggingface/safetensors.
package safetensors
