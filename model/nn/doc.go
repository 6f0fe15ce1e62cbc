// Package nn holds the layers that architectures share: linear, embedding, norms, rotary positions, attention,
// gates. A layer is its weights and a Forward that adds to the scope's graph; it keeps no state of a sequence.
//
// Shapes: activations are [1, T, width]; attention works on [1, heads, T, dim]. No layer changes the dtype of
// what it is given: scalars are made in the dtype of the array they meet.
package nn
