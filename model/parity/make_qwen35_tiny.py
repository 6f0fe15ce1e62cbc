#!/usr/bin/env python3
"""Writes model/qwen35/testdata/tiny-*/: random qwen3_5 and qwen3_5_moe checkpoints (text) and what mlx-lm makes of them.

    ~/.cache/reprise-build/parity-venv/bin/python model/parity/make_qwen35_tiny.py     (versions: requirements.txt)

Per folder: config.json, the weights, expected.safetensors and expected.json (model/qwen35/testdata/README.md describes them).
The reference is mlx-lm in float32 on the CPU, one pass over the whole prompt; mlx-lm in chunks of 1 and qwen35_numpy.py in
float64 stand beside it, and their largest disagreement with it is recorded.
"""
import os
import re

import numpy as np

import oracle
import qwen35_numpy
import tiny
from tiny import stored, write_checkpoint

HERE = os.path.dirname(os.path.abspath(__file__))
LENGTHS = (1, 7, 33, 61)
STEPS = 32
RAW = "model.language_model."

TEXT = dict(
    model_type="qwen3_5_text", vocab_size=96, hidden_size=40, intermediate_size=56, num_hidden_layers=4, full_attention_interval=4,
    num_attention_heads=4, num_key_value_heads=2, head_dim=16, attention_bias=False, attn_output_gate=True, output_gate_type="swish",
    linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8, linear_value_head_dim=12, linear_conv_kernel_dim=4,
    rms_norm_eps=1e-6, hidden_act="silu", max_position_embeddings=2048, tie_word_embeddings=False, bos_token_id=2, eos_token_id=1,
    mamba_ssm_dtype="float32", mtp_num_hidden_layers=1, partial_rotary_factor=0.25,
    rope_parameters=dict(rope_type="default", rope_theta=10000000, partial_rotary_factor=0.25, mrope_interleaved=True, mrope_section=[1, 1, 0]),
)

EXPERTS = dict(model_type="qwen3_5_moe_text", intermediate_size=None, num_experts=7, num_experts_per_tok=3, moe_intermediate_size=20,
               shared_expert_intermediate_size=28, num_hidden_layers=3, full_attention_interval=2, layer_types=None)
WIDE = dict(hidden_size=64, moe_intermediate_size=32, shared_expert_intermediate_size=96, linear_key_head_dim=16, linear_value_head_dim=16)


def packed(mode, group, bits, layers):
    """A mixture's quantization as mlx-lm's converter writes it: router and shared gate have 8 bits."""
    eight = {f"language_model.model.layers.{i}.mlp.{name}": {"group_size": 64, "bits": 8} for i in range(layers) for name in ("gate", "shared_expert_gate")}
    return {"group_size": group, "bits": bits, "mode": mode, **eight}


# name -> (what it is there for, changes of text_config, dtype of the file, prefix of the text model's names, quantization)
CASES = {
    "tiny-bf16-tied": ("bfloat16 with A_log in float32, tied head, no prefix, 6 value heads on 2 key heads, convolution of 3, 1 KV head, half the dims "
                       "turn with theta 1e4, every second layer full by full_attention_interval alone, rms_norm_eps 1e-5",
                       dict(tie_word_embeddings=True, linear_num_value_heads=6, linear_conv_kernel_dim=3, num_key_value_heads=1, num_hidden_layers=5,
                            full_attention_interval=2, layer_types=None, rms_norm_eps=1e-5, partial_rotary_factor=0.5,
                            rope_parameters=dict(rope_type="default", rope_theta=10000, partial_rotary_factor=0.5)), "bfloat16", "", None),
    "tiny-f32": ("float32, own lm_head, 4 value heads on 2 key heads, value dim 12 on key dim 8, 4 of 16 dims turn, every fourth layer full; "
                 "queries and keys of layer 1 are so small that the eps of their norm shows", {}, "float32", "language_model.", None),
    "tiny-q4": ("4 bit, group 32, bfloat16 scales, as mlx-community writes it, a tensor of a vision tower beside it; one value head for each of 3 key heads; "
                "overrides: an 8-bit group-64 path, one path false",
                dict(hidden_size=64, intermediate_size=96, linear_num_key_heads=3, linear_num_value_heads=3, linear_key_head_dim=16,
                     linear_value_head_dim=32), "bfloat16", "language_model.",
                {"group_size": 32, "bits": 4, "mode": "affine", "language_model.model.layers.0.linear_attn.in_proj_z": {"group_size": 64, "bits": 8},
                 "language_model.model.layers.3.self_attn.q_proj": False}),
    "tiny-moe-f32": ("float32, a mixture of 7 experts of which 3 are chosen, of 20, and a shared one of 28, each with odd remainders; tensors of a head for "
                     "multi-token prediction beside it", EXPERTS, "float32", "language_model.", None),
    "tiny-moe-q4": ("4 bit, group 32, bfloat16 scales, mixtures with an 8-bit group-64 router and shared gate by overrides",
                    {**EXPERTS, **WIDE}, "bfloat16", "language_model.", packed("affine", 32, 4, 3)),
    "tiny-moe-mxfp4": ("mxfp4 with affine 8-bit routers and shared gates, mixtures", {**EXPERTS, **WIDE, "num_hidden_layers": 2}, "bfloat16", "language_model.",
                       packed("mxfp4", 32, 4, 2)),
    "tiny-moe-nvfp4": ("nvfp4 with affine 8-bit routers and shared gates, mixtures", {**EXPERTS, **WIDE, "num_hidden_layers": 2}, "bfloat16", "language_model.",
                       packed("nvfp4", 16, 4, 2)),
    "tiny-raw": ("Hugging Face's layout, dense: names, norms less 1, taps [channels, 1, width], a vision tower's tensor, multi-token prediction; 3 layers",
                 dict(num_hidden_layers=3, full_attention_interval=2, layer_types=None), "float32", RAW, None),
    "tiny-moe-raw": ("Hugging Face's layout with experts as transformers writes them, gate and up in one tensor; bfloat16, its norms such that 1 + weight is "
                     "one too, since mlx-lm adds in bfloat16 and transformers in float32", EXPERTS, "bfloat16", RAW, None),
}
EXACT = ("A_log",)  # float32 in every file


def random_weights(c, rng):
    """Float32 tensors by name. Norms well away from 0 and projections large enough that every part shows in the logits."""
    d, f, h = c["hidden_size"], c.get("intermediate_size"), c["head_dim"]
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
        if f:
            w.update(gated(at + "mlp.", f, d, linear))
        else:
            e, f2 = c["num_experts"], c["moe_intermediate_size"]
            w.update({at + "mlp.gate.weight": linear(e, d) * 2, at + "mlp.shared_expert_gate.weight": linear(1, d)})
            w.update(gated(at + "mlp.switch_mlp.", f2, d, lambda o, n: np.stack([linear(o, n) for _ in range(e)])))
            w.update(gated(at + "mlp.shared_expert.", c["shared_expert_intermediate_size"], d, linear))
        if (i + 1) % c["full_attention_interval"] == 0:
            at += "self_attn."
            w.update({at + name + ".weight": linear(o, n) for name, o, n in (("q_proj", 2 * q, d), ("k_proj", kv, d), ("v_proj", kv, d), ("o_proj", d, q))})
            w.update({at + "q_norm.weight": norm(h) + 0.5, at + "k_norm.weight": norm(h)})
            continue
        at += "linear_attn."
        for name, o, n in (("in_proj_qkv", 2 * keys + values, d), ("in_proj_z", values, d), ("in_proj_b", hv, d), ("in_proj_a", hv, d), ("out_proj", d, values)):
            w[at + name + ".weight"] = linear(o, n)
        if i == 1 and f:
            w[at + "in_proj_qkv.weight"][:2 * keys] *= 1e-3
        w.update({at + "conv1d.weight": rng.standard_normal((2 * keys + values, c["linear_conv_kernel_dim"], 1)) * 0.5,
                  at + "A_log": np.log(rng.uniform(0.02, 1.5, hv)), at + "dt_bias": rng.standard_normal(hv) * 0.7, at + "norm.weight": norm(dv)})
    if not c["tie_word_embeddings"]:
        w["lm_head.weight"] = rng.standard_normal((c["vocab_size"], d)) * 0.4
    return {k: v.astype(np.float32) for k, v in w.items()}


def gated(at, width, d, linear):
    return {at + f"{name}.weight": linear(o, n) for name, o, n in (("gate_proj", width, d), ("up_proj", width, d), ("down_proj", d, width))}


def hugging_face(weights, dtype):
    """The same model in Hugging Face's layout."""
    out = {}
    for name, w in weights.items():
        if re.search(r"(layernorm|[qk]_norm|model\.norm)\.weight$", name):
            w = (np.round(w * 64) / 64 if dtype == "bfloat16" else w) - 1
        elif name.endswith("conv1d.weight"):
            w = np.swapaxes(w, 1, 2)
        elif ".switch_mlp.up_proj" in name:
            continue
        elif ".switch_mlp.gate_proj" in name:
            w = np.concatenate([w, weights[name.replace("gate_proj", "up_proj")]], 1)
            name = name.replace("switch_mlp.gate_proj.weight", "experts.gate_up_proj")
        elif ".switch_mlp.down_proj" in name:
            name = name.replace("switch_mlp.down_proj.weight", "experts.down_proj")
        out[re.sub(r"^model\.", RAW, name)] = np.ascontiguousarray(w, np.float32)
    return out


def unused(rng, c, name, prefix, quant):
    """What a text model has no use for, and must not stumble over."""
    out = {}
    if quant and "moe" not in name:
        out["vision_tower.patch_embed.proj.weight"] = rng.standard_normal((4, 2, 2, 2, 3))
    if prefix == RAW:
        out["model.visual.patch_embed.proj.weight"] = rng.standard_normal((4, 3, 2, 2, 2))
    if name in ("tiny-moe-f32", "tiny-raw"):
        d, at = c["hidden_size"], "mtp." if prefix == RAW else prefix + "mtp."
        out.update({at + "fc.weight": rng.standard_normal((d, 2 * d)), at + "layers.0.input_layernorm.weight": rng.standard_normal(d),
                    at + "norm.weight": rng.standard_normal(d)})
    return out


def file_tensors(c, rng, name, dtype, prefix, quant):
    weights = random_weights(c, rng)
    if prefix == RAW:
        weights = hugging_face(weights, dtype)
    elif prefix:
        weights = {prefix + k: v for k, v in weights.items()}
    exact = {k: v for k, v in weights.items() if k.endswith(EXACT)}
    tensors = {**stored({k: v for k, v in weights.items() if k not in exact}, dtype, quant), **exact}
    return {**tensors, **{k: oracle.cast(v, dtype) for k, v in unused(rng, c, name, prefix, quant).items()}}


def make(out, name):
    purpose, changes, dtype, prefix, quant = CASES[name]
    types = ["full_attention" if (i + 1) % TEXT["full_attention_interval"] == 0 else "linear_attention" for i in range(TEXT["num_hidden_layers"])]
    text = {k: v for k, v in {**TEXT, "layer_types": types, **changes, "dtype": dtype}.items() if v is not None}
    kind = "qwen3_5_moe" if "num_experts" in text else "qwen3_5"
    c = dict(architectures=[("Qwen3_5Moe" if "moe" in kind else "Qwen3_5") + "ForConditionalGeneration"], model_type=kind, text_config=text,
             tie_word_embeddings=text["tie_word_embeddings"], image_token_id=95, vision_config=dict(model_type=kind, depth=1))
    if quant:
        c["quantization"] = c["quantization_config"] = quant
    folder = os.path.join(out, name)

    def write(seed):
        rng = np.random.default_rng([35, list(CASES).index(name), seed])
        write_checkpoint(folder, c, file_tensors(text, rng, name, dtype, prefix, quant), 1)

    tiny.make(folder, purpose, 200, STEPS, lambda seed: tiny.prompts(text, seed, LENGTHS), write, qwen35_numpy.Qwen35)


if __name__ == "__main__":
    to = oracle.out_dir(os.path.join(HERE, "..", "qwen35", "testdata"), __doc__)
    for case in CASES:
        make(to, case)
