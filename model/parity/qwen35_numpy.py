"""Qwen 3.5's dense text model in numpy float64, written from the description in ../shared/models.md: the second opinion on
the tiny checkpoints.

It shares no code with mlx-lm, transformers or MLX (weights come through oracle.read_safetensors and gemma3_numpy.widen). No
cache, no chunks: every pass is a whole one, the recurrence a loop over its tokens.
"""
import glob
import json
import os

import numpy as np
import oracle
from gemma3_numpy import widen


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Qwen35:
    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as f:
            config = json.load(f)
        self.cfg = c = {**config, **config.get("text_config", {})}
        raw = {}
        for path in sorted(glob.glob(os.path.join(folder, "model*.safetensors"))):
            raw.update(oracle.read_safetensors(path))
        raw = {k.removeprefix("language_model."): t for k, t in raw.items()}
        inner = {"o_proj": c["num_attention_heads"] * c["head_dim"], "down_proj": c["intermediate_size"],
                 "out_proj": c["linear_num_value_heads"] * c["linear_value_head_dim"]}
        self.w = {}
        for name, t in raw.items():
            path, _, leaf = name.rpartition(".")
            if leaf == "weight" and path + ".scales" in raw:
                self.w[path] = widen(t, raw[path + ".scales"], raw[path + ".biases"], inner.get(path.rpartition(".")[2], c["hidden_size"]))
            elif leaf not in ("scales", "biases"):
                self.w[path if leaf == "weight" else name] = oracle.f64(t)

    def norm(self, x, path):
        return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + self.cfg["rms_norm_eps"]) * self.w[path]

    def rope(self, x):
        """x: [H, T, D]: the first n dims turn in pairs (i, i + n/2) by t * theta^(-2i/n)."""
        r = self.cfg["rope_parameters"]
        n = int(x.shape[-1] * r["partial_rotary_factor"])
        angle = np.arange(x.shape[1])[:, None] * r["rope_theta"] ** (-np.arange(0, n, 2) / n)
        a, b = x[..., :n // 2], x[..., n // 2:n]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle), x[..., n:]], -1)

    def attention(self, x, at):
        c = self.cfg
        n, nkv, h = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        both = (x @ self.w[at + "q_proj"].T).reshape(len(x), n, 2 * h)  # heads first, then query and gate
        q, gate = both[..., :h], both[..., h:].reshape(len(x), -1)
        k, v = ((x @ self.w[at + name].T).reshape(len(x), nkv, h) for name in ("k_proj", "v_proj"))
        q, k = self.norm(q, at + "q_norm").transpose(1, 0, 2), self.norm(k, at + "k_norm").transpose(1, 0, 2)
        q, k = self.rope(q), np.repeat(self.rope(k), n // nkv, 0)
        v = np.repeat(v.transpose(1, 0, 2), n // nkv, 0)
        s = q @ k.transpose(0, 2, 1) * h ** -0.5
        s = np.where(np.arange(len(x))[:, None] >= np.arange(len(x)), s, -np.inf)
        p = np.exp(s - s.max(-1, keepdims=True))
        y = (p / p.sum(-1, keepdims=True)) @ v
        return (y.transpose(1, 0, 2).reshape(len(x), -1) * sigmoid(gate)) @ self.w[at + "o_proj"].T

    def delta_net(self, x, at):
        c, T = self.cfg, len(x)
        hk, hv, dk, dv = (c["linear_" + k] for k in ("num_key_heads", "num_value_heads", "key_head_dim", "value_head_dim"))
        qkv = x @ self.w[at + "in_proj_qkv"].T
        taps = self.w[at + "conv1d"][..., 0]  # [channels, width]
        width = taps.shape[1]
        padded = np.concatenate([np.zeros((width - 1, qkv.shape[1])), qkv])
        mixed = sum(padded[i:i + T] * taps[:, i] for i in range(width))
        mixed = mixed * sigmoid(mixed)
        q, k, v = (p.reshape(T, h, d) for p, h, d in zip(np.split(mixed, [hk * dk, 2 * hk * dk], -1), (hk, hk, hv), (dk, dk, dv)))
        unit = lambda a: np.repeat(a / np.sqrt((a * a).sum(-1, keepdims=True) + 1e-6), hv // hk, 1)
        q, k = unit(q) * dk ** -0.5, unit(k)
        keep = np.exp(-np.exp(self.w[at + "A_log"]) * np.logaddexp(0, x @ self.w[at + "in_proj_a"].T + self.w[at + "dt_bias"]))
        beta = sigmoid(x @ self.w[at + "in_proj_b"].T)
        state, out = np.zeros((hv, dv, dk)), np.zeros((T, hv, dv))
        for t in range(T):
            state = state * keep[t][:, None, None]
            delta = (v[t] - np.einsum("hvk,hk->hv", state, k[t])) * beta[t][:, None]
            state = state + delta[..., None] * k[t][:, None]
            out[t] = np.einsum("hvk,hk->hv", state, q[t])
        z = (x @ self.w[at + "in_proj_z"].T).reshape(T, hv, dv)
        return (self.norm(out, at + "norm") * z * sigmoid(z)).reshape(T, -1) @ self.w[at + "out_proj"].T

    def mlp(self, x, at):
        g = x @ self.w[at + "gate_proj"].T
        return (g * sigmoid(g) * (x @ self.w[at + "up_proj"].T)) @ self.w[at + "down_proj"].T

    def logits(self, ids):
        """ids [T] -> float64 [T, vocab]."""
        x = self.w["model.embed_tokens"][np.asarray(ids)]
        for i in range(self.cfg["num_hidden_layers"]):
            at = f"model.layers.{i}."
            h = self.norm(x, at + "input_layernorm")
            full = (i + 1) % self.cfg["full_attention_interval"] == 0
            x = x + (self.attention(h, at + "self_attn.") if full else self.delta_net(h, at + "linear_attn."))
            x = x + self.mlp(self.norm(x, at + "post_attention_layernorm"), at + "mlp.")
        x = self.norm(x, "model.norm")
        return x @ self.w["model.embed_tokens" if self.cfg["tie_word_embeddings"] else "lm_head"].T
