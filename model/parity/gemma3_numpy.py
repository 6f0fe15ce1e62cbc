"""Gemma 3 in numpy float64, written from the description in ../shared/models.md: the second opinion on the tiny checkpoints.

It shares no code with mlx-lm, transformers or MLX: weights come through oracle.read_safetensors, quantized ones through
the bit layout spelled out in widen(). No cache, no chunks: every pass is a whole one.
"""
import glob
import json
import os

import numpy as np
import oracle


def widen(packed, scales, biases, in_features):
    """Affine weights [..., out, words] to float64 [..., out, in_features]. Bits and group follow from the shapes."""
    bits = packed.shape[-1] * 32 // in_features
    group = in_features // scales.shape[-1]
    stream = np.unpackbits(np.ascontiguousarray(packed).view(np.uint8), -1, bitorder="little")
    q = (stream.reshape(*packed.shape[:-1], in_features, bits).astype(np.int64) << np.arange(bits)).sum(-1)
    g = q.reshape(*scales.shape, group) * oracle.f64(scales)[..., None] + oracle.f64(biases)[..., None]
    return g.reshape(*packed.shape[:-1], in_features)


class Gemma3:
    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as f:
            self.cfg = json.load(f)
        raw = {}
        for path in sorted(glob.glob(os.path.join(folder, "model*.safetensors"))):
            raw.update(oracle.read_safetensors(path))
        c = self.cfg
        inner = {"o_proj": c["num_attention_heads"] * c["head_dim"], "down_proj": c["intermediate_size"]}
        self.w = {}
        for name, t in raw.items():
            path, _, leaf = name.rpartition(".")
            if leaf == "weight" and path + ".scales" in raw:
                width = inner.get(path.rpartition(".")[2], c["hidden_size"])
                self.w[path] = widen(t, raw[path + ".scales"], raw[path + ".biases"], width)
            elif leaf == "weight":
                self.w[path] = oracle.f64(t)

    def norm(self, x, path):
        y = x / np.sqrt(np.mean(x * x, -1, keepdims=True) + self.cfg["rms_norm_eps"])
        return y * (1 + self.w[path])

    def rope(self, x, base, factor):
        """x: [H, T, D]: pairs (i, i + D/2) turned by (t / factor) * base^(-2i/D)."""
        d, t = x.shape[-1], np.arange(x.shape[1])[:, None]
        angle = t / factor * base ** (-np.arange(0, d, 2) / d)
        a, b = x[..., :d // 2], x[..., d // 2:]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)], -1)

    def attention(self, x, i):
        c, at = self.cfg, f"model.layers.{i}.self_attn."
        full = (i + 1) % c.get("sliding_window_pattern", 6) == 0
        heads = lambda name, n: (x @ self.w[at + name].T).reshape(len(x), n, c["head_dim"]).transpose(1, 0, 2)
        n, nkv = c["num_attention_heads"], c["num_key_value_heads"]
        q, k, v = self.norm(heads("q_proj", n), at + "q_norm"), self.norm(heads("k_proj", nkv), at + "k_norm"), heads("v_proj", nkv)
        base = c.get("rope_theta", 1e6) if full else c.get("rope_local_base_freq", 1e4)
        factor = (c.get("rope_scaling") or {}).get("factor", 1.0) if full else 1.0
        q, k = self.rope(q, base, factor), self.rope(k, base, factor)
        k, v = np.repeat(k, n // nkv, 0), np.repeat(v, n // nkv, 0)
        s = q @ k.transpose(0, 2, 1) * c["query_pre_attn_scalar"] ** -0.5
        back = np.arange(len(x))[:, None] - np.arange(len(x))  # how far key j lies behind query i
        seen = (back >= 0) & (full | (back < c["sliding_window"]))
        s = np.where(seen, s, -np.inf)
        p = np.exp(s - s.max(-1, keepdims=True))
        y = (p / p.sum(-1, keepdims=True)) @ v
        return y.transpose(1, 0, 2).reshape(len(x), -1) @ self.w[at + "o_proj"].T

    def mlp(self, x, i):
        at = f"model.layers.{i}.mlp."
        g = x @ self.w[at + "gate_proj"].T
        g = 0.5 * g * (1 + np.tanh(np.sqrt(2 / np.pi) * (g + 0.044715 * g**3)))
        return (g * (x @ self.w[at + "up_proj"].T)) @ self.w[at + "down_proj"].T

    def logits(self, ids, rounded_scale=True):
        """ids [T] -> float64 [T, vocab]. rounded_scale: sqrt(hidden) rounded to bfloat16, as mlx-lm does in every dtype."""
        scale = np.sqrt(self.cfg["hidden_size"])
        if rounded_scale:
            scale = float(oracle.BF16(scale).astype(np.float64))
        x = self.w["model.embed_tokens"][np.asarray(ids)] * scale
        for i in range(self.cfg["num_hidden_layers"]):
            at = f"model.layers.{i}."
            x = x + self.norm(self.attention(self.norm(x, at + "input_layernorm"), i), at + "post_attention_layernorm")
            x = x + self.norm(self.mlp(self.norm(x, at + "pre_feedforward_layernorm"), i), at + "post_feedforward_layernorm")
        x = self.norm(x, "model.norm")
        return x @ self.w.get("lm_head", self.w["model.embed_tokens"]).T
