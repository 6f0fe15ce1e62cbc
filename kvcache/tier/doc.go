// Package tier keeps what a prompt's state is made of outside of memory: on the local disk (L1) and in a shared
// Valkey or Redis (L2), as the same blocks. It owns the block's format, how blocks are found for a prompt, the folder and its
// limits, the connection and its bounds. It knows ids as spelled bytes, links of kvcache, and opaque payloads; it must not know
// tensors, layers, turns or HTTP.
//
// # A block
//
// Two kinds: the rows of 256 ids of all growing layers, and a kept offset: the rows between the last multiple of 256 and the
// offset, with what sliding and recurrent layers hold there. A block hangs on the one whose digest it names as its parent, and
// is found by a slot: the hash chain over the model and the ids up to where it begins. Slots are all that a lookup asks for, so
// one question lists everything that may serve a prompt. The model's name is the fingerprint and the producer (device, backend,
// versions): blocks of another producer are another model's.
//
// # On disk
//
// One file a block, one folder a model: KV/<model>/<slot>-<digest>.blk, mode 0600. A block is written to a temporary file and
// renamed. There is no fsync: after kill -9 the kernel still has every byte that was written, a rename shows the whole file or
// none, and after a loss of power a torn file fails its checksums, so it is a miss. An fsync a block would cost the SSD more
// than the block is worth. One file a block and not a log: what is evicted is freed without rewriting, and processes that
// share a folder need no lock: names say what is inside, so two writers of one block write the same bytes.
//
// The index is in memory, made of the files' headers at the start; a folder that changed is listed again before a lookup, which
// finds what other processes wrote and deleted.
//
// The folder is Disk: disk.go opens it, index and scan know what is there, load, put and statics read and write it, evict and wear
// keep its limits, verify reads it for people. The shared store is Remote: remote opens it, store and fetch write and read it, notes
// holds small values, with breaker and zstd.
// What both are asked for stands in block, format, find and tiers.
//
// # Invariants
//
//   - Bytes read back are untrusted: magic, version, lengths, the header's checksum, a checksum a part, slot, ids and the chain
//     of digests are checked before anything is used. What fails is a miss with a reason, and is removed.
//   - A block is written once: not when its digest is there.
//   - Only blocks that nothing hangs on are evicted, those first that spare the fewest tokens a byte, the longer unused the
//     sooner.
//   - A tier that fails (a full disk, a dead server) is left alone for a while, told once, and costs a bounded wait.
//   - Nothing waits for a tier but a lookup, and that no longer than its time-out.
package tier
