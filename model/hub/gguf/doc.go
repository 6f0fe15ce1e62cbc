// Package gguf reads GGUF model files, versions 2 and 3, little-endian: their
// metadata, their tensor table, and tensor data widened to float32 with the
// arithmetic of ggml's reference code.
//
// It owns the file format and the block layouts of ggml's quantizations. It
// knows nothing of any architecture, of MLX or of where files come from; package
// importer gives the names their meaning.
//
// A file is untrusted. [Open] reads everything but the tensor data and checks:
//
//   - every length and count against the bytes that are left in the file,
//     before anything is allocated for it;
//   - keys and tensor names are unique, types known, nesting bounded;
//   - a tensor's rows are whole blocks, its data aligned, inside the file, and
//     not overlapping another tensor's.
//
// So a wrong file is one error that names the file and the key or tensor, and
// reading a tensor of an opened file can only fail as I/O fails.
//
// Source of the format: docs/gguf.md and src/ggml-quants.c of ggml.
package gguf
