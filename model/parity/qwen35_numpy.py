"""Qwen 3.5's text model in numpy float64, dense and with experts, written from the description in ../shared/models.md: the
second opinion on the tiny checkpoints.

It shares no code with mlx-lm, transformers or MLX (weights come through oracle.read_safetensors and gemma3_numpy.widen). No
cache, no chunks: every pass is a whole one, the recurrence a loop over its tokens, the experts one over theirs.
"""
import glob
import json
import os
import re

import numpy as np
import oracle
from gemma3_numpy import widen


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def widen_fp4(packed, scales):
    """4-bit floats (sign, 2 bits of exponent, 1 of mantissa) in groups with a scale of 8 bits: a power of two for groups of
    32 (mxfp4), a float with 4 bits of exponent and 3 of mantissa for groups of 16 (nvfp4)."""
    nibbles = np.ascontiguousarray(packed).view(np.uint8)
    nibbles = np.stack([nibbles & 15, nibbles >> 4], -1).reshape(*packed.shape[:-1], -1)
    q = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])[nibbles]
    s = scales.astype(np.float64)
    if nibbles.shape[-1] == 32 * scales.shape[-1]:
        scale = 2.0 ** (s - 127)
    else:
        exponent, mantissa = np.floor(s / 8), s % 8  # none is negative
        scale = np.where(exponent == 0, mantissa / 8 * 2.0 ** -6, (1 + mantissa / 8) * 2.0 ** (exponent - 7))
    return (q.reshape(*scales.shape, -1) * scale[..., None]).reshape(q.shape)


class Qwen35:
    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as f:
            config = json.load(f)
        self.cfg = c = {**config, **config.get("text_config", {})}
        raw = {}
        for path in sorted(glob.glob(os.path.join(folder, "model*.safetensors"))):
            raw.update(oracle.read_safetensors(path))
        raw = {re.sub(r"^(language_model\.|model\.language_model\.(?=lm_head))", "", k).replace("model.language_model.", "model."): t
               for k, t in raw.items() if not re.search(r"(^|\.)(mtp|visual|vision_tower)\.", k)}
        self.w = {}
        for name, t in raw.items():
            path, _, leaf = name.rpartition(".")
            if leaf == "weight" and path + ".scales" in raw:
                scales = raw[path + ".scales"]
                if path + ".biases" in raw:
                    self.w[path] = widen(t, scales, raw[path + ".biases"], self.columns(path))
                else:
                    self.w[path] = widen_fp4(t, scales)
            elif leaf not in ("scales", "biases"):
                self.w[path if leaf == "weight" else name] = oracle.f64(t)
        if any(k.endswith("conv1d") and t.shape[1] == 1 for k, t in self.w.items()):
            self.from_hugging_face()

    def columns(self, path):
        c, leaf = self.cfg, path.rpartition(".")[2]
        if leaf == "down_proj":
            return c["moe_intermediate_size" if ".switch_mlp." in path else "shared_expert_intermediate_size" if ".shared_expert." in path
                     else "intermediate_size"]
        return {"o_proj": c["num_attention_heads"] * c["head_dim"],
                "out_proj": c["linear_num_value_heads"] * c["linear_value_head_dim"]}.get(leaf, c["hidden_size"])

    def from_hugging_face(self):
        """There a norm multiplies by 1 + weight but for the delta nets' own, taps are [channels, 1, width], gate and up are one."""
        w = self.w
        for name in list(w):
            if re.search(r"(layernorm|[qk]_norm|model\.norm)$", name):
                w[name] = 1 + w[name]
            elif name.endswith("conv1d"):
                w[name] = np.swapaxes(w[name], 1, 2)
            elif name.endswith("experts.gate_up_proj"):
                at, both = name.removesuffix("experts.gate_up_proj") + "switch_mlp.", w.pop(name)
                w[at + "gate_proj"], w[at + "up_proj"] = np.split(both, 2, 1)
            elif name.endswith("experts.down_proj"):
                w[name.replace("experts.", "switch_mlp.")] = w.pop(name)

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

    def mixture(self, x, at):
        c = self.cfg
        z = x @ self.w[at + "gate"].T
        p = np.exp(z - z.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        out = sigmoid(x @ self.w[at + "shared_expert_gate"].T) * self.mlp(x, at + "shared_expert.")
        for t in range(len(x)):
            best = np.argsort(-p[t], kind="stable")[:c["num_experts_per_tok"]]
            for e in best:
                gate, up, down = (self.w[at + f"switch_mlp.{name}_proj"][e] for name in ("gate", "up", "down"))
                g = gate @ x[t]
                out[t] += p[t, e] / p[t, best].sum() * (down @ (g * sigmoid(g) * (up @ x[t])))
        return out

    def logits(self, ids):
        """ids [T] -> float64 [T, vocab]."""
        x = self.w["model.embed_tokens"][np.asarray(ids)]
        for i in range(self.cfg["num_hidden_layers"]):
            at = f"model.layers.{i}."
            h = self.norm(x, at + "input_layernorm")
            full = (i + 1) % self.cfg["full_attention_interval"] == 0
            x = x + (self.attention(h, at + "self_attn.") if full else self.delta_net(h, at + "linear_attn."))
            feed = self.mixture if self.cfg.get("num_experts") else self.mlp
            x = x + feed(self.norm(x, at + "post_attention_layernorm"), at + "mlp.")
        x = self.norm(x, "model.norm")
        return x @ self.w["model.embed_tokens" if self.cfg["tie_word_embeddings"] else "lm_head"].T
