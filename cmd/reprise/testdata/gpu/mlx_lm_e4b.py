"""mlx-lm on a GPU beside reprise: prefill and decode of a config's shapes with made-up weights, quantized as the config says.

    python3 mlx_lm_e4b.py CONFIG [--prompt 2048] [--gen 64] [--rounds 3]        one JSON line

Prefill is the prompt in one call, the cache evaluated, the last row's logits taken; decode is mlx-lm's own loop: each step
is sent out before the one before it is read. Greedy.
"""
import argparse
import importlib
import json
import time

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models import cache as caches

p = argparse.ArgumentParser()
p.add_argument("config")
p.add_argument("--prompt", type=int, default=2048)
p.add_argument("--gen", type=int, default=64)
p.add_argument("--rounds", type=int, default=3)
a = p.parse_args()
mx.set_default_device(mx.gpu)
config = json.load(open(a.config))
quant = config.get("quantization", {"group_size": 64, "bits": 4})
arch = importlib.import_module("mlx_lm.models." + config["model_type"])
mx.random.seed(0)
model = arch.Model(arch.ModelArgs.from_dict(config))
model.set_dtype(mx.bfloat16)


def how(path, module):
    own = quant.get(path, quant.get("language_model." + path))
    return (own if own is not None else True) if hasattr(module, "to_quantized") else False


nn.quantize(model, quant["group_size"], quant["bits"], class_predicate=how)
mx.eval(model.parameters())
weights = mx.get_active_memory()
vocab = (config.get("text_config") or config)["vocab_size"]


def once():
    cache = caches.make_prompt_cache(model)
    ids = mx.random.randint(10, vocab - 10, (1, a.prompt))
    mx.eval(ids)
    start = time.perf_counter()
    if a.prompt > 1:
        model(ids[:, :-1], cache=cache)
        mx.eval([c.state for c in cache])
    y = mx.argmax(model(ids[:, -1:], cache=cache)[:, -1], -1)[None]
    mx.eval(y)
    prefill = a.prompt / (time.perf_counter() - start)
    start = time.perf_counter()
    build = 0
    for _ in range(a.gen):
        t = time.perf_counter()
        following = mx.argmax(model(y, cache=cache)[:, -1], -1)[None]
        build += time.perf_counter() - t
        mx.async_eval(following)
        y.item()
        y = following
    y.item()
    return prefill, a.gen / (time.perf_counter() - start), build / a.gen * 1e3


once()
mx.reset_peak_memory()
rounds = [once() for _ in range(a.rounds)]
median = lambda i: sorted(r[i] for r in rounds)[len(rounds) // 2]
print(json.dumps({"engine": "mlx-lm", "prompt": a.prompt, "gen": a.gen, "prefill": round(median(0), 1), "decode": round(median(1), 1),
                  "host_ms_per_token": round(median(2), 2), "decode_rounds": [round(r[1], 1) for r in rounds],
                  "prefill_rounds": [round(r[0]) for r in rounds], "weight_bytes": weights, "peak_bytes": mx.get_peak_memory()}))
