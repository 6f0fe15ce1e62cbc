// Package mlx binds mlx-c: arrays and their lifetime, streams, ops, safetensors files, memory counters, and
// the one worker thread on which all of it runs. It is the only package with tensor cgo, and no C type leaves
// it. It knows nothing of models, caches or servers.
//
// Invariants:
//
//   - One goroutine, locked to one OS thread, touches MLX (Worker). MLX's streams belong to the thread that
//     made them, and its errors are reported per thread.
//   - Every array belongs to exactly one owner: the Scope that made it, or whoever took it with Keep and then
//     owes it a Free. LiveArrays counts both; no finalizer is involved.
//   - Ops build a graph and do not fail one by one: the first error sticks to the Scope, later ops return the
//     zero Array, and Eval, AsyncEval, the readers and Err report it, with MLX's own message.
//   - A custom kernel (Kernel, for a GPU, and mlx/kernels on the CPU device) is used only behind Verify, which has
//     compared it with plain ops: a wrong one costs speed, never answers.
//   - Nothing here ends the process: mlx-c's handler records the message and the op returns an error. Files
//     are checked in Go before MLX sees them, because MLX reads lazily, on a thread of its own, where an
//     exception could not be caught.
package mlx

//go:generate go run ./internal/gen
