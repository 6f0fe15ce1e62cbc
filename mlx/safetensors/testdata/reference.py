#!/usr/bin/env python3
"""Writes reference.safetensors with the format's own library.

Needs safetensors==0.8.0 and numpy==2.4.6. Run it in this directory.
"""
import numpy as np
from safetensors.numpy import save_file

save_file({
    "b.half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "a.bytes": np.arange(5, dtype=np.uint8),
    "c.words": np.arange(4, dtype=np.uint32).reshape(4, 1),
    "scalar": np.array(2.5, dtype=np.float64),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "größe": np.arange(3, dtype=np.int64),
}, "reference.safetensors", metadata={"format": "pt", "note": "a \"quoted\" word"})
