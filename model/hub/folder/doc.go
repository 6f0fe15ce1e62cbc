// Package folder writes a checkpoint's folder: its files, its shards with their index, and its name, which it gets last.
//
// Invariants:
//
//   - the folder appears whole or not at all: everything is written into a hidden sibling, which is renamed at the end;
//   - the same tensors and files give the same bytes;
//   - memory is bounded by what the caller writes at once, not by a tensor or a shard.
//
// It knows no architecture and no quantization: what is in the tensors is the caller's.
package folder
