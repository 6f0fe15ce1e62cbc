"""Cases for affine quantization: packing, dequantize, quantized_matmul, gather_qmm. See make_ops.py."""
import mlx.core as mx
import numpy as np
from oracle import BF16, cast, f64
from ops_basic import normal, rng_for

BITS, GROUPS = (2, 3, 4, 5, 6, 8), (32, 64, 128)


def pack(q, bits):
    """[..., K] small ints -> [..., K * bits / 32] uint32: one stream of bits, least significant first."""
    stream = (q[..., None].astype(np.uint32) >> np.arange(bits, dtype=np.uint32)) & 1
    return np.packbits(stream.reshape(*q.shape[:-1], -1).astype(np.uint8), -1, bitorder="little").view("<u4")


def unpack(packed, bits):
    stream = np.unpackbits(np.ascontiguousarray(packed).view(np.uint8), -1, bitorder="little")
    stream = stream.reshape(*packed.shape[:-1], -1, bits).astype(np.int64)
    return (stream << np.arange(bits)).sum(-1)


def quantized(w, bits, group):
    """MLX's affine rule in float32: the edge with the larger magnitude is hit exactly, and so is 0. -> packed, scales, biases"""
    g = w.reshape(*w.shape[:-1], -1, group)
    hi, lo, top = g.max(-1), g.min(-1), np.float32(2**bits - 1)
    down = np.abs(lo) > np.abs(hi)
    scale = np.maximum((hi - lo) / top, np.float32(1e-7))
    scale = np.where(down, scale, -scale)
    edge = np.where(down, lo, hi)
    q0 = np.rint(edge / scale)
    scale = np.where(q0 != 0, edge / np.where(q0 != 0, q0, 1), scale).astype(np.float32)
    bias = np.where(q0 == 0, np.float32(0), edge).astype(np.float32)
    q = np.clip(np.rint((g - bias[..., None]) / scale[..., None]), 0, top).astype(np.uint32)
    return pack(q.reshape(w.shape), bits), scale, bias


def widened(packed, scales, biases, bits, group):
    """float64 [..., K]: scale * q + bias."""
    q = unpack(packed, bits)
    g = q.reshape(*q.shape[:-1], -1, group)
    return (g * f64(scales)[..., None] + f64(biases)[..., None]).reshape(q.shape)


def add(book, View):
    rng = rng_for("quantize")
    for bits in BITS:
        for group in GROUPS:
            tag, attrs = f"b{bits}_g{group}", {"group_size": group, "bits": bits, "mode": "affine"}
            w = normal(rng, 6, 256 if group == 128 else 192, scale=0.1)
            packed, scales, biases = quantized(w, bits, group)
            book.case("quantize", tag, [w], attrs, [packed, scales, biases], lambda a: mx.quantize(a, group, bits), 1e-7)
            full = widened(packed, scales, biases, bits, group)
            book.case("dequantize", tag, [packed, scales, biases], {**attrs, "dtype": "float32"}, [full.astype(np.float32)],
                      lambda p, s, b: mx.dequantize(p, s, b, group, bits), 1e-6)
            for m in (1, 5):
                x = normal(rng, m, w.shape[1])
                book.case("quantized_matmul", f"{tag}_m{m}", [x, packed, scales, biases], {**attrs, "transpose": True},
                          [(f64(x) @ full.T).astype(np.float32)],
                          lambda x, p, s, b: mx.quantized_matmul(x, p, s, b, True, group, bits), 1e-5)
    edges(book, rng)
    gathered(book, rng_for("gather_qmm"))


def edges(book, rng):
    """A constant group, one of zeros, one-sided ones; 16-bit scales; batched inputs; not transposed."""
    w = np.stack([np.zeros(32), np.full(32, 0.5), np.linspace(0, 1, 32), np.linspace(-1, -0.1, 32)]).astype(np.float32)
    attrs = {"group_size": 32, "bits": 4, "mode": "affine"}
    book.case("quantize", "flat_groups", [w], attrs, list(quantized(w, 4, 32)), lambda a: mx.quantize(a, 32, 4), 1e-7)
    w = normal(rng, 16, 64, scale=0.1)
    packed, scales, biases = quantized(w, 4, 32)
    full = widened(packed, scales, biases, 4, 32)
    x = normal(rng, 2, 3, 64)
    book.case("quantized_matmul", "batched_input", [x, packed, scales, biases], {**attrs, "transpose": True},
              [(f64(x) @ full.T).astype(np.float32)], lambda x, p, s, b: mx.quantized_matmul(x, p, s, b, True, 32, 4), 1e-5)
    x = normal(rng, 3, 16)
    book.case("quantized_matmul", "not_transposed", [x, packed, scales, biases], {**attrs, "transpose": False},
              [(f64(x) @ full).astype(np.float32)], lambda x, p, s, b: mx.quantized_matmul(x, p, s, b, False, 32, 4), 1e-5)
    s16, b16 = BF16(scales), BF16(biases)
    full = widened(packed, s16, b16, 4, 32)
    x = BF16(normal(rng, 2, 64))
    book.case("dequantize", "bf16_scales", [packed, s16, b16], {**attrs, "dtype": "bfloat16"}, [BF16(full)],
              lambda p, s, b: mx.dequantize(p, s, b, 32, 4), 8e-3)
    book.case("quantized_matmul", "bf16", [x, packed, s16, b16], {**attrs, "transpose": True}, [BF16(f64(x) @ full.T)],
              lambda x, p, s, b: mx.quantized_matmul(x, p, s, b, True, 32, 4), 6e-2)  # MLX sums in bfloat16 on the CPU


def gathered(book, rng):
    for bits, group in ((4, 32), (4, 64), (8, 64), (5, 32)):
        attrs = {"group_size": group, "bits": bits, "mode": "affine", "transpose": True}
        w = normal(rng, 5, 6, 64, scale=0.1)  # [experts, out, in]
        packed, scales, biases = quantized(w, bits, group)
        full = widened(packed, scales, biases, bits, group)
        x, rhs = normal(rng, 3, 1, 1, 64), np.array([[1, 3], [0, 2], [2, 2]], np.uint32)
        want = np.matmul(f64(x)[:, 0][:, None], np.swapaxes(full[rhs], -1, -2))
        book.case("gather_qmm", f"experts_b{bits}_g{group}", [x, packed, scales, biases, rhs], {**attrs, "lhs": False, "rhs": True, "sorted": False},
                  [want.astype(np.float32)], lambda x, p, s, b, j: mx.gather_qmm(x, p, s, b, rhs_indices=j, transpose=True, group_size=group, bits=bits), 1e-5)
        x, lhs, rhs = normal(rng, 4, 2, 64), np.array([3, 0, 0], np.uint32), np.array([0, 1, 4], np.uint32)
        want = np.matmul(f64(x)[lhs], np.swapaxes(full[rhs], -1, -2))
        book.case("gather_qmm", f"both_sorted_b{bits}_g{group}", [x, packed, scales, biases, lhs, rhs], {**attrs, "lhs": True, "rhs": True, "sorted": True},
                  [want.astype(np.float32)],
                  lambda x, p, s, b, i, j: mx.gather_qmm(x, p, s, b, i, j, True, group, bits, sorted_indices=True), 1e-5)
    assert cast(np.zeros(1), "float32").dtype == np.float32
