#!/usr/bin/env python3
"""Writes what mlx-lm makes of keys and values at 8 and 4 bits: kv.safetensors and kv.json beside tiny checkpoints.

    ~/.cache/reprise-build/parity-venv/bin/python model/parity/make_kv_quant.py     (versions: requirements.txt)

The checkpoints are gemma4's tiny-q4 (shared keys and values) and kv-f32 of gemma3 and qwen35, written here: the other tiny ones
have heads too small for a group of 32. The reference is mlx-lm in float32 on the CPU with its QuantizedKVCache, group 32, in the
place of each full layer's KVCache: a prompt of 45 ids in one pass, then 8 ids one by one. Beside it: its logits with caches as they
are, and, in kv.json, how far mlx-lm in chunks of 1 lies from itself ("disagreement") and from its own unquantized logits ("error").
"""
import argparse
import os
import shutil

import numpy as np
from mlx_lm.models import base, gemma4_text
from mlx_lm.models.cache import KVCache, QuantizedKVCache

import make_gemma3_tiny as gemma3
import make_qwen35_tiny as qwen35
import mlx.core as mx
import mlxlm
import oracle
import tiny

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..")
PROMPT, STEPS, GROUP = 45, 8, 32


def attention(queries, keys, values, cache, scale, mask):
    """mlx-lm 0.32.2's gemma4 hands a shared layer the donor's packed rows without the cache that says so: the bits follow from them."""
    if cache is None and isinstance(keys, tuple):
        bits = 32 * keys[0].shape[-1] // queries.shape[-1]
        return base.quantized_scaled_dot_product_attention(queries, keys, values, scale, mask, GROUP, bits)
    return base.scaled_dot_product_attention(queries, keys, values, cache, scale, mask)


gemma4_text.scaled_dot_product_attention = attention


def cached(model, ids, widths, bits):
    """float32 [T, vocab] of ids in calls of those widths, full layers' caches quantized to so many bits; 0: not."""
    cache = [QuantizedKVCache(GROUP, bits) if bits and type(c) is KVCache else c for c in model.make_cache()]
    assert not bits or any(isinstance(c, QuantizedKVCache) for c in cache)
    rows, at = [], 0
    for n in widths:
        rows.append(np.array(model(mx.array([ids[at:at + n]]), cache=cache)[0]))
        at += n
    return np.concatenate(rows)


def expect(folder, out, vocab):
    model = mlxlm.load(folder)
    rng = np.random.default_rng(7)
    ids = [2] + [int(x) for x in rng.integers(3, vocab, PROMPT + STEPS - 1)]
    widths = [PROMPT] + [1] * STEPS
    tensors = {"ids": np.array(ids, np.int32), "logits/16": cached(model, ids, widths, 0)}
    facts = {"group": GROUP, "prompt": PROMPT, "steps": STEPS, "bits": []}
    for bits in (8, 4):
        got = cached(model, ids, widths, bits)
        tensors[f"logits/{bits}"] = got
        facts["bits"].append({"bits": bits, "error": tiny.far(got, tensors["logits/16"]), "largest_logit": float(f"{np.abs(got).max():.3g}"),
                              "apart": tiny.far(got, cached(model, ids, [1] * len(ids), bits))})
    os.makedirs(out, exist_ok=True)
    oracle.write_safetensors(os.path.join(out, "kv.safetensors"), tensors)
    oracle.write_json(os.path.join(out, "kv.json"), facts)
    print(os.path.relpath(out, MODELS), facts["bits"])


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def make(out):
    c = {**gemma3.BASE, "head_dim": 32, "query_pre_attn_scalar": 32, "num_key_value_heads": 2}
    folder = fresh(os.path.join(out, "gemma3", "testdata", "kv-f32"))
    tiny.write_checkpoint(folder, c, tiny.stored(gemma3.random_weights(c, np.random.default_rng(3)), "float32", None), 1)
    expect(folder, folder, c["vocab_size"])

    types = ["linear_attention", "full_attention"] * 2
    text = {**qwen35.TEXT, "head_dim": 32, "full_attention_interval": 2, "layer_types": types, "dtype": "float32",
            "rope_parameters": {**qwen35.TEXT["rope_parameters"], "mrope_section": [2, 1, 1]}}
    c = dict(architectures=["Qwen3_5ForConditionalGeneration"], model_type="qwen3_5", text_config=text, tie_word_embeddings=False)
    folder = fresh(os.path.join(out, "qwen35", "testdata", "kv-f32"))
    weights = qwen35.random_weights(text, np.random.default_rng(35))
    tiny.write_checkpoint(folder, c, {"language_model." + k: oracle.cast(v, "float32") for k, v in weights.items()}, 1)
    expect(folder, folder, text["vocab_size"])

    expect(os.path.join(MODELS, "gemma4", "testdata", "tiny-q4"), os.path.join(out, "gemma4", "testdata", "tiny-q4"), 96)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=MODELS, help="the folder that stands for model/ (default: the committed vectors)")
    make(p.parse_args().out)
