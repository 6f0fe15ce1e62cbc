// Package qwen35 is the text model of Qwen 3.5 and 3.6, dense (model_type qwen3_5) and with a mixture of experts
// (qwen3_5_moe): gated delta nets, a linear attention with a recurrent state, and every few layers a gated full attention
// with partial rotary positions.
//
// A delta net is float32 from the convolution to the gated norm, whatever the activations. It has three ways through its
// recurrence, which agree within 1e-5 of the definition in float64:
//
//   - plain ops, one token after the other (recurrence.go): the reference, and what runs for a few tokens without a kernel;
//   - plain ops in chunks of 64 (chunked.go): products of matrices, for more tokens without a kernel, on any device;
//   - kernels: three on a GPU (kernels.go, one source for Metal and CUDA), one on the CPU device (mlx/kernels). They take
//     any number of tokens, prefill too, and are compared with plain ops when a model is loaded (verify.go): one that
//     differs is off, and plain ops do its part.
//
// A state that a call is asked for inside it is computed aside: it changes no bit of the call.
// Only text: the tensors of the vision tower and of the multi-token head are left in the file.
// Layouts: mlx-community's, with or without the language_model. prefix, and Hugging Face's own (layout.go).
//
// Reference: mlx-lm 0.32.2, mlx_lm/models/qwen3_5.py and qwen3_5_moe.py. Where it and transformers differ (mlx-lm takes
// the decay's softplus in the model's dtype, transformers in float32; mlx-lm adds a raw checkpoint's 1 to a norm in the
// file's dtype, transformers in float32) transformers is followed; in float32 they agree.
package qwen35
