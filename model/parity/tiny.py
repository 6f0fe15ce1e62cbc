"""What the scripts that make tiny random checkpoints share: dtype and quantization of the file, the folder, the expectations."""
import os

import mlx.core as mx
import numpy as np

import mlxlm
import oracle


def stored(weights, dtype, quant):
    """The tensors as they stand in the file: cast, the quantized ones as weight, scales, biases."""
    out = {}
    for name, w in weights.items():
        path = name.removesuffix(".weight")
        how = quant.get(path, True) if quant else False
        if how is False or w.ndim != 2:
            out[name] = oracle.cast(w, dtype)
            continue
        how = quant if how is True else how
        src = mx.array(w).astype(getattr(mx, dtype))
        packed, scales, biases = mx.quantize(src, how["group_size"], how["bits"])
        to = lambda a: oracle.cast(np.array(a.astype(mx.float32)), dtype)
        out.update({name: np.array(packed), path + ".scales": to(scales), path + ".biases": to(biases)})
    return out


def write_checkpoint(folder, c, tensors, shards):
    config = {k: v for k, v in c.items() if v is not None or k == "rope_scaling"}
    oracle.write_json(os.path.join(folder, "config.json"), config)
    meta = {"format": "mlx" if "quantization" in c else "pt"}
    if shards == 1:
        oracle.write_safetensors(os.path.join(folder, "model.safetensors"), tensors, meta)
        return
    names, where = sorted(tensors), {}
    for i in range(shards):
        part = names[i * len(names) // shards:(i + 1) * len(names) // shards]
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        oracle.write_safetensors(os.path.join(folder, file), {n: tensors[n] for n in part}, meta)
        where.update({n: file for n in part})
    size = sum((t.bits if isinstance(t, oracle.BF16) else t).nbytes for t in tensors.values())
    oracle.write_json(os.path.join(folder, "model.safetensors.index.json"), {"metadata": {"total_size": size}, "weight_map": where})


def expectations(folder, prompts, second, steps):
    """-> (tensors, facts): mlx-lm on every prompt, and how far its other ways and the second opinion lie from it."""
    model, wide = mlxlm.load(folder), mlxlm.load(folder, widen=True)
    tensors, facts = {}, []
    for i, ids in enumerate(prompts):
        whole = mlxlm.logits(model, ids)
        out, gaps = mlxlm.greedy(model, ids, steps)
        full = second.logits(ids + out)
        fact = {"ids": ids, "greedy": out, "min_gap": min(gaps), "largest_logit": float(np.abs(whole).max()), "disagreement": {
            "mlx_lm_chunks_of_1": far(whole, mlxlm.logits(model, ids, 1)), "mlx_lm_dequantized": far(whole, mlxlm.logits(wide, ids)),
            "numpy_float64": far(whole, full[:len(ids)])}}
        assert list(np.argmax(full[len(ids) - 1:-1], -1)) == out, f"{folder}, prompt {i}: numpy takes another path"
        tensors.update({f"ids/{i}": np.array(ids, np.int32), f"logits/{i}": whole, f"greedy/{i}": np.array(out, np.int32),
                        f"gaps/{i}": np.array(gaps, np.float32)})
        facts.append(fact)
    return tensors, facts


def far(a, b):
    """The largest difference, two digits: what is compared later must not hang on the last bits."""
    return float(f"{np.abs(np.asarray(a, np.float64) - b).max():.1e}")
