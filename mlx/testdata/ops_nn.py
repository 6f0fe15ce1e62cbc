"""Cases for softmax, norms, RoPE, attention, convolution and gathered products. See make_ops.py."""
import mlx.core as mx
import numpy as np
from oracle import BF16, cast, dtype_name, f64
from ops_basic import normal, rng_for


def add(book, View):
    softmax(book, View)
    norms(book, View)
    rope(book, View)
    attention(book, View)
    others(book, View)


def soft(x, axis=-1):
    e = np.exp(x - np.max(x, axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def softmax(book, View):
    rng = rng_for("softmax")
    for name, x, axis, precise, tol in (
            ("last", normal(rng, 4, 9, scale=3), [-1], False, 1e-6), ("first", normal(rng, 5, 4), [0], False, 1e-6),
            ("large", normal(rng, 2, 7, scale=300), [-1], False, 1e-6), ("masked", np.where(np.tri(5, 5) > 0, normal(rng, 5, 5), -np.inf).astype(np.float32), [-1], False, 1e-6),
            ("transposed", View(normal(rng, 6, 5), transpose=[1, 0]), [1], False, 1e-6), ("middle", normal(rng, 2, 6, 3), [1], False, 1e-6),
            ("bf16", BF16(normal(rng, 3, 11, scale=2)), [-1], False, 1.6e-2), ("bf16_precise", BF16(normal(rng, 3, 200, scale=2)), [-1], True, 8e-3),
            ("f16_precise", normal(rng, 3, 50, dtype="float16"), [-1], True, 1e-3)):
        v = x.value() if isinstance(x, View) else x
        book.case("softmax", name, [x], {"axes": axis, "precise": precise}, [cast(soft(f64(v), axis[0]), dtype_name(v))],
                  lambda a: mx.softmax(a, axis=axis, precise=precise), tol)
    x = normal(rng, 3, 4)
    w = soft(f64(x).reshape(-1)).reshape(3, 4)
    book.case("softmax", "two_axes", [x], {"axes": [0, 1], "precise": False}, [w.astype(np.float32)], lambda a: mx.softmax(a, axis=[0, 1]), 1e-6)


def norms(book, View):
    rng = rng_for("rms_norm")
    for name, x, w, eps, tol in (
            ("weight", normal(rng, 3, 5, 16), normal(rng, 16), 1e-6, 2e-6), ("no_weight", normal(rng, 4, 33), None, 1e-5, 2e-6),
            ("odd_width", normal(rng, 2, 7), normal(rng, 7), 1e-6, 2e-6), ("tiny_input", normal(rng, 2, 8, scale=1e-4), normal(rng, 8), 1e-6, 2e-6),
            ("heads_transposed", View(normal(rng, 2, 5, 3, 8), transpose=[0, 2, 1, 3]), normal(rng, 8), 1e-6, 2e-6), ("wide", normal(rng, 2, 640, scale=5), normal(rng, 640), 1e-6, 3e-6),
            ("bf16", BF16(normal(rng, 3, 32)), BF16(normal(rng, 32)), 1e-6, 1.6e-2)):
        v = x.value() if isinstance(x, View) else x
        y = f64(v) / np.sqrt(np.mean(np.square(f64(v)), -1, keepdims=True) + eps)
        y = y if w is None else y * f64(w)
        book.case("rms_norm", name, [x] if w is None else [x, w], {"weight": w is not None, "eps": eps}, [cast(y, dtype_name(v))],
                  lambda a, b=None: mx.fast.rms_norm(a, b, eps), tol)
    rng = rng_for("layer_norm")
    for name, w, b in (("weight_bias", True, True), ("weight", True, False), ("plain", False, False)):
        x, wt, bs = normal(rng, 3, 4, 15, scale=2), normal(rng, 15), normal(rng, 15)
        v = f64(x) - f64(x).mean(-1, keepdims=True)
        y = v / np.sqrt(np.square(v).mean(-1, keepdims=True) + 1e-5)
        y = y * f64(wt) if w else y
        y = y + f64(bs) if b else y
        book.case("layer_norm", name, [x] + [wt] * w + [bs] * b, {"weight": w, "bias": b, "eps": 1e-5}, [y.astype(np.float32)],
                  lambda a, c=None, d=None: mx.fast.layer_norm(a, c, d, 1e-5), 3e-6)


def rotated(x, dims, traditional, base, scale, offset, freqs):
    """x: [B, H, T, D]. offset: an int or one per row of the batch. freqs: the reciprocal of the angular frequencies."""
    inv = base ** (-np.arange(0, dims, 2) / dims) if freqs is None else 1 / f64(freqs)
    at = np.broadcast_to(np.asarray(offset, np.float64).reshape(-1, 1), (x.shape[0], 1)) + np.arange(x.shape[-2])
    angle = (at * scale)[:, None, :, None] * inv
    c, s = np.cos(angle), np.sin(angle)
    a, b = (x[..., 0:dims:2], x[..., 1:dims:2]) if traditional else (x[..., :dims // 2], x[..., dims // 2:dims])
    y = x.copy()
    p, q = a * c - b * s, a * s + b * c
    if traditional:
        y[..., 0:dims:2], y[..., 1:dims:2] = p, q
    else:
        y[..., :dims // 2], y[..., dims // 2:dims] = p, q
    return y


def rope(book, View):
    rng = rng_for("rope")
    # Angles are computed in float32 by MLX: the error grows with the position, so tol does too.
    for name, shape, dims, trad, base, scale, offset, tol in (
            ("neox", (1, 2, 5, 8), 8, False, 10000.0, 1.0, 0, 3e-6), ("traditional", (1, 2, 5, 8), 8, True, 10000.0, 1.0, 0, 3e-6),
            ("partial", (2, 3, 4, 16), 8, False, 10000.0, 1.0, 3, 5e-6), ("partial_traditional", (2, 3, 4, 16), 4, True, 10000.0, 1.0, 3, 5e-6),
            ("offset", (1, 4, 3, 64), 64, False, 1e6, 1.0, 517, 2e-4), ("scaled", (1, 1, 6, 32), 32, False, 1e6, 0.125, 40, 2e-5),
            ("far", (1, 1, 2, 16), 16, False, 10000.0, 1.0, 30000, 8e-3), ("one_step", (3, 2, 1, 8), 8, False, 10000.0, 1.0, 99, 5e-5)):
        x = normal(rng, *shape)
        attrs = {"dims": dims, "traditional": trad, "base": base, "scale": scale, "offset": offset, "freqs": False, "offset_array": False}
        book.case("rope", name, [x], attrs, [rotated(f64(x), dims, trad, base, scale, offset, None).astype(np.float32)],
                  lambda a: mx.fast.rope(a, dims, traditional=trad, base=base, scale=scale, offset=offset), tol)
        o = np.array(offset, np.int32)
        attrs = {**attrs, "offset": None, "offset_array": True}
        book.case("rope", name + "_offset_on_device", [x, o], attrs, [rotated(f64(x), dims, trad, base, scale, offset, None).astype(np.float32)],
                  lambda a, o: mx.fast.rope(a, dims, traditional=trad, base=base, scale=scale, offset=o), tol)
    x, o = normal(rng, 3, 2, 4, 8), np.array([0, 7, 21], np.int32)
    attrs = {"dims": 8, "traditional": False, "base": 10000.0, "scale": 1.0, "offset": None, "freqs": False, "offset_array": True}
    book.case("rope", "offset_per_row", [x, o], attrs, [rotated(f64(x), 8, False, 10000.0, 1.0, o, None).astype(np.float32)],
              lambda a, o: mx.fast.rope(a, 8, traditional=False, base=10000.0, scale=1.0, offset=o), 1e-5)
    freqs = (8.0 * 1e6 ** (np.arange(0, 16, 2) / 16)).astype(np.float32)
    x = normal(rng, 1, 2, 5, 16)
    attrs = {"dims": 16, "traditional": False, "base": None, "scale": 1.0, "offset": 11, "freqs": True, "offset_array": False}
    book.case("rope", "freqs", [x, freqs], attrs, [rotated(f64(x), 16, False, None, 1.0, 11, freqs).astype(np.float32)],
              lambda a, f: mx.fast.rope(a, 16, traditional=False, base=None, scale=1.0, offset=11, freqs=f), 5e-6)
    # Infinite freqs leave their dimensions alone: how Gemma 4 rotates only a part of a head.
    part = np.where(np.arange(8) < 2, freqs, np.inf).astype(np.float32)
    o = np.array(11, np.int32)
    book.case("rope", "freqs_inf_offset_on_device", [x, part, o], {**attrs, "offset": None, "offset_array": True},
              [rotated(f64(x), 16, False, None, 1.0, 11, part).astype(np.float32)],
              lambda a, f, o: mx.fast.rope(a, 16, traditional=False, base=None, scale=1.0, offset=o, freqs=f), 5e-6)
    v = View(normal(rng, 2, 5, 3, 8), transpose=[0, 2, 1, 3])
    attrs = {"dims": 8, "traditional": False, "base": 10000.0, "scale": 1.0, "offset": 2, "freqs": False, "offset_array": False}
    book.case("rope", "heads_transposed", [v], attrs, [rotated(f64(v.value()), 8, False, 10000.0, 1.0, 2, None).astype(np.float32)],
              lambda a: mx.fast.rope(a, 8, traditional=False, base=10000.0, scale=1.0, offset=2), 5e-6)
    b = BF16(normal(rng, 1, 2, 3, 8))
    book.case("rope", "bf16", [b], attrs, [BF16(rotated(f64(b), 8, False, 10000.0, 1.0, 2, None))],
              lambda a: mx.fast.rope(a, 8, traditional=False, base=10000.0, scale=1.0, offset=2), 1.6e-2)


def attended(q, k, v, scale, mask):
    """q: [B, H, Lq, D], k: [B, Hkv, Lk, D], v: [B, Hkv, Lk, Dv]; query head h reads KV head h // (H / Hkv)."""
    n = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, n, 1), np.repeat(v, n, 1)
    s = np.einsum("bhqd,bhkd->bhqk", q, k) * scale
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    return np.einsum("bhqk,bhkd->bhqd", soft(s), v)


def causal(lq, lk):
    """Query i stands at key position lk - lq + i."""
    return np.tri(lq, lk, lk - lq, dtype=bool)


def attention(book, View):
    rng, op = rng_for("sdpa"), "scaled_dot_product_attention"

    def put(name, b, h, hkv, lq, lk, d, mode, mask=None, tol=3e-6, scale=None, dt="float32", dv=None):
        scale = d ** -0.5 if scale is None else scale
        q, k, v = normal(rng, b, h, lq, d, dtype=dt), normal(rng, b, hkv, lk, d, dtype=dt), normal(rng, b, hkv, lk, dv or d, dtype=dt)
        m = causal(lq, lk) if mode == "causal" else (f64(mask) if mask is not None and dtype_name(mask) != "bool" else mask)
        want = attended(f64(q), f64(k), f64(v), scale, m)
        book.case(op, name, [q, k, v] + ([] if mask is None else [mask]), {"scale": scale, "mask": mode}, [cast(want, dt)],
                  lambda q, k, v, m=None: mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask="causal" if mode == "causal" else m), tol)

    put("none", 2, 3, 3, 5, 5, 8, "")
    put("causal", 1, 4, 4, 7, 7, 8, "causal")
    put("causal_after_prefix", 1, 4, 2, 3, 11, 16, "causal")
    put("gqa_one_kv", 2, 4, 1, 5, 9, 8, "")
    put("decode_step", 2, 4, 2, 1, 13, 64, "")
    put("decode_causal", 1, 4, 1, 1, 13, 256, "causal", tol=5e-6)
    put("scale_one", 1, 2, 2, 4, 6, 8, "", scale=1.0)
    put("other_value_width", 1, 2, 1, 3, 5, 8, "", dv=12)
    window = causal(9, 9) & ~np.tri(9, 9, -4, dtype=bool)  # the last 4 positions
    put("bool_window", 1, 4, 2, 9, 9, 8, "array", window)
    put("bool_per_head", 2, 3, 3, 4, 6, 8, "array", (rng.random((2, 3, 4, 6)) < 0.6) | (np.arange(6) == 0))
    put("additive", 1, 4, 4, 5, 7, 8, "array", normal(rng, 5, 7))
    add_inf = np.where(causal(5, 7), 0, -np.inf).astype(np.float32)
    put("additive_neg_inf", 2, 4, 2, 5, 7, 8, "array", add_inf[None, None])
    put("bf16_causal", 1, 4, 2, 6, 6, 32, "causal", tol=2e-2, dt="bfloat16")
    put("f16_none", 1, 2, 1, 3, 8, 64, "", tol=4e-3, dt="float16")
    put("head_dim_odd", 1, 2, 1, 4, 6, 20, "causal")
    q, k, v = (View(normal(rng, 2, n, h, 8), transpose=[0, 2, 1, 3]) for n, h in ((4, 4), (6, 2), (6, 2)))
    want = attended(f64(q.value()), f64(k.value()), f64(v.value()), 0.5, causal(4, 6))
    book.case(op, "heads_transposed", [q, k, v], {"scale": 0.5, "mask": "causal"}, [want.astype(np.float32)],
              lambda q, k, v: mx.fast.scaled_dot_product_attention(q, k, v, scale=0.5, mask="causal"), 3e-6)


def others(book, View):
    rng = rng_for("conv1d")
    for name, n, length, cin, cout, kernel, stride, padding, dilation, groups in (
            ("plain", 2, 9, 3, 4, 3, 1, 0, 1, 1), ("padded_stride", 1, 10, 2, 5, 4, 2, 3, 1, 1), ("dilated", 1, 12, 2, 3, 3, 1, 2, 2, 1),
            ("depthwise", 2, 8, 6, 6, 4, 1, 0, 1, 6), ("one_output", 1, 4, 6, 6, 4, 1, 0, 1, 6)):
        x, w = normal(rng, n, length, cin), normal(rng, cout, kernel, cin // groups)
        xp = np.pad(f64(x), [(0, 0), (padding, padding), (0, 0)])
        steps = (xp.shape[1] - dilation * (kernel - 1) - 1) // stride + 1
        y = np.zeros((n, steps, cout))
        for t in range(steps):
            win = xp[:, t * stride:t * stride + dilation * (kernel - 1) + 1:dilation]  # [N, K, Cin]
            for o in range(cout):
                g = o // (cout // groups)
                y[:, t, o] = np.einsum("nkc,kc->n", win[:, :, g * (cin // groups):(g + 1) * (cin // groups)], f64(w[o]))
        attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        book.case("conv1d", name, [x, w], attrs, [y.astype(np.float32)], lambda a, b: mx.conv1d(a, b, stride, padding, dilation, groups), 3e-6)

    rng = rng_for("gather_mm")
    a, b = normal(rng, 4, 3, 8), normal(rng, 5, 8, 6)
    lhs, rhs = np.array([0, 3, 3], np.uint32), np.array([4, 0, 2], np.uint32)
    prod = lambda i, j: np.matmul(f64(a)[i], f64(b)[j]).astype(np.float32)
    book.case("gather_mm", "both", [a, b, lhs, rhs], {"lhs": True, "rhs": True, "sorted": False}, [prod(lhs, rhs)], lambda a, b, i, j: mx.gather_mm(a, b, i, j), 3e-6)
    rhs = np.array([0, 0, 1, 4], np.uint32)
    book.case("gather_mm", "rhs_sorted", [a, b, rhs], {"lhs": False, "rhs": True, "sorted": True}, [prod(np.arange(4), rhs)],
              lambda a, b, j: mx.gather_mm(a, b, rhs_indices=j, sorted_indices=True), 3e-6)
    rhs = np.array([[1, 3], [0, 2], [2, 2]], np.uint32)  # experts chosen per token: x [T, 1, 1, D], rhs [T, k]
    x = normal(rng, 3, 1, 1, 8)
    w = np.matmul(f64(x)[:, 0][:, None], f64(b)[rhs]).astype(np.float32)
    book.case("gather_mm", "experts", [x, b, rhs], {"lhs": False, "rhs": True, "sorted": False}, [w], lambda a, b, j: mx.gather_mm(a, b, rhs_indices=j), 3e-6)
