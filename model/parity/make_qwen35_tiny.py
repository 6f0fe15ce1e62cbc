#!/usr/bin/env python3
"""Writes model/qwen35/testdata/tiny-*/: random qwen3_5 checkpoints (dense, text) and what mlx-lm makes of them.

    ~/.cache/reprise-build/parity-venv/bin/python model/parity/make_qwen35_tiny.py     (versions: requirements.txt)

Per folder: config.json, the weights, expected.safetensors and expected.json (model/qwen35/testdata/README.md describes them).
The reference is mlx-lm in float32 on the CPU, one pass over the whole prompt; mlx-lm in chunks of 1 and qwen35_numpy.py in
float64 stand beside it, and their largest disagreement with it is recorded.
"""
import os

import numpy as np

import oracle
import qwen35_numpy
import tiny
from tiny import stored, write_checkpoint

HERE = os.path.dirname(os.path.abspath(__file__))
LENGTHS = (1, 7, 33, 61)
STEPS = 32

TEXT = dict(
    model_type="qwen3_5_text", vocab_size=96, hidden_size=40, intermediate_size=56, num_hidden_layers=4, full_attention_interval=4,
    num_attention_heads=4, num_key_value_heads=2, head_dim=16, attention_bias=False, attn_output_gate=True, output_gate_type="swish",
    linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=12, linear_conv_kernel_dim=4,
    rms_norm_eps=1e-6, hidden_act="silu", max_position_embeddings=2048, tie_word_embeddings=False, bos_token_id=2, eos_token_id=1,
    mamba_ssm_dtype="float32", mtp_num_hidden_layers=1, partial_rotary_factor=0.25,
    rope_parameters=dict(rope_type="default", rope_theta=10000000, partial_rotary_factor=0.25, mrope_interleaved=True, mrope_section=[1, 1, 0]),
)

# name -> (what it is there for, changes of text_config, dtype of the file, language_model. prefix, quantization)
CASES = {
    "tiny-f32": ("float32, own lm_head, 4 value heads on 2 key heads, value dim 12 on key dim 8, 4 of 16 dims turn, every fourth layer full; "
                 "queries and keys of layer 1 are so small that the eps of their norm shows", {}, "float32", True, None),
    "tiny-bf16-tied": ("bfloat16 with A_log in float32, tied head, no prefix, 6 value heads on 2 key heads, convolution of 3, 1 KV head, half the dims "
                       "turn with theta 1e4, every second layer full by full_attention_interval alone, rms_norm_eps 1e-5",
                       dict(tie_word_embeddings=True, linear_num_value_heads=6, linear_conv_kernel_dim=3, num_key_value_heads=1, num_hidden_layers=5,
                            full_attention_interval=2, layer_types=None, rms_norm_eps=1e-5, partial_rotary_factor=0.5,
                            rope_parameters=dict(rope_type="default", rope_theta=10000, partial_rotary_factor=0.5)), "bfloat16", False, None),
    "tiny-q4": ("4 bit, group 32, bfloat16 scales, as mlx-community writes it, a tensor of a vision tower beside it; one value head for each of 3 key heads; "
                "overrides: an 8-bit group-64 path, one path false",
                dict(hidden_size=64, intermediate_size=96, linear_num_key_heads=3, linear_num_value_heads=3, linear_key_head_dim=16,
                     linear_value_head_dim=32), "bfloat16", True,
                {"group_size": 32, "bits": 4, "mode": "affine", "language_model.model.layers.0.linear_attn.in_proj_z": {"group_size": 64, "bits": 8},
                 "language_model.model.layers.3.self_attn.q_proj": False}),
}
EXACT = ("A_log",)  # float32 in every file


def random_weights(c, rng):
    """Float32 tensors by name. Norms well away from 0 and projections large enough that every part shows in the logits."""
    d, f, h = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * h, c["num_key_value_heads"] * h
    hv, dv = c["linear_num_value_heads"], c["linear_value_head_dim"]
    keys, values = c["linear_num_key_heads"] * c["linear_key_head_dim"], hv * dv
    linear = lambda o, i: rng.standard_normal((o, i)) / np.sqrt(i)
    norm = lambda n: 1 + rng.standard_normal(n) * 0.25
    size = 0.38 / np.sqrt(d) if c["tie_word_embeddings"] else 0.4
    w = {"model.embed_tokens.weight": rng.standard_normal((c["vocab_size"], d)) * size, "model.norm.weight": norm(d) * (1.5 if c["tie_word_embeddings"] else 0.5)}
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}."
        w.update({at + "input_layernorm.weight": norm(d), at + "post_attention_layernorm.weight": norm(d)})
        w.update({at + f"mlp.{name}.weight": linear(o, n) for name, o, n in (("gate_proj", f, d), ("up_proj", f, d), ("down_proj", d, f))})
        if (i + 1) % c["full_attention_interval"] == 0:
            at += "self_attn."
            w.update({at + name + ".weight": linear(o, n) for name, o, n in (("q_proj", 2 * q, d), ("k_proj", kv, d), ("v_proj", kv, d), ("o_proj", d, q))})
            w.update({at + "q_norm.weight": norm(h) + 0.5, at + "k_norm.weight": norm(h)})
            continue
        at += "linear_attn."
        for name, o, n in (("in_proj_qkv", 2 * keys + values, d), ("in_proj_z", values, d), ("in_proj_b", hv, d), ("in_proj_a", hv, d), ("out_proj", d, values)):
            w[at + name + ".weight"] = linear(o, n)
        if i == 1:
            w[at + "in_proj_qkv.weight"][:2 * keys] *= 1e-3
        w.update({at + "conv1d.weight": rng.standard_normal((2 * keys + values, c["linear_conv_kernel_dim"], 1)) * 0.5,
                  at + "A_log": np.log(rng.uniform(0.02, 1.5, hv)), at + "dt_bias": rng.standard_normal(hv) * 0.7, at + "norm.weight": norm(dv)})
    if not c["tie_word_embeddings"]:
        w["lm_head.weight"] = rng.standard_normal((c["vocab_size"], d)) * 0.4
    return {k: v.astype(np.float32) for k, v in w.items()}


def file_tensors(c, rng, dtype, prefix, quant):
    weights = random_weights(c, rng)
    if prefix:
        weights = {"language_model." + k: v for k, v in weights.items()}
    exact = {k: v for k, v in weights.items() if k.endswith(EXACT)}
    tensors = {**stored({k: v for k, v in weights.items() if k not in exact}, dtype, quant), **exact}
    if quant:
        tensors["vision_tower.patch_embed.proj.weight"] = oracle.cast(rng.standard_normal((4, 2, 2, 2, 3)), dtype)
    return tensors


def make(out, name):
    purpose, changes, dtype, prefix, quant = CASES[name]
    types = ["full_attention" if (i + 1) % TEXT["full_attention_interval"] == 0 else "linear_attention" for i in range(TEXT["num_hidden_layers"])]
    text = {k: v for k, v in {**TEXT, "layer_types": types, **changes, "dtype": dtype}.items() if v is not None}
    c = dict(architectures=["Qwen3_5ForConditionalGeneration"], model_type="qwen3_5", text_config=text, tie_word_embeddings=text["tie_word_embeddings"],
             image_token_id=95, vision_config=dict(model_type="qwen3_5", depth=1))
    if quant:
        c["quantization"] = c["quantization_config"] = quant
    folder = os.path.join(out, name)

    def write(seed):
        rng = np.random.default_rng([35, sorted(CASES).index(name), seed])
        write_checkpoint(folder, c, file_tensors(text, rng, dtype, prefix, quant), 1)

    tiny.make(folder, purpose, 200, STEPS, lambda seed: tiny.prompts(text, seed, LENGTHS), write, qwen35_numpy.Qwen35)


if __name__ == "__main__":
    to = oracle.out_dir(os.path.join(HERE, "..", "qwen35", "testdata"), __doc__)
    for case in CASES:
        make(to, case)
