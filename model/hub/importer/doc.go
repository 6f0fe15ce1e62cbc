// Package importer turns a GGUF file into a checkpoint directory of the kind
// that MLX tools read: model.safetensors with Hugging Face tensor names and
// MLX's affine quantization, config.json, generation_config.json,
// tokenizer.json, tokenizer_config.json and, where there is one, a chat template.
//
// It owns the mapping (names, norms, quantizations, configuration, dialects).
// The formats belong to packages gguf, safetensors and tokjson. It needs no MLX
// and must not compute with a model.
//
// Invariants:
//
//   - what affine groups of 32 can hold is carried over exactly; what they
//     cannot goes to 8 bits by MLX's own rule. Either way every quantized tensor
//     is compared with the source while it is written, and the report states the
//     errors that were measured;
//   - the same file and options give the same bytes;
//   - the directory appears whole or not at all;
//   - what is not supported is refused by name before anything is written.
//
// A new architecture is an entry of [architectureOf]: a table of tensor names
// and a function for its configuration.
package importer
