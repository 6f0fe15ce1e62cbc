#!/usr/bin/env python3
"""Writes model/gemma4/testdata/tiny-*/: random gemma4 checkpoints (text) and what mlx-lm makes of them.

    ~/.cache/reprise-build/parity-venv/bin/python model/parity/make_gemma4_tiny.py     (versions: requirements.txt; ONLY=tiny-q4: that one)

Per folder: config.json, the weights, expected.safetensors and expected.json (model/gemma4/testdata/README.md describes them).
The reference is mlx-lm in float32 on the CPU, one pass over the whole prompt; mlx-lm in chunks of 1 and gemma4_numpy.py in
float64 stand beside it, and their largest disagreement with it is recorded. check_transformers.py adds transformers'.
"""
import os

import numpy as np

import gemma4_numpy
import oracle
import tiny
from tiny import stored, write_checkpoint

HERE = os.path.dirname(os.path.abspath(__file__))
LENGTHS = (1, 7, 33, 70)  # against windows of 11 and 16
STEPS = 32
S, F = "sliding_attention", "full_attention"

TEXT = dict(
    model_type="gemma4_text", vocab_size=96, hidden_size=28, intermediate_size=36, num_hidden_layers=9, layer_types=[S, S, F] * 3,
    num_attention_heads=4, num_key_value_heads=2, head_dim=8, global_head_dim=16, num_global_key_value_heads=None, attention_k_eq_v=False,
    num_kv_shared_layers=3, use_double_wide_mlp=False, hidden_size_per_layer_input=8, vocab_size_per_layer_input=96, enable_moe_block=False,
    num_experts=None, top_k_experts=None, moe_intermediate_size=None, sliding_window=16, rms_norm_eps=1e-6, final_logit_softcapping=30.0,
    hidden_activation="gelu_pytorch_tanh", attention_bias=False, use_bidirectional_attention=None, max_position_embeddings=2048,
    tie_word_embeddings=True, bos_token_id=2, eos_token_id=1, pad_token_id=0,
    rope_parameters={S: dict(rope_type="default", rope_theta=10000.0),
                     F: dict(rope_type="proportional", partial_rotary_factor=0.25, rope_theta=1000000.0)},
)
MOE = dict(num_hidden_layers=4, layer_types=[S, S, S, F], num_kv_shared_layers=0, hidden_size_per_layer_input=0, attention_k_eq_v=True,
           num_global_key_value_heads=1, enable_moe_block=True, num_experts=6, top_k_experts=2, moe_intermediate_size=20, use_bidirectional_attention="vision")
# In 4 bit all widths are multiples of a group.
WIDE = dict(hidden_size=64, intermediate_size=96, head_dim=16, global_head_dim=32, hidden_size_per_layer_input=32, num_hidden_layers=4,
            layer_types=[S, F, S, F], num_kv_shared_layers=2)
Q = {"group_size": 32, "bits": 4, "mode": "affine"}

# name -> (what it is there for, changes of text_config, dtype of the file, layout, quantization)
CASES = {
    "tiny-e4b-f32": ("float32: per-layer embeddings, the last 3 of 9 layers share keys and values of layers 4 and 5, window 16, heads of 8 and of "
                     "16 in the full layers, of which 2 of 8 pairs turn; queries of layer 1 and the projection of per-layer embeddings are so small "
                     "that the eps of their norm shows", {}, "float32", "mlx", None),
    "tiny-e2b-bf16": ("bfloat16, gemma4_text alone: layers 4 to 7 share, with an MLP twice as wide and unused k_proj, v_proj and k_norm in the file; "
                      "1 KV head, window 11, rms_norm_eps 1e-5, a factor on the full layers' wavelengths",
                      dict(num_hidden_layers=8, layer_types=[S, S, S, F] * 2, num_kv_shared_layers=4, use_double_wide_mlp=True, num_key_value_heads=1,
                           sliding_window=11, rms_norm_eps=1e-5,
                           rope_parameters={S: dict(rope_type="default", rope_theta=10000.0),
                                            F: dict(rope_type="proportional", partial_rotary_factor=0.5, rope_theta=100000.0, factor=4.0)}),
                      "bfloat16", "text", None),
    "tiny-31b-untied": ("float32: values are the raw keys in the full layers, on 1 KV head instead of 2; no sharing, no per-layer embeddings, own lm_head, "
                        "no soft cap, head_dim 6", dict(num_hidden_layers=4, layer_types=[S, S, S, F], num_kv_shared_layers=0, hidden_size_per_layer_input=0,
                                                        attention_k_eq_v=True, num_global_key_value_heads=1, tie_word_embeddings=False,
                                                        final_logit_softcapping=None, head_dim=6, use_bidirectional_attention="vision"), "float32", "mlx", None),
    "tiny-26b-moe": ("bfloat16: 2 of 6 experts beside the dense MLP, values are keys in the full layer, vocab_size nested is not the embedding's", MOE,
                     "bfloat16", "mlx", None),
    "tiny-hf-moe": ("bfloat16 as transformers writes it: model.language_model., experts in fused 3-D tensors, per_layer_config instead of global sizes, "
                    "tensors of vision and audio towers; 3 of 5 experts with per-layer embeddings and shared layers",
                    dict(num_hidden_layers=6, layer_types=[S, F] * 3, num_kv_shared_layers=2, enable_moe_block=True, num_experts=5, top_k_experts=3,
                         moe_intermediate_size=12, hidden_size_per_layer_input=4), "bfloat16", "hf", None),
    "tiny-q4": ("4 bit, group 32, bfloat16 scales, as mlx-community writes it, with a tensor of a vision tower; overrides: the per-layer table and a "
                "gate in 8 bit, one path in 8 bit that no list names, one path false", WIDE, "bfloat16", "mlx",
                {**Q, "language_model.model.embed_tokens_per_layer": {"group_size": 64, "bits": 8},
                 "language_model.model.layers.0.per_layer_input_gate": {"group_size": 32, "bits": 8},
                 "language_model.model.layers.3.mlp.down_proj": {"group_size": 32, "bits": 8},
                 "language_model.model.layers.1.self_attn.q_proj": False}),
    "tiny-q4-moe": ("4 bit, group 32, experts in 4 bit, their router in 8 bit with group 64, one stack in 5 bit",
                    {**MOE, "hidden_size": 64, "intermediate_size": 64, "moe_intermediate_size": 32, "head_dim": 16, "global_head_dim": 32,
                     "num_hidden_layers": 2, "layer_types": [S, F]}, "bfloat16", "mlx",
                    {**Q, "language_model.model.layers.0.router.proj": {"group_size": 64, "bits": 8},
                     "language_model.model.layers.1.router.proj": {"group_size": 64, "bits": 8},
                     "language_model.model.layers.1.experts.switch_glu.up_proj": {"group_size": 32, "bits": 5}}),
}
UNLISTED = {"tiny-q4": {"language_model.model.layers.3.mlp.down_proj"}}


def added(c):
    """How much a part adds to the residual: with 1, eight layers blow float32's rounding up to 3e-3."""
    return 0.4 if c["num_hidden_layers"] > 2 else 0.8


def sizes(c, i):
    """Head size and KV heads of layer i."""
    if c["layer_types"][i] == S:
        return c["head_dim"], c["num_key_value_heads"]
    return c["global_head_dim"], (c["attention_k_eq_v"] and c["num_global_key_value_heads"]) or c["num_key_value_heads"]


def random_layer(c, i, rng, linear, norm, unused):
    d, at, own = c["hidden_size"], f"model.layers.{i}.", c["num_hidden_layers"] - c["num_kv_shared_layers"]
    h, kv = sizes(c, i)
    w = {at + "self_attn.q_proj.weight": linear(c["num_attention_heads"] * h, d), at + "self_attn.o_proj.weight": linear(d, c["num_attention_heads"] * h),
         at + "self_attn.q_norm.weight": norm(h) + 0.3, at + "layer_scalar": rng.uniform(0.75, 1.15, 1)}
    if i < own or unused:
        w.update({at + "self_attn.k_proj.weight": linear(kv * h, d), at + "self_attn.k_norm.weight": norm(h)})
        if not (c["attention_k_eq_v"] and c["layer_types"][i] == F):
            w[at + "self_attn.v_proj.weight"] = linear(kv * h, d)
    if i == 1:
        w[at + "self_attn.q_proj.weight"] *= 1e-3
    f = c["intermediate_size"] * (2 if c["use_double_wide_mlp"] and i >= own else 1)
    w.update({at + f"mlp.{name}.weight": linear(o, n) for name, o, n in (("gate_proj", f, d), ("up_proj", f, d), ("down_proj", d, f))})
    w.update({at + name + ".weight": norm(d) for name in ("input_layernorm", "pre_feedforward_layernorm")})
    w.update({at + name + ".weight": norm(d) * added(c) for name in ("post_attention_layernorm", "post_feedforward_layernorm")})
    if c["hidden_size_per_layer_input"]:
        p = c["hidden_size_per_layer_input"]
        w.update({at + "per_layer_input_gate.weight": linear(p, d), at + "per_layer_projection.weight": linear(d, p),
                  at + "post_per_layer_input_norm.weight": norm(d) * added(c)})
    if c["enable_moe_block"]:
        n, e = c["num_experts"], c["moe_intermediate_size"]
        stack = lambda o, width: np.stack([linear(o, width) for _ in range(n)])
        w.update({at + "router.proj.weight": linear(n, d) * 3, at + "router.scale": norm(d) * np.sqrt(d), at + "router.per_expert_scale": rng.uniform(0.5, 1.5, n),
                  at + "experts.switch_glu.gate_proj.weight": stack(e, d), at + "experts.switch_glu.up_proj.weight": stack(e, d),
                  at + "experts.switch_glu.down_proj.weight": stack(d, e)})
        for name in ("post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2"):
            w[at + name + ".weight"] = norm(d)
    return w


def random_weights(c, rng, unused):
    """Float32 tensors by name. Norms well away from 0 and projections large enough that every part shows in the logits."""
    d, p, layers = c["hidden_size"], c["hidden_size_per_layer_input"], c["num_hidden_layers"]
    linear = lambda o, i: rng.standard_normal((o, i)) * 1.2 / np.sqrt(i)
    norm = lambda n: 1 + rng.standard_normal(n) * 0.25
    # A tied head would only repeat the last id if the embedding outweighed what the layers add, so it is small there.
    size = 0.38 / np.sqrt(d) if c["tie_word_embeddings"] else 0.4
    w = {"model.embed_tokens.weight": rng.standard_normal((c["vocab_size"], d)) * size, "model.norm.weight": norm(d) * 0.3 / size}
    if p:
        w.update({"model.embed_tokens_per_layer.weight": rng.standard_normal((c["vocab_size_per_layer_input"], layers * p)) * 0.4,
                  "model.per_layer_model_projection.weight": linear(layers * p, d) * 0.03, "model.per_layer_projection_norm.weight": norm(p)})
    for i in range(layers):
        w.update(random_layer(c, i, rng, linear, norm, unused))
    if not c["tie_word_embeddings"]:
        w["lm_head.weight"] = rng.standard_normal((c["vocab_size"], d)) * 0.4
    return {k: v.astype(np.float32) for k, v in w.items()}


def laid_out(weights, layout):
    """The names of a layout; transformers' has gate and up of all experts in one tensor."""
    if layout == "text":
        return weights
    if layout == "mlx":
        return {"language_model." + k: v for k, v in weights.items()}
    out = {}
    for k, v in weights.items():
        k = k.replace("model.", "model.language_model.", 1) if k.startswith("model.") else k
        if k.endswith("switch_glu.gate_proj.weight"):
            up = weights[k.replace("language_model.", "").replace("gate_proj", "up_proj")]
            out[k.replace("switch_glu.gate_proj.weight", "gate_up_proj")] = np.concatenate([v, up], 1)
        elif k.endswith("switch_glu.down_proj.weight"):
            out[k.replace("switch_glu.down_proj.weight", "down_proj")] = v
        elif "switch_glu" not in k:
            out[k] = v
    return out


def file_tensors(c, rng, dtype, layout, quant):
    tensors = stored(laid_out(random_weights(c, rng, layout == "text"), layout), dtype, quant)
    if quant or layout == "hf":
        outer = "model." if layout == "hf" else ""
        tensors[outer + "vision_tower.patch_embedder.input_proj.weight"] = oracle.cast(rng.standard_normal((4, 12)), dtype)
        tensors[outer + "embed_vision.embedding_projection.weight"] = oracle.cast(rng.standard_normal((6, 4)), dtype)
    if layout == "hf":
        tensors["model.audio_tower.output_proj.weight"] = oracle.cast(rng.standard_normal((4, 4)), dtype)
    return tensors


def config_of(c, name, layout, dtype, quant):
    text = {**c, "dtype": dtype}
    if layout == "text":
        return dict(architectures=["Gemma4ForCausalLM"], **text)
    if layout == "hf":
        few = {"num_key_value_heads": c["num_global_key_value_heads"]} if c["attention_k_eq_v"] else {}
        text["per_layer_config"] = {str(i): {"head_dim": c["global_head_dim"], **few} for i, kind in enumerate(c["layer_types"]) if kind == F}
        text = {k: v for k, v in text.items() if k not in ("global_head_dim", "num_global_key_value_heads")}
    if name == "tiny-26b-moe":
        text["vocab_size"] = 262144
    out = dict(architectures=["Gemma4ForConditionalGeneration"], model_type="gemma4", text_config=text, vocab_size=c["vocab_size"], image_token_id=94,
               audio_token_id=95, vision_config=dict(model_type="gemma4_vision"), tie_word_embeddings=c["tie_word_embeddings"])
    if quant:
        out["quantization"] = out["quantization_config"] = {k: v for k, v in quant.items() if k not in UNLISTED.get(name, ())}
    return out


def make(out, name):
    purpose, changes, dtype, layout, quant = CASES[name]
    c = {**TEXT, **changes}
    folder = os.path.join(out, name)

    def write(seed):
        rng = np.random.default_rng([4, sorted(CASES).index(name), seed])
        write_checkpoint(folder, config_of(c, name, layout, dtype, quant), file_tensors(c, rng, dtype, layout, quant), 1)

    tiny.make(folder, purpose, 400, STEPS, lambda seed: tiny.prompts(c, seed, LENGTHS), write, gemma4_numpy.Gemma4)


if __name__ == "__main__":
    to = oracle.out_dir(os.path.join(HERE, "..", "gemma4", "testdata"), __doc__)
    only = os.environ.get("ONLY")
    for case in CASES:
        if not only or only == case:
            make(to, case)
