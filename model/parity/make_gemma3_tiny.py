#!/usr/bin/env python3
"""Writes model/gemma3/testdata/tiny-*/: random gemma3_text checkpoints and what mlx-lm makes of them.

    ~/.cache/reprise-build/parity-venv/bin/python model/parity/make_gemma3_tiny.py     (versions: requirements.txt)

Per folder: config.json, the weights, expected.safetensors and expected.json (model/gemma3/testdata/README.md describes them).
The reference is mlx-lm in float32 on the CPU, one pass over the whole prompt; mlx-lm in chunks of 1 and gemma3_numpy.py in
float64 stand beside it, and their largest disagreement with it is recorded.
"""
import os

import numpy as np

import gemma3_numpy
import oracle
import tiny
from tiny import stored, write_checkpoint

HERE = os.path.dirname(os.path.abspath(__file__))
LENGTHS = (1, 7, 19, 45)  # against windows of 8 to 16
STEPS = 32

BASE = dict(
    architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", vocab_size=96, hidden_size=40, intermediate_size=56,
    num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=1, head_dim=12, query_pre_attn_scalar=12, rms_norm_eps=1e-6,
    sliding_window=8, sliding_window_pattern=3, rope_theta=1000000.0, rope_local_base_freq=10000.0, rope_scaling=None,
    max_position_embeddings=2048, hidden_activation="gelu_pytorch_tanh", attention_bias=False, tie_word_embeddings=True,
    bos_token_id=2, eos_token_id=1, pad_token_id=0, torch_dtype="float32",
)

# name -> (what it is there for, config changes, dtype of the file, shards, quantization)
CASES = {
    "tiny-f32": ("float32, tied head, 4 query heads on 1 KV head, window 8, every third layer full", {}, "float32", 1, None),
    "tiny-bf16-untied": ("bfloat16, own lm_head, 4 query heads on 2 KV heads, head_dim 24 (not hidden / heads), window 16",
                         dict(num_key_value_heads=2, head_dim=24, query_pre_attn_scalar=20, sliding_window=16, num_hidden_layers=6,
                              vocab_size=128, tie_word_embeddings=False), "bfloat16", 1, None),
    "tiny-sharded": ("bfloat16 in three files with an index, sliding_window_pattern left to its default of 6, window 12",
                     dict(num_hidden_layers=7, sliding_window=12, sliding_window_pattern=None), "bfloat16", 3, None),
    "tiny-rope-linear": ("float16, linear RoPE scaling by 8 on the full layers only, every second layer full, window 9, 2 heads on 2",
                         dict(rope_scaling={"rope_type": "linear", "factor": 8.0}, sliding_window_pattern=2, sliding_window=9,
                              num_attention_heads=2, num_key_value_heads=2, head_dim=20, rope_theta=10000.0), "float16", 1, None),
    "tiny-q4": ("4 bit, group 32, bfloat16 scales; overrides: an 8-bit group-64 path, an 8-bit tied embedding, one path false",
                dict(hidden_size=96, head_dim=16, query_pre_attn_scalar=16, num_key_value_heads=2, intermediate_size=128, sliding_window=10),
                "bfloat16", 1, {"group_size": 32, "bits": 4, "mode": "affine",
                                "model.layers.0.mlp.down_proj": {"group_size": 64, "bits": 8},
                                "model.embed_tokens": {"group_size": 32, "bits": 8},
                                "model.layers.1.self_attn.v_proj": False}),
    "tiny-q-mixed": ("what an import writes: 4, 5, 6 and 8 bit, float32 scales, untied quantized head; two paths stand in no list "
                     "(bits follow from the shapes)",
                     dict(hidden_size=64, head_dim=16, query_pre_attn_scalar=16, intermediate_size=96, tie_word_embeddings=False),
                     "float32", 1, {"group_size": 32, "bits": 4, "mode": "affine",
                                    "model.embed_tokens": {"group_size": 32, "bits": 8}, "lm_head": {"group_size": 32, "bits": 6},
                                    "model.layers.0.self_attn.q_proj": {"group_size": 32, "bits": 5},
                                    "model.layers.2.mlp.up_proj": {"group_size": 32, "bits": 5},
                                    "model.layers.3.mlp.down_proj": {"group_size": 32, "bits": 8}}),
}
UNLISTED = {"tiny-q-mixed": {"model.layers.2.mlp.up_proj", "model.layers.3.mlp.down_proj"}}


def random_weights(c, rng):
    """Float32 tensors by name. Norms well away from 0 and projections large enough that every part shows in the logits."""
    d, f, h = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * h, c["num_key_value_heads"] * h
    linear = lambda o, i: rng.standard_normal((o, i)) * 1.2 / np.sqrt(i)
    norm = lambda n: rng.standard_normal(n) * 0.25 + 0.1
    # A tied head would only repeat the last id if the embedding outweighed what the layers add, so it is small there.
    size = 0.38 / np.sqrt(d) if c["tie_word_embeddings"] else 0.4
    w = {"model.embed_tokens.weight": rng.standard_normal((c["vocab_size"], d)) * size, "model.norm.weight": norm(d) + 0.3 / size}
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}."
        for name, o, n in (("self_attn.q_proj", q, d), ("self_attn.k_proj", kv, d), ("self_attn.v_proj", kv, d), ("self_attn.o_proj", d, q),
                           ("mlp.gate_proj", f, d), ("mlp.up_proj", f, d), ("mlp.down_proj", d, f)):
            w[at + name + ".weight"] = linear(o, n)
        for name, n in (("self_attn.q_norm", h), ("self_attn.k_norm", h), ("input_layernorm", d), ("post_attention_layernorm", d),
                        ("pre_feedforward_layernorm", d), ("post_feedforward_layernorm", d)):
            w[at + name + ".weight"] = norm(n)
        w[at + "self_attn.q_norm.weight"] += 0.5  # attention that chooses
    if not c["tie_word_embeddings"]:
        w["lm_head.weight"] = rng.standard_normal((c["vocab_size"], d)) * 0.4
    return {k: v.astype(np.float32) for k, v in w.items()}


def make(out, name):
    purpose, changes, dtype, shards, quant = CASES[name]
    c = {**BASE, **changes, "torch_dtype": dtype}
    if quant:
        listed = {k: v for k, v in quant.items() if k not in UNLISTED.get(name, ())}
        c["quantization"] = c["quantization_config"] = listed
    folder = os.path.join(out, name)

    def write(seed):
        rng = np.random.default_rng([sorted(CASES).index(name), seed])
        write_checkpoint(folder, c, stored(random_weights(c, rng), dtype, quant), shards)

    tiny.make(folder, purpose, 50, STEPS, lambda seed: tiny.prompts(c, seed, LENGTHS), write, gemma3_numpy.Gemma3)


if __name__ == "__main__":
    to = oracle.out_dir(os.path.join(HERE, "..", "gemma3", "testdata"), __doc__)
    for case in CASES:
        make(to, case)
