// Package gemma4 is Gemma 4's text model (model types gemma4 and gemma4_text): E2B and E4B with per-layer embeddings and
// layers that share keys and values, 31B whose full layers take their values from their keys, and 26B with routed experts
// beside a dense MLP.
//
// It owns the config, the names in the checkpoint's files and the forward pass. Tensors of vision and audio towers are
// left out, and named in model.Info.
//
// Invariants:
//
//   - Layers with keys and values of their own come first; layer i of a state is layer i of the model. A layer behind them
//     attends, at the same positions, to what the last layer of its kind among them appended in this call.
//   - A config's field is read or refused; where the references' defaults differ, it must be there.
//
// Reference: mlx-lm 0.32.2, mlx_lm/models/gemma4_text.py; transformers 5.23 is the second.
package gemma4
