#!/usr/bin/env python3
"""Writes affine.safetensors: what mx.quantize makes of a few matrices with groups
of 32, for every bit width: "<case>" and "<case>.<bits>.{weight,scales,biases}".

Needs mlx==0.32.2, mlx-cpu==0.32.2 and numpy==2.4.6. Run it in this directory.
"""
import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)
rng = np.random.default_rng(20240602)
edges = rng.standard_normal((8, 64)).astype(np.float32)
edges[0] = 0                      # a group without a range
edges[1] = 0.5                    # constant, not zero
edges[2] = np.abs(edges[2]) + 3   # all positive, zero far outside
edges[3] = -np.abs(edges[3]) - 3
edges[4] *= 1e-9                  # a range below the smallest scale
edges[5] *= 1e6
edges[6, ::2] = -edges[6, 1::2]   # ends of equal magnitude
edges[7] = np.arange(64) - 31.5
# Values half way between two quants, for each width in turn: 0…levels at a scale of 1.
halves = [np.r_[0, levels, np.minimum(np.arange(30) + 0.5, levels - 0.5)] for levels in (3, 7, 15, 31, 63, 255)]
edges = np.concatenate([edges, np.array(halves, dtype=np.float32).reshape(3, 64)])
out = {}
for case, w in {"normal": (rng.standard_normal((4, 96)) * 0.05).astype(np.float32), "edges": edges}.items():
    out[case] = mx.array(w)
    for bits in (2, 3, 4, 5, 6, 8):
        for part, value in zip(("weight", "scales", "biases"), mx.quantize(mx.array(w), group_size=32, bits=bits)):
            out[f"{case}.{bits}.{part}"] = value
mx.save_safetensors("affine.safetensors", out)
