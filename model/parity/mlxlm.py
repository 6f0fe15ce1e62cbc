"""mlx-lm as the reference runner: float32 on the CPU, whole or in chunks, greedy with the gap to the second choice."""
import json
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_map
from mlx_lm.utils import dequantize_model, load_model

_gather_qmm = mx.gather_qmm


def gather_qmm(*args, global_scale=None, **kwargs):
    """mlx-lm 0.32.2 passes global_scale, which MLX 0.32.2 does not know."""
    assert global_scale is None
    return _gather_qmm(*args, **kwargs)


mx.gather_qmm = gather_qmm


def completed(folder):
    """What config.json says in a way that mlx-lm does not read: transformers writes the sizes of Gemma 4's full layers one by one."""
    with open(Path(folder) / "config.json", encoding="utf-8") as f:
        text = json.load(f).get("text_config", {})
    for own in text.get("per_layer_config", {}).values():
        return {"text_config": {**text, "global_head_dim": own["head_dim"], "num_global_key_value_heads": own.get("num_key_value_heads")}}
    return {}


def load(folder, widen=False):
    """The model with every floating tensor in float32. widen: quantized modules dequantized, too (after their scales are float32)."""
    mx.set_default_device(mx.cpu)
    mx.disable_compile()  # op by op: no compiler at run time, nothing fused
    model, _ = load_model(Path(folder), lazy=True, model_config=completed(folder))
    model.update(tree_map(lambda a: a.astype(mx.float32) if mx.issubdtype(a.dtype, mx.floating) else a, model.parameters()))
    if widen:
        dequantize_model(model)
    mx.eval(model.parameters())
    return model


def logits(model, ids, chunk=0):
    """ids [T] -> float32 [T, vocab]. chunk 0: one pass without a cache; else passes of chunk ids over mlx-lm's own caches."""
    if not chunk:
        return np.array(model(mx.array([ids]))[0])
    cache, rows = model.make_cache(), []
    for at in range(0, len(ids), chunk):
        rows.append(np.array(model(mx.array([ids[at:at + chunk]]), cache=cache)[0]))
    return np.concatenate(rows)


def greedy(model, ids, n):
    """n ids after the prompt, and the logit of the first choice less that of the second at each step."""
    cache, out, gaps = model.make_cache(), [], []
    row = np.array(model(mx.array([ids]), cache=cache)[0, -1])
    for _ in range(n):
        first, second = np.argsort(-row, kind="stable")[:2]
        out.append(int(first))
        gaps.append(float(row[first] - row[second]))
        row = np.array(model(mx.array([[int(first)]]), cache=cache)[0, -1])
    return out, gaps
