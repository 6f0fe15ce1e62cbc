// Package convert quantizes checkpoints as mlx-lm's converter does: the same modules, the same bytes (MLX's own
// quantization), the same entries in config.json. Sources are float checkpoints, as published (Hugging Face's names and
// layouts) or as an earlier conversion left them.
//
// It owns which module is quantized how (Rules) and how a published tensor becomes a module's (sources). Names and shapes
// are package layout's, the folder package folder's.
//
// Invariants:
//
//   - rows are independent: a tensor passes through in blocks of rows, so that memory does not depend on its size;
//   - everything is decided, and every source tensor found and checked, before the first byte is written;
//   - the folder appears whole or not at all.
//
// Where it differs from mlx-lm 0.32.2 on purpose: routers stay at 8 bits under a recipe too, and the table of per-layer
// embeddings is not taken below 8 bits unless an override says so.
package convert
