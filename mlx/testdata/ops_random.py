"""Cases for random ops with a fixed key. The generator is MLX's own (Threefry), so these are python mlx's on the CPU. See make_ops.py."""
import mlx.core as mx
import numpy as np


def add(book, View):
    for seed in (0, 7, 2**32 + 5):
        book.case("random_key", f"seed_{seed}", [], {"seed": seed}, [np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)], lambda: mx.random.key(seed))
    key = np.array([0, 42], np.uint32)
    for n in (2, 5):
        book.case("random_split", f"into_{n}", [key], {"num": n}, None, lambda k: mx.random.split(k, n))
    lo, hi = np.array(-1, np.float32), np.array(3, np.float32)
    book.case("random_uniform", "f32", [lo, hi, key], {"shape": [3, 7], "dtype": "float32"}, None, lambda l, h, k: mx.random.uniform(l, h, [3, 7], mx.float32, k), 1e-6)
    book.case("random_uniform", "odd", [lo, hi, key], {"shape": [5], "dtype": "float32"}, None, lambda l, h, k: mx.random.uniform(l, h, [5], mx.float32, k), 1e-6)
    book.case("random_normal", "f32", [key], {"shape": [4, 5], "dtype": "float32", "loc": 0.5, "scale": 2.0}, None,
              lambda k: mx.random.normal([4, 5], mx.float32, 0.5, 2.0, k), 1e-5)
    book.case("random_gumbel", "f32", [key], {"shape": [3, 9], "dtype": "float32"}, None, lambda k: mx.random.gumbel([3, 9], mx.float32, k), 1e-5)
    rng = np.random.default_rng(5)
    logits = rng.standard_normal((4, 31)).astype(np.float32)
    for seed in range(4):
        k = np.array([0, seed], np.uint32)
        book.case("random_categorical", f"key_{seed}", [logits, k], {"axis": -1, "num_samples": None}, None, lambda a, k: mx.random.categorical(a, -1, key=k))
    book.case("random_categorical", "samples", [logits, key], {"axis": -1, "num_samples": 6}, None, lambda a, k: mx.random.categorical(a, -1, num_samples=6, key=k))
    only = np.full((2, 12), -np.inf, np.float32)
    only[0, 3] = only[1, 11] = -4.5  # one choice left: it is taken whatever the key
    book.case("random_categorical", "one_choice", [only, key], {"axis": -1, "num_samples": None}, [np.array([3, 11], np.uint32)], lambda a, k: mx.random.categorical(a, -1, key=k))
