"""Cases for elementwise ops, comparisons, reductions, scans, sorting and matrix products. See make_ops.py."""
import math
import zlib

import mlx.core as mx
import numpy as np
from oracle import BF16, DTYPES, cast, dtype_name, f64

ERF = np.vectorize(math.erf, otypes=[np.float64])
MX = {n: getattr(mx, "bool_" if n == "bool" else n) for n in DTYPES}


def rng_for(op):
    """One generator per op, so that adding an op moves no other op's values."""
    return np.random.default_rng(zlib.crc32(op.encode()))


def normal(rng, *shape, dtype="float32", scale=1.0):
    return cast(rng.standard_normal(shape) * scale, dtype)


def add(book, View):
    unary(book, View)
    binary(book, View)
    logic(book, View)
    reductions(book, View)
    scans(book, View)
    sorting(book, View)
    products(book, View)


UNARY = {  # op -> (float64 meaning, inputs, tolerance)
    "negative": (np.negative, "any", 0), "abs": (np.abs, "any", 0), "square": (np.square, "any", 1e-6),
    "exp": (np.exp, "any", 2e-6), "log": (np.log, "positive", 1e-6), "sqrt": (np.sqrt, "positive", 1e-6),
    "rsqrt": (lambda x: 1 / np.sqrt(x), "positive", 2e-6), "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), "any", 1e-6),
    "tanh": (np.tanh, "any", 1e-6), "erf": (ERF, "any", 2e-6), "sin": (np.sin, "any", 1e-6), "cos": (np.cos, "any", 1e-6),
    "floor": (np.floor, "any", 0), "log1p": (np.log1p, "positive", 1e-6), "expm1": (np.expm1, "any", 2e-6),
    "reciprocal": (np.reciprocal, "positive", 1e-6), "sign": (np.sign, "any", 0), "round": (np.rint, "any", 0),
    "isnan": (np.isnan, "special", 0), "isinf": (np.isinf, "special", 0),
}


def unary(book, View):
    for op, (fn, domain, tol) in UNARY.items():
        rng = rng_for(op)
        call = getattr(mx, op)

        def values(*shape):
            x = rng.standard_normal(shape) * 3
            return np.abs(x) + 0.05 if domain == "positive" else x

        def put(name, x, tol):
            value = x.value() if isinstance(x, View) else x
            want = fn(f64(value))
            want = want if domain == "special" else cast(want, dtype_name(value))
            book.case(op, name, [x], {}, [want], call, tol)

        if domain == "special":
            put("f32", np.array([0, -1.5, np.nan, np.inf, -np.inf, 3e38], np.float32), 0)
            continue
        put("f32_7x5", values(7, 5).astype(np.float32), tol)
        put("scalar", values().astype(np.float32), tol)
        put("transposed", View(values(3, 4, 5).astype(np.float32), transpose=[2, 0, 1]), tol)
        put("stepped", View(values(9, 8).astype(np.float32), slice=[[1, 0], [9, 8], [2, 3]]), tol)
        put("bf16", BF16(values(33)), max(tol, 0 if tol == 0 else 8e-3))
        put("f16", values(17).astype(np.float16), max(tol, 0 if tol == 0 else 2e-3))
        if op in ("negative", "abs", "square", "sign"):
            x = rng.integers(-9, 9, (4, 3)).astype(np.int32)
            book.case(op, "i32", [x], {}, [fn(x)], call)
    book.case("exp", "special", [np.array([-np.inf, 0, -200, 80], np.float32)], {},
              [np.exp(np.array([-np.inf, 0, -200, 80])).astype(np.float32)], mx.exp, 2e-6)


BINARY = {"add": (np.add, 1e-6), "subtract": (np.subtract, 1e-6), "multiply": (np.multiply, 1e-6),
          "divide": (np.divide, 1e-6), "power": (np.power, 5e-6), "maximum": (np.maximum, 0), "minimum": (np.minimum, 0),
          "floor_divide": (np.floor_divide, 0), "remainder": (np.mod, 2e-6), "logaddexp": (np.logaddexp, 2e-6)}


def binary(book, View):
    for op, (fn, tol) in BINARY.items():
        rng = rng_for(op)
        call = getattr(mx, op)

        def left(*shape):
            x = rng.standard_normal(shape) * 2
            return (np.abs(x) + 0.1 if op == "power" else x).astype(np.float32)

        def right(*shape):
            x = rng.standard_normal(shape) * 2
            return (x + np.where(x < 0, -0.3, 0.3)).astype(np.float32)

        def put(name, a, b, tol=tol):
            va, vb = [x.value() if isinstance(x, View) else x for x in (a, b)]
            book.case(op, name, [a, b], {}, [cast(fn(f64(va), f64(vb)), dtype_name(va))], call, tol)

        put("same_shape", left(5, 7), right(5, 7))
        put("row", left(3, 5, 7), right(7))
        put("both_broadcast", left(3, 1, 5), right(4, 1))
        put("scalar", left(6), right())
        put("strided", View(left(6, 4), transpose=[1, 0]), View(right(8, 12), slice=[[0, 0], [8, 12], [2, 2]]))
        put("bf16", BF16(left(11)), BF16(right(11)), max(tol, 0 if tol == 0 else 8e-3))
        # floor_divide of ints is left out: MLX truncates them towards zero on the CPU, numpy floors.
        if op in ("add", "subtract", "multiply", "maximum", "minimum", "remainder"):
            a, b = rng.integers(-50, 50, (3, 4)).astype(np.int32), rng.integers(1, 9, (4,)).astype(np.int32)
            book.case(op, "i32", [a, b], {}, [fn(a, b).astype(np.int32)], call)
        if op in ("add", "multiply"):  # promotion: bf16 with f32 is f32, int with float is that float
            a, b = BF16(left(5)), right(5)
            book.case(op, "bf16_f32", [a, b], {}, [fn(f64(a), f64(b)).astype(np.float32)], call, tol)
            a, b = rng.integers(-9, 9, 5).astype(np.int32), right(5)
            book.case(op, "i32_f32", [a, b], {}, [fn(f64(a), f64(b)).astype(np.float32)], call, tol)
            a, b = rng.integers(0, 9, 5).astype(np.int32), BF16(right(5))
            book.case(op, "i32_bf16", [a, b], {}, [BF16(fn(f64(a), f64(b)))], call, 8e-3)


COMPARE = {"greater": np.greater, "less": np.less, "equal": np.equal, "greater_equal": np.greater_equal,
           "less_equal": np.less_equal, "not_equal": np.not_equal}


def logic(book, View):
    for op, fn in COMPARE.items():
        rng, call = rng_for(op), getattr(mx, op)
        a, b = rng.integers(0, 4, (5, 6)).astype(np.float32), rng.integers(0, 4, 6).astype(np.float32)
        book.case(op, "f32_row", [a, b], {}, [fn(a, b)], call)
        a, b = rng.integers(0, 3, (4, 1)).astype(np.int32), rng.integers(0, 3, (1, 7)).astype(np.int32)
        book.case(op, "i32_outer", [a, b], {}, [fn(a, b)], call)
        v = View(rng.integers(0, 3, (4, 5)).astype(np.float32), transpose=[1, 0])
        b = rng.integers(0, 3, (5, 4)).astype(np.float32)
        book.case(op, "transposed", [v, b], {}, [fn(v.value(), b)], call)
        a = np.array([np.nan, 1, np.inf], np.float32)
        book.case(op, "nan", [a, a.copy()], {}, [fn(a, a)], call)
    for op, fn in {"logical_and": np.logical_and, "logical_or": np.logical_or}.items():
        rng, call = rng_for(op), getattr(mx, op)
        a, b = rng.integers(0, 2, (5, 6)).astype(bool), rng.integers(0, 2, 6).astype(bool)
        book.case(op, "bool_row", [a, b], {}, [fn(a, b)], call)
        a, b = rng.integers(0, 2, (3, 1)).astype(np.int32), rng.integers(0, 2, 4).astype(np.int32)
        book.case(op, "i32", [a, b], {}, [fn(a, b)], call)
    rng = rng_for("logical_not")
    a = rng.integers(0, 2, (3, 5)).astype(bool)
    book.case("logical_not", "bool", [a], {}, [~a], mx.logical_not)
    a = rng.integers(0, 2, 6).astype(np.float32)
    book.case("logical_not", "f32", [a], {}, [a == 0], mx.logical_not)

    rng = rng_for("where")
    c, a, b = rng.integers(0, 2, (4, 5)).astype(bool), normal(rng, 4, 5), normal(rng, 4, 5)
    book.case("where", "same_shape", [c, a, b], {}, [np.where(c, a, b)], mx.where)
    c, a, b = rng.integers(0, 2, (4, 1)).astype(bool), normal(rng, 5), np.float32(-np.inf)
    book.case("where", "broadcast_neg_inf", [c, a, np.array(b)], {}, [np.where(c, a, b).astype(np.float32)], mx.where)
    v = View(normal(rng, 5, 4), transpose=[1, 0])
    c = rng.integers(0, 2, 5).astype(bool)
    book.case("where", "strided", [c, v, b.reshape(1)], {}, [np.where(c, v.value(), b).astype(np.float32)], mx.where)

    rng = rng_for("clip")
    a = normal(rng, 6, 3, scale=3)
    lo, hi = np.array(-1, np.float32), np.array(1.5, np.float32)
    book.case("clip", "both", [a, lo, hi], {"min": True, "max": True}, [np.clip(a, lo, hi)], mx.clip)
    book.case("clip", "min_only", [a, lo], {"min": True, "max": False}, [np.maximum(a, lo)], lambda x, l: mx.clip(x, l, None))
    book.case("clip", "max_only", [a, hi], {"min": False, "max": True}, [np.minimum(a, hi)], lambda x, h: mx.clip(x, None, h))
    row = normal(rng, 3)
    book.case("clip", "row_bound", [a, row], {"min": True, "max": False}, [np.maximum(a, row)], lambda x, l: mx.clip(x, l, None))


REDUCE = {"sum": (np.sum, 3e-6), "mean": (np.mean, 2e-6), "max": (np.max, 0), "min": (np.min, 0), "prod": (np.prod, 3e-6),
          "logsumexp": (lambda x, axis, keepdims: np.log(np.sum(np.exp(x), axis, keepdims=keepdims)), 2e-6),
          "var": (np.var, 3e-6), "all": (np.all, 0), "any": (np.any, 0)}


def reductions(book, View):
    for op, (fn, tol) in REDUCE.items():
        rng, call, boolean = rng_for(op), getattr(mx, op), op in ("all", "any")

        def put(name, x, axes, keep, tol=tol):
            value = x.value() if isinstance(x, View) else x
            ax = None if axes is None else tuple(axes)
            v = f64(value)
            want = fn(v, axis=ax, keepdims=keep)
            want = np.asarray(want) if boolean else cast(want, dtype_name(value))
            book.case(op, name, [x], {"axes": axes, "keepdims": keep}, [want],
                      lambda a: call(a, axis=axes, keepdims=keep), tol)

        def x(*shape):
            v = normal(rng, *shape)
            return (v > -1.0).astype(bool) if boolean else v

        put("all_axes", x(3, 5, 7), None, False)
        put("last", x(3, 5, 7), [-1], False)
        put("last_keep", x(3, 5, 7), [-1], True)
        put("first", x(5, 4), [0], False)
        put("two_axes_keep", x(3, 4, 5), [0, -2], True)
        put("transposed", View(x(6, 5), transpose=[1, 0]), [1], False)
        put("long", x(2, 300), [1], False, tol * 10)
        if op in ("sum", "max", "min", "mean"):
            put("bf16", BF16(normal(rng, 4, 9)), [-1], False, 1.6e-2 if tol else 0)
        if op in ("sum", "max", "min", "prod"):
            i = rng.integers(-5, 6, (3, 4)).astype(np.int32)
            book.case(op, "i32", [i], {"axes": [1], "keepdims": False}, [fn(i, axis=1, keepdims=False).astype(np.int32)],
                      lambda a: call(a, axis=[1]))
    rng = rng_for("sum_bool")
    b = rng.integers(0, 2, (4, 6)).astype(bool)
    book.case("sum", "bool_counts", [b], {"axes": [1], "keepdims": False}, [b.sum(1).astype(np.int32)], lambda a: mx.sum(a, axis=1))
    x = np.array([[-np.inf, 1.5, 2.5], [-np.inf, -np.inf, 0]], np.float32)
    book.case("logsumexp", "neg_inf", [x], {"axes": [-1], "keepdims": True},
              [np.log(np.exp(f64(x)).sum(-1, keepdims=True)).astype(np.float32)],
              lambda a: mx.logsumexp(a, axis=[-1], keepdims=True), 2e-6)
    big = normal(rng, 2, 6, scale=200)
    m = f64(big).max(-1, keepdims=True)
    book.case("logsumexp", "large", [big], {"axes": [-1], "keepdims": True},
              [(m + np.log(np.exp(f64(big) - m).sum(-1, keepdims=True))).astype(np.float32)],
              lambda a: mx.logsumexp(a, axis=[-1], keepdims=True), 2e-6)

    for op, fn in {"argmax": np.argmax, "argmin": np.argmin}.items():
        rng, call = rng_for(op), getattr(mx, op)
        for name, shape, axis, keep in (("flat", (4, 5), None, False), ("last", (4, 5), -1, False), ("first_keep", (4, 5), 0, True),
                                        ("vocab", (2, 1, 999), -1, False)):
            x = normal(rng, *shape)
            book.case(op, name, [x], {"axis": axis, "keepdims": keep},
                      [np.asarray(fn(x, axis=axis, keepdims=keep)).astype(np.uint32)],
                      lambda a: call(a, axis=axis, keepdims=keep))
        v = View(normal(rng, 6, 7), transpose=[1, 0])
        book.case(op, "transposed", [v], {"axis": 1, "keepdims": False}, [fn(v.value(), axis=1).astype(np.uint32)], lambda a: call(a, axis=1))
        tie = np.array([[1, 3, 3, 0, 0], [2, 2, 2, 2, 2]], np.float32)  # the first one counts
        book.case(op, "ties", [tie], {"axis": 1, "keepdims": False}, [fn(tie, axis=1).astype(np.uint32)], lambda a: call(a, axis=1))
        x = BF16(normal(rng, 3, 40))
        book.case(op, "bf16", [x], {"axis": 1, "keepdims": False}, [fn(f64(x), axis=1).astype(np.uint32)], lambda a: call(a, axis=1))


def scans(book, View):
    rng = rng_for("cumsum")
    for name, shape, axis in (("last", (3, 7), -1), ("first", (5, 4), 0), ("middle", (2, 6, 3), 1)):
        x = normal(rng, *shape)
        for reverse in (False, True):
            for inclusive in (False, True):
                v = np.flip(f64(x), axis) if reverse else f64(x)
                w = np.cumsum(v, axis) - (0 if inclusive else v)
                w = np.flip(w, axis) if reverse else w
                tag = f"{name}_{'reverse' if reverse else 'forward'}_{'inclusive' if inclusive else 'exclusive'}"
                book.case("cumsum", tag, [x], {"axis": axis, "reverse": reverse, "inclusive": inclusive}, [w.astype(np.float32)],
                          lambda a: mx.cumsum(a, axis=axis, reverse=reverse, inclusive=inclusive), 2e-6)
    i = rng.integers(-4, 5, (3, 5)).astype(np.int32)
    attrs = {"axis": 1, "reverse": False, "inclusive": True}
    book.case("cumsum", "i32", [i], attrs, [np.cumsum(i, 1).astype(np.int32)], lambda a: mx.cumsum(a, axis=1))
    v = View(normal(rng, 5, 4), transpose=[1, 0])
    book.case("cumsum", "transposed", [v], attrs, [np.cumsum(f64(v.value()), 1).astype(np.float32)], lambda a: mx.cumsum(a, axis=1), 2e-6)


def sorting(book, View):
    rng = rng_for("sort")

    def distinct(*shape):
        n = int(np.prod(shape))
        return ((rng.permutation(n) - n / 2) * 0.37).astype(np.float32).reshape(shape)

    inputs = (("last", distinct(4, 9), -1), ("first", distinct(6, 5), 0), ("middle", distinct(2, 7, 3), 1),
              ("transposed", View(distinct(8, 5), transpose=[1, 0]), 1), ("long", distinct(2, 150), -1))
    for name, x, axis in inputs:
        v = x.value() if isinstance(x, View) else x
        n = v.shape[axis]
        s = np.sort(v, axis)
        book.case("sort", name, [x], {"axis": axis}, [s], lambda a: mx.sort(a, axis=axis))
        book.case("argsort", name, [x], {"axis": axis}, [np.argsort(v, axis).astype(np.uint32)], lambda a: mx.argsort(a, axis=axis))
        k = n // 3
        book.case("partition", name, [x], {"axis": axis, "kth": k}, [s], lambda a: mx.partition(a, k, axis=axis), compare="partition")
        book.case("argpartition", name, [x], {"axis": axis, "kth": k}, [s], lambda a: mx.argpartition(a, k, axis=axis), compare="argpartition")
        top = np.take(s, range(n - k, n), axis)
        book.case("topk", name, [x], {"axis": axis, "k": k}, [top], lambda a: mx.topk(a, k, axis=axis), compare="sorted")
    i = rng.permutation(20).astype(np.int32).reshape(4, 5)
    book.case("sort", "i32", [i], {"axis": 1}, [np.sort(i, 1)], lambda a: mx.sort(a, axis=1))
    b = BF16(distinct(3, 8))
    book.case("sort", "bf16", [b], {"axis": 1}, [BF16(np.sort(f64(b), 1))], lambda a: mx.sort(a, axis=1))
    x = np.array([[3, -np.inf, 1, np.inf, -2]], np.float32)
    book.case("sort", "infinities", [x], {"axis": 1}, [np.sort(x, 1)], lambda a: mx.sort(a, axis=1))


def products(book, View):
    rng = rng_for("matmul")

    def put(name, a, b, tol=3e-6):
        va, vb = [x.value() if isinstance(x, View) else x for x in (a, b)]
        book.case("matmul", name, [a, b], {}, [cast(np.matmul(f64(va), f64(vb)), dtype_name(va))], mx.matmul, tol)

    put("2d", normal(rng, 5, 7), normal(rng, 7, 3))
    put("row_vector", normal(rng, 1, 33), normal(rng, 33, 17))
    put("batched", normal(rng, 3, 5, 7), normal(rng, 3, 7, 4))
    put("broadcast_right", normal(rng, 2, 3, 5, 7), normal(rng, 7, 4))
    put("broadcast_both", normal(rng, 2, 1, 3, 5), normal(rng, 4, 5, 2))
    put("vector_matrix", normal(rng, 7), normal(rng, 7, 4))
    put("matrix_vector", normal(rng, 4, 7), normal(rng, 7))
    put("right_transposed", normal(rng, 4, 6), View(normal(rng, 5, 6), transpose=[1, 0]))
    put("heads_transposed", View(normal(rng, 2, 5, 3, 8), transpose=[0, 2, 1, 3]), View(normal(rng, 2, 6, 3, 8), transpose=[0, 2, 3, 1]))
    put("stepped", View(normal(rng, 8, 9), slice=[[0, 1], [8, 9], [2, 2]]), normal(rng, 4, 5))
    put("wide", normal(rng, 2, 640), normal(rng, 640, 9), 2e-5)
    put("bf16", BF16(normal(rng, 3, 32)), BF16(normal(rng, 32, 5)), 2e-2)
    put("f16", normal(rng, 3, 32, dtype="float16"), normal(rng, 32, 5, dtype="float16"), 5e-3)

    rng = rng_for("addmm")
    for name, c, a, b, alpha, beta in (
            ("plain", normal(rng, 5, 3), normal(rng, 5, 7), normal(rng, 7, 3), 1.0, 1.0),
            ("scaled_row", normal(rng, 3), normal(rng, 5, 7), normal(rng, 7, 3), 0.5, -2.0),
            ("batched", normal(rng, 2, 4, 3), normal(rng, 2, 4, 6), normal(rng, 6, 3), 1.0, 0.25)):
        w = alpha * (f64(a) @ f64(b)) + beta * f64(c)
        book.case("addmm", name, [c, a, b], {"alpha": alpha, "beta": beta}, [w.astype(np.float32)],
                  lambda c, a, b: mx.addmm(c, a, b, alpha, beta), 3e-6)
