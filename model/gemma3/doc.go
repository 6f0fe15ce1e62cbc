// Package gemma3 is Gemma 3's text model (model_type gemma3_text): sliding and full attention in a pattern, four
// norms a layer, GeGLU, a scaled embedding and a tied head.
//
// Reference: mlx-lm 0.32.2, mlx_lm/models/gemma3_text.py. Where it and transformers
// differ (the embedding's scale is rounded to bfloat16 even in float32) mlx-lm is followed.
package gemma3
