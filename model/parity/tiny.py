"""What the scripts that make tiny random checkpoints share: dtype and quantization of the file, the folder, the expectations."""
import json
import os
import shutil

import mlx.core as mx
import numpy as np

import mlxlm
import oracle


def stored(weights, dtype, quant):
    """The tensors as they stand in the file: cast, the quantized ones as weight, scales and, in affine mode, biases."""
    out = {}
    for name, w in weights.items():
        path = name.removesuffix(".weight")
        how = quant.get(path, True) if quant else False
        if how is False or not (w.ndim == 2 or ".switch_" in path):  # matrices, and stacks of them
            out[name] = oracle.cast(w, dtype)
            continue
        how = quant if how is True else how
        src = mx.array(w).astype(getattr(mx, dtype))
        packed, *rest = mx.quantize(src, how["group_size"], how["bits"], how.get("mode", "affine"))
        to = lambda a: np.array(a) if a.dtype == mx.uint8 else oracle.cast(np.array(a.astype(mx.float32)), dtype)
        out[name] = np.array(packed)
        out.update({f"{path}.{leaf}": to(a) for leaf, a in zip(("scales", "biases"), rest)})
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


def prompts(c, seed, lengths):
    rng = np.random.default_rng([seed, 99])
    return [[c["bos_token_id"]] + [int(x) for x in rng.integers(3, c["vocab_size"], n - 1)] for n in lengths]


def make(folder, purpose, seeds, steps, ids_of, write, second):
    """A checkpoint by write(seed) and what mlx-lm makes of ids_of(seed), with the first of `seeds` whose greedy choices are all clear
    and do not fall into a short circle. second(folder) is the independent opinion."""
    name = os.path.basename(folder)
    for seed in range(seeds):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        write(seed)
        model = mlxlm.load(folder)
        if all(len(set(out)) >= 8 and min(gaps) > 2e-3 for out, gaps in (mlxlm.greedy(model, ids, steps) for ids in ids_of(seed))):
            break
    else:
        raise SystemExit(f"{name}: no seed is clear and varied")
    tensors, facts = expectations(folder, ids_of(seed), second(folder), steps)
    oracle.write_safetensors(os.path.join(folder, "expected.safetensors"), tensors)
    oracle.write_json(os.path.join(folder, "expected.json"), {
        "purpose": purpose, "reference": "mlx-lm 0.32.2, mlx 0.32.2, CPU, weights and activations float32, whole prompt in one pass",
        "seed": seed, "prompts": facts})
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder) if f.startswith("model"))
    worst = {k: max(f["disagreement"][k] for f in facts) for k in facts[0]["disagreement"]}
    print(f"{name}: {size // 1024} KB, seed {seed}, min gap {min(f['min_gap'] for f in facts):.4f}, disagreement {json.dumps(worst)}")
