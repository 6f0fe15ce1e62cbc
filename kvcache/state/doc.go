// Package state is what a model's layers remember of the tokens they have seen, at one token offset.
//
// It owns the layer states, their buffers and their arithmetic: how they grow, what a window drops, how far back
// a state can be trimmed, how many bytes it holds. It must not know tokens, prompts, plans or who asked.
//
// Three kinds of layer state exist: growing KV (full attention), sliding KV (attention over a window), and
// recurrent state (to come with the cache issue: a convolution's tail and a float32 matrix that cannot be
// trimmed). A layer that shares another's KV owns none.
//
// Invariants:
//
//   - All layers of a State stand at the same offset; Advance checks it, with the arithmetic in its message.
//   - The state owns its buffers; what Append returns belongs to the scope of the step. Nobody keeps a view
//     across an update: a second handle would make MLX copy the whole buffer on every step.
//   - Rows are stored in the order of their positions, so the bits of an attention do not depend on how often a
//     window was moved to the front of its buffer.
//   - Only the worker's goroutine calls anything here but Offset and Bytes.
package state
