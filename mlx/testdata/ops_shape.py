"""Cases for ops that move, index, create or reinterpret data: all exact. See make_ops.py."""
import mlx.core as mx
import numpy as np
from oracle import BF16, DTYPES, cast, dtype_name
from ops_basic import MX, normal, rng_for


def add(book, View):
    moving(book, View)
    joining(book, View)
    slicing(book, View)
    indexing(book, View)
    creating(book, View)
    casting(book, View)
    reading(book, View)


def moving(book, View):
    rng = rng_for("reshape")
    x, v = normal(rng, 3, 4, 5), View(normal(rng, 4, 6), transpose=[1, 0])
    for name, a, shape in (("flat", x, [60]), ("infer", x, [5, -1, 2]), ("transposed", v, [3, 8]), ("scalar", normal(rng, 1, 1), [])):
        value = a.value() if isinstance(a, View) else a
        book.case("reshape", name, [a], {"shape": shape}, [value.reshape(shape)], lambda a: mx.reshape(a, shape))
    book.case("transpose", "reversed", [x], {"axes": None}, [x.transpose()], mx.transpose)
    book.case("transpose", "axes", [x], {"axes": [1, 2, 0]}, [x.transpose(1, 2, 0)], lambda a: mx.transpose(a, [1, 2, 0]))
    book.case("transpose", "negative_axes", [x], {"axes": [0, -1, -2]}, [x.transpose(0, 2, 1)], lambda a: mx.transpose(a, [0, -1, -2]))
    book.case("swapaxes", "plain", [x], {"axis1": 0, "axis2": 2}, [np.swapaxes(x, 0, 2)], lambda a: mx.swapaxes(a, 0, 2))
    book.case("swapaxes", "negative", [x], {"axis1": -1, "axis2": 1}, [np.swapaxes(x, -1, 1)], lambda a: mx.swapaxes(a, -1, 1))
    for name, axes in (("front", [0]), ("back", [-1]), ("two", [0, 3])):
        book.case("expand_dims", name, [x], {"axes": axes}, [np.expand_dims(x, tuple(axes))], lambda a: mx.expand_dims(a, axes))
    y = normal(rng, 1, 4, 1, 5)
    book.case("squeeze", "all", [y], {"axes": None}, [y.squeeze()], mx.squeeze)
    book.case("squeeze", "one", [y], {"axes": [-2]}, [y.squeeze(-2)], lambda a: mx.squeeze(a, -2))
    book.case("flatten", "middle", [x], {"start_axis": 1, "end_axis": -1}, [x.reshape(3, 20)], lambda a: mx.flatten(a, 1, -1))
    for name, a, shape in (("row", normal(rng, 5), [3, 5]), ("column", normal(rng, 4, 1), [2, 4, 3]), ("scalar", normal(rng), [2, 2])):
        book.case("broadcast_to", name, [a], {"shape": shape}, [np.broadcast_to(a, shape).copy()], lambda a: mx.broadcast_to(a, shape))
    for name, n, axis in (("last", 3, -1), ("first", 2, 0)):
        book.case("repeat", name, [x], {"repeats": n, "axis": axis}, [np.repeat(x, n, axis)], lambda a: mx.repeat(a, n, axis))
    t = normal(rng, 2, 3)
    for name, reps in (("two", [2, 3]), ("more_than_rank", [2, 1, 2]), ("fewer_than_rank", [2])):
        book.case("tile", name, [t], {"reps": reps}, [np.tile(t, reps)], lambda a: mx.tile(a, reps))
    fill = np.array(-1.5, np.float32)
    for name, axes, low, high in (("both", [0, 1], [1, 0], [2, 3]), ("one_axis", [-1], [2], [0])):
        width = [(0, 0)] * 2
        for ax, lo, hi in zip(axes, low, high):
            width[ax] = (lo, hi)
        book.case("pad", name, [t, fill], {"axes": axes, "low": low, "high": high, "mode": "constant"},
                  [np.pad(t, width, constant_values=-1.5)], lambda a, c: mx.pad(a, width, constant_values=c))


def joining(book, View):
    rng = rng_for("concatenate")
    a, b, c = normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), normal(rng, 2, 1, 4)
    book.case("concatenate", "middle", [a, b, c], {"axis": 1}, [np.concatenate([a, b, c], 1)], lambda *x: mx.concatenate(list(x), axis=1))
    v = View(normal(rng, 4, 2, 3), transpose=[1, 2, 0])
    book.case("concatenate", "last_strided", [a, v], {"axis": -1}, [np.concatenate([a, v.value()], -1)], lambda *x: mx.concatenate(list(x), axis=-1))
    p, q = BF16(normal(rng, 3, 2)), BF16(normal(rng, 1, 2))
    book.case("concatenate", "bf16", [p, q], {"axis": 0}, [BF16(bits=np.concatenate([p.bits, q.bits]))], lambda *x: mx.concatenate(list(x), axis=0))
    e = np.zeros((2, 0, 4), np.float32)
    book.case("concatenate", "empty_part", [a, e], {"axis": 1}, [a], lambda *x: mx.concatenate(list(x), axis=1))
    s = [normal(rng, 3, 4) for _ in range(3)]
    for axis in (0, 1, -1):
        book.case("stack", f"axis_{axis}".replace("-", "m"), s, {"axis": axis}, [np.stack(s, axis)], lambda *x: mx.stack(list(x), axis=axis))
    x = normal(rng, 4, 9)
    book.case("split", "equal", [x], {"num_splits": 3, "axis": -1}, np.split(x, 3, -1), lambda a: mx.split(a, 3, axis=-1))
    book.case("split", "at", [x], {"indices": [2, 3, 8], "axis": 1}, np.split(x, [2, 3, 8], 1), lambda a: mx.split(a, [2, 3, 8], axis=1))
    book.case("split", "first_axis", [x], {"num_splits": 2, "axis": 0}, np.split(x, 2, 0), lambda a: mx.split(a, 2, axis=0))


def slicing(book, View):
    rng = rng_for("slice")
    x = normal(rng, 6, 7, 5)
    v = View(normal(rng, 5, 7, 6), transpose=[2, 1, 0])
    cuts = (("plain", [1, 2, 0], [4, 7, 5], [1, 1, 1]), ("stepped", [0, 1, 0], [6, 7, 5], [2, 3, 4]), ("reversed", [5, 0, 4], [-7, 7, -6], [-1, 1, -2]),
            ("empty", [2, 0, 0], [2, 7, 5], [1, 1, 1]), ("last_row", [5, 0, 0], [6, 7, 5], [1, 1, 1]))
    for name, start, stop, step in cuts:
        at = tuple(slice(b, None if e < 0 else e, s) for b, e, s in zip(start, stop, step))
        attrs = {"start": start, "stop": stop, "strides": step}
        book.case("slice", name, [x], attrs, [x[at].copy()], lambda a: a[at])
        if name in ("plain", "stepped"):
            book.case("slice", name + "_of_transposed", [v], attrs, [v.value()[at].copy()], lambda a: a[at])
        if name == "empty":
            continue
        u, w = normal(rng, *x[at].shape), x.copy()
        w[at] = u
        book.case("slice_update", name, [x, u], attrs, [w], lambda a, b: _assigned(a, b, at))
    u, w = normal(rng, 5), x.copy()
    w[1:3, 2:4] = u
    attrs = {"start": [1, 2, 0], "stop": [3, 4, 5], "strides": [1, 1, 1]}
    at = (slice(1, 3), slice(2, 4), slice(0, 5))
    book.case("slice_update", "broadcast", [x, u], attrs, [w], lambda a, b: _assigned(a, b, at))
    bx, bu = BF16(x), BF16(normal(rng, 2, 2, 5))
    w = bx.bits.copy()
    w[at] = bu.bits
    book.case("slice_update", "bf16", [bx, bu], attrs, [BF16(bits=w)], lambda a, b: _assigned(a, b, at))
    # Starts that are an array on the device ("dynamic"): inputs are x, start[, update], for the given axes only.
    start = np.array([2, 1], np.int32)
    book.case("slice_dynamic", "two_axes", [x, start], {"axes": [0, 2], "size": [3, 7, 2]}, [x[2:5, :, 1:3].copy()],
              lambda a, s: mx.slice(a, s, [0, 2], [3, 7, 2]))
    u, w = normal(rng, 3, 7, 2), x.copy()
    w[2:5, :, 1:3] = u
    book.case("slice_update_dynamic", "two_axes", [x, start, u], {"axes": [0, 2]}, [w], lambda a, s, b: mx.slice_update(a, b, s, [0, 2]))


def _assigned(a, b, at):
    a = mx.array(a)
    a[at] = b
    return a


def indexing(book, View):
    rng = rng_for("take")
    x = normal(rng, 6, 5, 4)
    i1, i2 = np.array([3, 0, 3, 5], np.int32), np.array([[1, 4], [0, 2]], np.uint32)
    book.case("take", "first", [x, i1], {"axis": 0}, [np.take(x, i1, 0)], lambda a, i: mx.take(a, i, axis=0))
    book.case("take", "middle_2d", [x, i2], {"axis": 1}, [np.take(x, i2, 1)], lambda a, i: mx.take(a, i, axis=1))
    book.case("take", "last_negative_index", [x, np.array([-1, 0, -4], np.int32)], {"axis": -1}, [np.take(x, [-1, 0, -4], -1)], lambda a, i: mx.take(a, i, axis=-1))
    book.case("take", "scalar_index", [x, np.array(2, np.int32)], {"axis": 1}, [x[:, 2].copy()], lambda a, i: mx.take(a, i, axis=1))
    book.case("take", "flat", [x, i1], {"axis": None}, [np.take(x, i1)], lambda a, i: mx.take(a, i))
    v = View(normal(rng, 4, 6), transpose=[1, 0])
    book.case("take", "of_transposed", [v, i1], {"axis": 0}, [np.take(v.value(), i1, 0)], lambda a, i: mx.take(a, i, axis=0))
    table, ids = BF16(normal(rng, 17, 8)), np.array([[0, 16, 5], [5, 5, 1]], np.int32)  # an embedding look-up: [B, L] -> [B, L, D]
    book.case("take", "embedding_bf16", [table, ids], {"axis": 0}, [BF16(bits=np.take(table.bits, ids, 0))], lambda a, i: mx.take(a, i, axis=0))
    packed = rng.integers(0, 2**32, (9, 4), dtype=np.uint32)
    book.case("take", "u32_rows", [packed, np.array([8, 0, 3], np.int32)], {"axis": 0}, [packed[[8, 0, 3]]], lambda a, i: mx.take(a, i, axis=0))

    rng = rng_for("take_along_axis")
    for name, shape, n, axis in (("last", (3, 7), 4, -1), ("first", (5, 4), 2, 0), ("middle", (2, 6, 3), 6, 1)):
        x = normal(rng, *shape)
        to = list(shape)
        to[axis] = n
        i = np.argsort(rng.random(shape), axis).astype(np.int64)
        i = np.take(i, range(n), axis)
        idx = i.astype(np.uint32)
        book.case("take_along_axis", name, [x, idx], {"axis": axis}, [np.take_along_axis(x, i, axis)], lambda a, j: mx.take_along_axis(a, j, axis))
        u, w = normal(rng, *to), x.copy()
        np.put_along_axis(w, i, u, axis)
        book.case("put_along_axis", name, [x, idx, u], {"axis": axis}, [w], lambda a, j, b: mx.put_along_axis(a, j, b, axis))
        w = x.copy()
        np.put_along_axis(w, i, np.float32(-np.inf), axis)
        neg = np.array(-np.inf, np.float32)
        book.case("put_along_axis", name + "_scalar", [x, idx, neg], {"axis": axis}, [w], lambda a, j, b: mx.put_along_axis(a, j, b, axis))


def creating(book, View):
    for dt in ("float32", "bfloat16", "int32", "bool", "uint32"):
        book.case("zeros", dt, [], {"shape": [2, 3], "dtype": dt}, [cast(np.zeros((2, 3)), dt)], lambda: mx.zeros([2, 3], MX[dt]))
        book.case("ones", dt, [], {"shape": [3], "dtype": dt}, [cast(np.ones(3), dt)], lambda: mx.ones([3], MX[dt]))
    book.case("zeros", "empty", [], {"shape": [0, 4], "dtype": "float32"}, [np.zeros((0, 4), np.float32)], lambda: mx.zeros([0, 4]))
    for name, val, shape, dt in (("scalar", np.array(2.5, np.float32), [2, 2], "float32"), ("to_bf16", np.array(1.1, np.float32), [3], "bfloat16"),
                                 ("row", np.array([1, 2, 3], np.float32), [2, 3], "float32"), ("int", np.array(-7, np.int32), [4], "int32")):
        book.case("full", name, [val], {"shape": shape, "dtype": dt}, [cast(np.broadcast_to(val, shape).copy(), dt)], lambda v: mx.full(shape, v.astype(MX[dt])))
    for name, a, b, s, dt in (("ints", 0, 7, 1, "int32"), ("step", 1, 10, 3, "int32"), ("down", 5, -3, -2, "int32"), ("floats", 0.5, 2.0, 0.25, "float32"),
                              ("u32", 2, 6, 1, "uint32")):
        book.case("arange", name, [], {"start": a, "stop": b, "step": s, "dtype": dt}, [np.arange(a, b, s).astype(dt)], lambda: mx.arange(a, b, s, MX[dt]))
    for name, n, m, k in (("square", 4, 4, 0), ("wide_upper", 3, 5, 1), ("tall_lower", 5, 3, -2)):
        attrs = {"n": n, "m": m, "k": k, "dtype": "float32"}
        book.case("eye", name, [], attrs, [np.eye(n, m, k, np.float32)], lambda: mx.eye(n, m, k))
        book.case("tri", name, [], attrs, [np.tri(n, m, k, np.float32)], lambda: mx.tri(n, m, k, mx.float32))
        x = normal(rng_for("tril" + name), 2, n, m)
        book.case("tril", name, [x], {"k": k}, [np.tril(x, k)], lambda a: mx.tril(a, k))
        book.case("triu", name, [x], {"k": k}, [np.triu(x, k)], lambda a: mx.triu(a, k))


def casting(book, View):
    """Every dtype to every dtype. Values fit the target, but for integers narrowed to integers, which wrap."""
    floats = {"float16", "bfloat16", "float32", "float64"}
    for src in DTYPES:
        for dst in DTYPES:
            if src == "bool":
                v = np.array([0, 1, 1, 0])
            elif src in floats:
                v = np.array([0, 1, 2.75, 63.5, 100.25, 0.3, -2.75, -100.5, 1.00390625])
                v = np.abs(v) if dst.startswith("u") else v
                if dst in floats:
                    v = np.append(v, [np.inf, -np.inf, np.nan, 1 / 3])
            else:
                v = np.array([0, 1, 5, 63, 127] + ([-1, -128] if src.startswith("i") else [200]))
                if dst in floats or dst == "bool":
                    v = v[v != 127]
            x = cast(v, src)
            with np.errstate(invalid="ignore"):
                want = cast(x, dst)
            book.case("astype", f"{src}_to_{dst}", [x], {"dtype": dst}, [want], lambda a: a.astype(MX[dst]), cpu_only="float64" in (src, dst))
    x = View(normal(rng_for("astype"), 5, 4), transpose=[1, 0])
    book.case("astype", "transposed_to_bfloat16", [x], {"dtype": "bfloat16"}, [BF16(x.value())], lambda a: a.astype(mx.bfloat16))
    ties = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x00000001, 0xBF808000], np.uint32).view(np.float32)
    book.case("astype", "bfloat16_rounding", [ties], {"dtype": "bfloat16"}, [BF16(ties)], lambda a: a.astype(mx.bfloat16))


def reading(book, View):
    rng = rng_for("view")
    f = normal(rng, 3, 4)
    book.case("view", "f32_as_u32", [f], {"dtype": "uint32"}, [f.view(np.uint32)], lambda a: a.view(mx.uint32))
    u = rng.integers(0, 2**32, (2, 3), dtype=np.uint32)
    book.case("view", "u32_as_u8_widens", [u], {"dtype": "uint8"}, [u.view(np.uint8)], lambda a: a.view(mx.uint8))
    b = BF16(f)
    book.case("view", "bf16_as_u16", [b], {"dtype": "uint16"}, [b.bits], lambda a: a.view(mx.uint16))
    book.case("view", "u16_as_bf16", [b.bits], {"dtype": "bfloat16"}, [b], lambda a: a.view(mx.bfloat16))
    i = rng.integers(-128, 128, (2, 8)).astype(np.int8)
    book.case("view", "i8_as_i32_narrows", [i], {"dtype": "int32"}, [i.view(np.int32)], lambda a: a.view(mx.int32))
    # contiguous: the data must be read back row by row, whatever the strides of the input.
    for name, v in (("transposed", View(normal(rng, 4, 5), transpose=[1, 0])), ("stepped", View(normal(rng, 9, 8), slice=[[1, 1], [9, 8], [3, 2]])),
                    ("bf16_transposed", View(BF16(normal(rng, 2, 3, 4)), transpose=[2, 0, 1])), ("already", normal(rng, 3, 3))):
        want = v.value() if isinstance(v, View) else v
        want = want if isinstance(want, BF16) else want.copy()
        book.case("contiguous", name, [v], {}, [want], lambda a: mx.contiguous(a))
    for name, dt in (("i64", np.int64), ("u64", np.uint64)):
        x = np.array([0, 1, 2**53 + 1, 2**63 - 1], dt)
        book.case("contiguous", name, [x], {}, [x], lambda a: mx.contiguous(a))
    assert dtype_name(b) == "bfloat16"
