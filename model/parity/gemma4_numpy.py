"""Gemma 4's text model in numpy float64, written from the description in ../shared/models.md: the second opinion on the tiny
checkpoints.

It shares no code with mlx-lm, transformers or MLX (weights come through oracle.read_safetensors and gemma3_numpy.widen). No
cache, no chunks: every pass is a whole one, and every expert is computed for the tokens that chose it.
"""
import glob
import json
import os

import numpy as np
import oracle
from gemma3_numpy import widen


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softmax(x):
    p = np.exp(x - x.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


class Gemma4:
    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as f:
            config = json.load(f)
        self.cfg = {**config, **config.get("text_config", {})}
        raw = {}
        for path in sorted(glob.glob(os.path.join(folder, "model*.safetensors"))):
            raw.update(oracle.read_safetensors(path))
        self.w = {}
        for name, t in raw.items():
            path, _, leaf = name.rpartition(".")
            if any(p in name for p in ("vision", "audio")) or leaf in ("scales", "biases"):
                continue
            plain = self.plain(path if leaf == "weight" else name)
            if path + ".scales" in raw and leaf == "weight":
                self.w[plain] = self.wide(plain, t, raw[path + ".scales"], raw[path + ".biases"])
            else:
                self.w[plain] = oracle.f64(t)

    @staticmethod
    def plain(name):
        """layers.N.…, whatever stands before it in the file."""
        for outer in ("language_model.model.", "language_model.", "model.language_model.", "model."):
            if name.startswith(outer):
                return name[len(outer):]
        return name

    def wide(self, plain, packed, scales, biases):
        c, leaf = self.cfg, plain.rpartition(".")[2]
        width = c["hidden_size"]
        if leaf == "o_proj":
            width = c["num_attention_heads"] * self.sizes(int(plain.split(".")[1]))[0]
        elif leaf == "down_proj":
            width = c["moe_intermediate_size"] if "experts" in plain else self.mlp_width(int(plain.split(".")[1]))
        elif leaf == "per_layer_projection":
            width = c["hidden_size_per_layer_input"]
        elif leaf == "embed_tokens_per_layer":
            width = c["hidden_size_per_layer_input"] * c["num_hidden_layers"]
        return widen(packed, scales, biases, width)

    def full(self, i):
        return self.cfg["layer_types"][i] == "full_attention"

    def own(self):
        return self.cfg["num_hidden_layers"] - self.cfg["num_kv_shared_layers"]

    def mlp_width(self, i):
        return self.cfg["intermediate_size"] * (2 if self.cfg.get("use_double_wide_mlp") and i >= self.own() else 1)

    def sizes(self, i):
        """Head size and KV heads of layer i."""
        c = self.cfg
        if not self.full(i):
            return c["head_dim"], c["num_key_value_heads"]
        if "per_layer_config" in c:
            own = c["per_layer_config"][str(i)]
            return own["head_dim"], own.get("num_key_value_heads", c["num_key_value_heads"])
        few = c.get("num_global_key_value_heads") if c.get("attention_k_eq_v") else None
        return c["global_head_dim"], few or c["num_key_value_heads"]

    def norm(self, x, path=None):
        y = x / np.sqrt(np.mean(x * x, -1, keepdims=True) + self.cfg["rms_norm_eps"])
        return y if path is None else y * self.w[path]

    def rope(self, x, kind):
        """x: [H, T, D]: columns (i, i + D/2) turn by t · θ^(-2i/D); with "proportional" only the first factor·D/2 pairs do."""
        r, d = self.cfg["rope_parameters"][kind], x.shape[-1]
        frequency = r["rope_theta"] ** (-np.arange(0, d, 2) / d)
        if r["rope_type"] == "proportional":
            frequency[int(r.get("partial_rotary_factor", 1) * d) // 2:] = 0
            frequency = frequency / r.get("factor", 1)
        angle = np.arange(x.shape[1])[:, None] * frequency
        a, b = x[..., :d // 2], x[..., d // 2:]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)], -1)

    def attention(self, x, i, kept):
        """kept: the keys and values of the last layer of each kind that has its own."""
        c, at, kind = self.cfg, f"layers.{i}.self_attn.", self.cfg["layer_types"][i]
        n, (d, nkv) = c["num_attention_heads"], self.sizes(i)
        split = lambda name, heads: (x @ self.w[at + name].T).reshape(len(x), heads, d).transpose(1, 0, 2)
        if i < self.own():
            k = split("k_proj", nkv)
            v = k if self.full(i) and c.get("attention_k_eq_v") else split("v_proj", nkv)
            kept[kind] = self.rope(self.norm(k, at + "k_norm"), kind), self.norm(v)
        k, v = (np.repeat(a, n // nkv, 0) for a in kept[kind])
        q = self.rope(self.norm(split("q_proj", n), at + "q_norm"), kind)
        back = np.arange(len(x))[:, None] - np.arange(len(x))  # how far key j lies behind query i
        seen = (back >= 0) & (self.full(i) | (back < c["sliding_window"]))
        y = softmax(np.where(seen, q @ k.transpose(0, 2, 1), -np.inf)) @ v  # the scale is 1
        return y.transpose(1, 0, 2).reshape(len(x), -1) @ self.w[at + "o_proj"].T

    def mlp(self, x, gate, up, down):
        return (gelu(x @ gate.T) * (x @ up.T)) @ down.T

    def experts(self, residual, at):
        c = self.cfg
        scores = (self.norm(residual) * self.w[at + "router.scale"] * c["hidden_size"] ** -0.5) @ self.w[at + "router.proj"].T
        p = softmax(scores)
        chosen = np.argsort(-p, -1)[:, :c["top_k_experts"]]
        weights = np.take_along_axis(p, chosen, -1)
        weights = weights / weights.sum(-1, keepdims=True) * self.w[at + "router.per_expert_scale"][chosen]
        x = self.norm(residual, at + "pre_feedforward_layernorm_2")
        if at + "experts.gate_up_proj" in self.w:
            gate, up = np.split(self.w[at + "experts.gate_up_proj"], 2, 1)
            down = self.w[at + "experts.down_proj"]
        else:
            gate, up, down = (self.w[at + f"experts.switch_glu.{p}_proj"] for p in ("gate", "up", "down"))
        out = np.zeros_like(x)
        for t, k in np.ndindex(chosen.shape):
            e = chosen[t, k]
            out[t] += weights[t, k] * self.mlp(x[t], gate[e], up[e], down[e])
        return self.norm(out, at + "post_feedforward_layernorm_2")

    def feed_forward(self, h, i):
        at = f"layers.{i}."
        dense = self.mlp(self.norm(h, at + "pre_feedforward_layernorm"), *(self.w[at + f"mlp.{p}_proj"] for p in ("gate", "up", "down")))
        if self.cfg.get("enable_moe_block"):
            dense = self.norm(dense, at + "post_feedforward_layernorm_1") + self.experts(h, at)
        return h + self.norm(dense, at + "post_feedforward_layernorm")

    def per_layer(self, ids, x):
        """[T, layers, width]: what each layer gets of each token."""
        c = self.cfg
        width, shape = c["hidden_size_per_layer_input"], (len(ids), c["num_hidden_layers"], -1)
        table = (self.w["embed_tokens_per_layer"][ids] * np.sqrt(width)).reshape(shape)
        projected = (x @ self.w["per_layer_model_projection"].T / np.sqrt(c["hidden_size"])).reshape(shape)
        return (self.norm(projected, "per_layer_projection_norm") + table) * 2**-0.5

    def logits(self, ids):
        """ids [T] -> float64 [T, vocab]."""
        c, ids = self.cfg, np.asarray(ids)
        x = self.w["embed_tokens"][ids] * np.sqrt(c["hidden_size"])
        own = self.per_layer(ids, x) if c.get("hidden_size_per_layer_input") else None
        kept = {}
        for i in range(c["num_hidden_layers"]):
            at = f"layers.{i}."
            x = x + self.norm(self.attention(self.norm(x, at + "input_layernorm"), i, kept), at + "post_attention_layernorm")
            x = self.feed_forward(x, i)
            if own is not None:
                gate = gelu(x @ self.w[at + "per_layer_input_gate"].T) * own[:, i]
                x = x + self.norm(gate @ self.w[at + "per_layer_projection"].T, at + "post_per_layer_input_norm")
            x = x * self.w[at + "layer_scalar"]
        x = self.norm(x, "norm") @ self.w["embed_tokens" if c.get("tie_word_embeddings", True) else "lm_head"].T
        cap = c.get("final_logit_softcapping")
        return cap * np.tanh(x / cap) if cap else x
