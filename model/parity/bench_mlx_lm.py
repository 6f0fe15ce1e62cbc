"""mlx-lm's speed on a checkpoint, in float32 on the CPU with its own defaults: one JSON line with tok/s of prefill and decode.

usage: bench_mlx_lm.py CHECKPOINT --prompt 512 --gen 64 [--packed]
Widened unless --packed: MLX's quantized product is scalar on the CPU.
"""
import argparse
import json
import time
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.generate import generate_step
from mlx_lm.utils import dequantize_model, load_model


def widen(model, packed=False):
    """Every floating tensor in float32, and (unless packed) quantized ones dequantized; evaluated."""
    model.update(tree_map(lambda x: x.astype(mx.float32) if mx.issubdtype(x.dtype, mx.floating) else x, model.parameters()))
    if not packed:
        dequantize_model(model)
    mx.eval(model.parameters())


def run(model, n, gen):
    """Seconds to the first token, and tokens a second behind it."""
    ids = mx.array([2] + [1000 + (i * 7919) % 50000 for i in range(n - 1)])
    start = time.perf_counter()
    times = []
    for _ in generate_step(ids, model, max_tokens=gen):
        times.append(time.perf_counter())
    return times[0] - start, (len(times) - 1) / (times[-1] - times[0])


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("checkpoint")
    ap.add_argument("--prompt", type=int, default=512)
    ap.add_argument("--gen", type=int, default=64)
    ap.add_argument("--packed", action="store_true")
    a = ap.parse_args()
    mx.set_default_device(mx.cpu)
    start = time.perf_counter()
    model, _ = load_model(Path(a.checkpoint), lazy=True)
    widen(model, a.packed)
    load = time.perf_counter() - start
    run(model, 32, 4)  # kernels compiled, buffers made
    first, decode = run(model, a.prompt, a.gen)
    print(json.dumps({"engine": "mlx-lm", "prompt": a.prompt, "gen": a.gen, "prefill_tps": a.prompt / first, "decode_tps": decode,
                      "load_s": load, "peak_bytes": mx.get_peak_memory()}))


if __name__ == "__main__":
    main()
