// Package hub finds checkpoints on this machine and says what is in them.
//
// It owns the places where checkpoints are looked for (Resolve, List), the
// generic reading of a checkpoint's files (config.json, the ids that begin and
// end a text, the quantization block, the shards), the inspection that needs
// no model code, and the fingerprint that names a checkpoint in cache keys. It
// loads no weights and links no C: an architecture's own config belongs to its
// package under model/, text and ids to model/tokenizer.
//
// Files are read in place: nothing here writes, and a checkpoint in the
// Hugging Face cache is used through its links.
//
// Invariants:
//
//   - Checkpoint files are untrusted: a shard name cannot leave its folder, and
//     a size that a file claims is checked before it is used.
//   - Two calls of Fingerprint on the same bytes give the same value, whatever
//     the folder, the number of workers or the splitting into shards.
//   - An error names the file and what to do.
package hub
