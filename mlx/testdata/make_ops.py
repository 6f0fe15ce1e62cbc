#!/usr/bin/env python3
"""Writes ops.safetensors and ops.json: a reference for every op that package mlx binds.

    ~/.cache/reprise-build/parity-venv/bin/python mlx/testdata/make_ops.py     (versions: model/parity/requirements.txt)

Made with numpy 2.4.6 and mlx 0.32.2. Wherever numpy can say what an op means, the expected values are numpy's in float64
("source": "numpy") and python mlx on the CPU is only checked against them, here; the random ops are python mlx's own
("source": "mlx"). README.md beside this file says how to read a case.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "model", "parity")]

import mlx.core as mx
import numpy as np

import oracle
import ops_basic
import ops_nn
import ops_quant
import ops_random
import ops_shape


class View:
    """An input that the test must not get contiguous: base is stored, and the view is applied to it before the call."""

    def __init__(self, base, **how):
        self.base, self.how = base, how

    def value(self):
        def apply(a):
            if "transpose" in self.how:
                return a.transpose(self.how["transpose"])
            return a[tuple(slice(b, e, s) for b, e, s in zip(*self.how["slice"]))]
        return self.base.view(apply) if isinstance(self.base, oracle.BF16) else apply(self.base)

    def mlx(self):
        a = to_mlx(self.base)
        if "transpose" in self.how:
            return a.transpose(self.how["transpose"])
        return a[tuple(slice(b, e, s) for b, e, s in zip(*self.how["slice"]))]


def to_mlx(x):
    if isinstance(x, View):
        return x.mlx()
    if isinstance(x, oracle.BF16):
        return mx.array(x.bits).view(mx.bfloat16)
    x = np.ascontiguousarray(x).reshape(np.shape(x))
    return mx.array(x, dtype=getattr(mx, "bool_" if x.dtype == bool else x.dtype.name))


def from_mlx(a):
    if a.dtype == mx.bfloat16:
        return oracle.BF16(bits=np.array(a.view(mx.uint16)))
    return np.array(a)


def arranged(got, case, inputs):
    """got as the case's "compare" says it is to be compared; the same steps as README.md gives the Go test."""
    how, attrs = case["compare"], case["attrs"]
    if how == "argpartition":
        got = np.take_along_axis(inputs[0], got.astype(np.int64), attrs["axis"])
    if how == "sorted":
        return np.sort(got, attrs["axis"])
    if how in ("partition", "argpartition"):
        lo, hi = np.split(got, [attrs["kth"]], attrs["axis"])
        return np.concatenate([np.sort(lo, attrs["axis"]), np.sort(hi, attrs["axis"])], attrs["axis"])
    return got


class Book:
    """Collects the cases and the tensors they name."""

    def __init__(self):
        self.cases, self.tensors, self.seen = [], {}, set()
        self.worst = {}

    def case(self, op, name, inputs, attrs, outputs, call, tol=0.0, compare="equal", cpu_only=False):
        """Adds one case. outputs None: python mlx's are taken. call(*mlx inputs) -> array or tuple, the check."""
        assert (op, name) not in self.seen, (op, name)
        self.seen.add((op, name))
        row = {"op": op, "case": name, "inputs": [], "attrs": attrs, "outputs": [], "tol": tol,
               "compare": compare, "source": "mlx" if outputs is None else "numpy"}
        views = {}
        for i, x in enumerate(inputs):
            key = f"{op}/{name}/in{i}"
            if isinstance(x, View):
                views[str(i)] = x.how
            self.tensors[key] = x.base if isinstance(x, View) else x
            row["inputs"].append(key)
        if views:
            row["views"] = views
        if cpu_only:
            row["cpu_only"] = True
        got = call(*[to_mlx(x) for x in inputs])
        got = [from_mlx(g) for g in (got if isinstance(got, (tuple, list)) else [got])]
        values = [x.value() if isinstance(x, View) else x for x in inputs]
        outputs = got if outputs is None else outputs
        assert len(outputs) == len(got), (op, name, len(outputs), len(got))
        for i, (want, g) in enumerate(zip(outputs, got)):
            self.check(row, want, arranged(g, row, values), i)
            key = f"{op}/{name}/out{i}"
            self.tensors[key] = want
            row["outputs"].append(key)
        self.cases.append(row)

    def check(self, row, want, got, i):
        where = f"{row['op']}/{row['case']} output {i}"
        wd, gd = oracle.dtype_name(want), oracle.dtype_name(got)
        assert wd == gd, f"{where}: reference {wd}, mlx {gd}"
        assert tuple(want.shape) == tuple(got.shape), f"{where}: reference {want.shape}, mlx {got.shape}"
        if "float" not in wd:  # tolerances are for floats; everything else is equal or wrong
            assert np.array_equal(want, got), where
            return
        w, g = np.atleast_1d(oracle.f64(want)), np.atleast_1d(oracle.f64(got))
        same = (w == g) | (np.isnan(w) & np.isnan(g))
        with np.errstate(invalid="ignore"):
            err = np.where(same, 0.0, np.abs(w - g) / np.maximum(1.0, np.abs(w)))
        worst = float(np.max(err, initial=0.0))
        assert worst <= row["tol"], f"{where}: off by {worst:.3g}, tolerance {row['tol']}"
        if row["tol"]:
            share = worst / row["tol"]
            self.worst[row["op"]] = max(share, self.worst.get(row["op"], 0.0))


def main():
    mx.set_default_device(mx.cpu)
    out = oracle.out_dir(HERE, __doc__)
    book = Book()
    for part in (ops_basic, ops_shape, ops_nn, ops_quant, ops_random):
        part.add(book, View)
    oracle.write_safetensors(os.path.join(out, "ops.safetensors"), book.tensors)
    oracle.write_json(os.path.join(out, "ops.json"),
                      {"mlx": "0.32.2", "numpy": np.__version__, "cases": book.cases}, flat=("cases",))
    ops = sorted({c["op"] for c in book.cases})
    print(f"{len(book.cases)} cases of {len(ops)} ops, {len(book.tensors)} tensors")
    top = sorted(book.worst.items(), key=lambda kv: -kv[1])[:6]
    print("closest to their tolerance: " + ", ".join(f"{k} {v:.2f}" for k, v in top))


if __name__ == "__main__":
    main()
