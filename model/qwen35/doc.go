// Package qwen35 is the text model of Qwen 3.5 and 3.6, dense (model_type qwen3_5) and with a mixture of experts
// (qwen3_5_moe): gated delta nets, a linear attention with a recurrent state, and every few layers a gated full attention
// with partial rotary positions.
//
// This is the reference: MLX's plain ops, one token of the recurrence after the other, in float32 from the convolution
// to the gated norm. Only text: the tensors of the vision tower and of the multi-token head are left in the file.
// Layouts: mlx-community's, with or without the language_model. prefix, and Hugging Face's own (layout.go).
//
// Reference: mlx-lm 0.32.2, mlx_lm/models/qwen3_5.py and qwen3_5_moe.py. Where it and transformers differ (mlx-lm takes
// the decay's softplus in the model's dtype, transformers in float32; mlx-lm adds a raw checkpoint's 1 to a norm in the
// file's dtype, transformers in float32) transformers is followed; in float32 they agree.
package qwen35
