#!/usr/bin/env python3
"""Writes vectors.gguf: for every type that package gguf widens, a tensor of
random blocks and, under "<type>.expected", what gguf-py makes of it in float32.

Needs gguf==0.19.0 and numpy==2.4.6. Run it in this directory.
"""
import numpy as np
import gguf
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

TYPES = [T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q4_K, T.Q5_K, T.Q6_K]
# Where each type keeps its half-precision scales, by byte offset in a block.
HALVES = {T.F16: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}
ROWS, COLUMNS = 3, 512

rng = np.random.default_rng(20240601)
# Zeros, subnormals, the largest and negative scales stand among ordinary ones.
SPECIAL = np.array([0.0, -0.0, 6e-8, -5e-5, 6.1e-5, 65504.0, -0.25, 1.0], dtype=np.float16)

w = gguf.GGUFWriter("vectors.gguf", "test")
w.add_uint32("test.count", len(TYPES))
w.add_string("test.text", "größer ▁ 漢字")
w.add_array("test.strings", ["a", "", "ß"])
w.add_array("test.floats", [0.5, -1.25])
for t in TYPES:
    elements, size = gguf.GGML_QUANT_SIZES[t]
    blocks = ROWS * COLUMNS // elements
    raw = rng.integers(0, 256, size=(blocks, size), dtype=np.uint8)
    for at in HALVES.get(t, []):
        scales = (rng.standard_normal(blocks) * 0.02).astype(np.float16)
        n = min(len(SPECIAL), blocks)
        scales[:n] = SPECIAL[:n] if at == 0 else SPECIAL[:n][::-1]
        raw[:, at:at + 2] = scales.reshape(-1, 1).view(np.uint8)
    if t == T.BF16:  # random bytes without NaNs and infinities
        raw[:, 1] &= 0xBF
    raw = raw.reshape(ROWS, -1)
    w.add_tensor(t.name, raw, raw_dtype=t)
    wide = dequantize(raw, t).astype(np.float32).reshape(ROWS, COLUMNS)
    assert np.isfinite(wide).all(), t
    w.add_tensor(t.name + ".expected", wide)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
