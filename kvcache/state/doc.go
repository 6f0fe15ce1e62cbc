// Package state is what a model's layers remember of the tokens they have seen, at one token offset.
//
// It owns the layer states, their buffers and their arithmetic: how they grow, what a window drops, how far back
// a state can be trimmed, how many bytes it holds; and the copies that a cache makes of them: snapshots, rows, and both
// as bytes. It must not know tokens, prompts, plans or who asked.
//
// Three kinds of layer state exist, in any mix: growing KV (full attention), sliding KV (attention over a window), and
// recurrent state (a convolution's tail and a float32 matrix). A layer that shares another's KV owns none.
//
// What a state at an offset is made of, and how each part is had again:
//
//   - growing layers: rows [0, offset). Any earlier offset is a trim; rows are copied out and in by ranges
//     (CopyRows, MoveTo).
//   - sliding layers: the last window-1 rows. Little more is kept, so an earlier offset needs a Snapshot.
//   - recurrent layers: the tail and the matrix, which every call replaces: an earlier offset needs a Snapshot.
//
// Snapshots are taken between calls (Snapshot) or inside one (CaptureAt, then the forward pass, then Captured).
//
// Invariants:
//
//   - All layers of a State stand at the same offset; Advance checks it, with the arithmetic in its message.
//   - The state owns its buffers; what Append returns belongs to the scope of the step. Nobody keeps a view
//     across an update: a second handle would make MLX copy the whole buffer on every step.
//   - Rows of growing layers may be kept quantized (Quantization). A row is quantized once, by itself; copies, frames and
//     moves carry the words as they are, and never between forms.
//   - Copies are in buffers of their own, bit for bit, and evaluated inside the step that makes them.
//   - A capture does not change a bit of the call that it is taken in, nor the call's length.
//   - Rows are stored in the order of their positions, so the bits of an attention do not depend on how often a
//     window was moved to the front of its buffer, nor on whether it was restored.
//   - Snapshots and Rows are immutable and belong to whoever asked for them.
//   - Only the worker's goroutine calls anything here but Offset, Bytes, From and To.
package state
