#!/usr/bin/env python3
"""Writes filters.json: which ids the sampling filters keep, and the probabilities that are left.

    ~/.cache/reprise-build/parity-venv/bin/python model/sample/testdata/make_filters.py     (versions: model/parity/requirements.txt)

Computed with numpy 2.4.6 in float64 from the definition in README.md beside this file; mlx-lm 0.32.2's own filters are run on
the same logits and must keep the same ids.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "parity"))

import mlx.core as mx
import numpy as np
from mlx_lm import sample_utils

import oracle

MARGIN = 1e-4  # no case is decided by less: float32 must come to the same set


def logits():
    """name -> logits, four decimals each, so that they read back exactly."""
    rng = np.random.default_rng(270)
    peaked = rng.standard_normal(100)
    peaked[17] += 9
    banned = rng.standard_normal(40) * 2
    banned[[0, 5, 6, 39]] = -1e9  # what a grammar mask leaves: huge negative, not -inf, in JSON
    out = {"small": rng.standard_normal(13) * 2, "normal": rng.standard_normal(100) * 3, "peaked": peaked, "flat": rng.standard_normal(64) * 0.05,
           "banned": banned, "wide": rng.standard_normal(1000) * 2.5, "offset": rng.standard_normal(50) * 2 + 300, "two": np.array([0.25, 1.75]),
           "ties": np.array([2.0, 3.0, 3.0, 1.0, 2.0, 0.0, 2.0, -1.0])}
    return {k: np.round(v, 4).astype(np.float32) for k, v in out.items()}


def keep(x, top_p, min_p, top_k):
    """-> (bool mask over x, the smallest margin by which anything was decided)."""
    lp = x - x.max()
    lp = lp - np.log(np.exp(lp).sum())
    kept, margin = np.ones(len(x), bool), np.inf
    if 0 < top_p < 1:
        up = np.sort(lp)[::-1]
        p = np.exp(up)
        above = np.cumsum(p) - p  # the mass of everything strictly before it in the order
        margin = min(margin, np.abs(above - top_p * p.sum()).min())
        kept &= lp >= up[above < top_p * p.sum()].min()
    if min_p > 0:
        cut = lp.max() + np.log(min_p)
        margin = min(margin, np.abs(lp - cut).min())
        kept &= lp >= cut
    if 0 < top_k < len(x):
        up = np.sort(np.where(kept, lp, -np.inf))[::-1]
        if up[top_k] > -np.inf:
            margin = min(margin, up[top_k - 1] - up[top_k])  # a tie here: which one stays is not defined
        kept &= lp >= up[top_k - 1]
    return kept, margin


def by_mlx_lm(x, top_p, min_p, top_k):
    a = mx.array(x)[None]
    lp = a - mx.logsumexp(a, keepdims=True)
    if 0 < top_p < 1:
        lp = sample_utils.apply_top_p(lp, top_p)
    if min_p > 0:
        lp = sample_utils.apply_min_p(lp, min_p)
    if 0 < top_k < len(x):
        lp = sample_utils.apply_top_k(lp, top_k)
    return np.isfinite(np.array(lp)[0])


def settings(name, n):
    plain = [(0.0, 0.0, 0), (0.9, 0.0, 0), (0.5, 0.0, 0), (0.05, 0.0, 0), (1.0, 0.0, 0), (0.0, 0.1, 0), (0.0, 0.02, 0), (0.0, 1.0, 0),
             (0.0, 0.0, 1), (0.0, 0.0, 5), (0.0, 0.0, n + 3), (0.95, 0.05, 0), (0.8, 0.0, 3), (0.0, 0.2, 4), (0.95, 0.01, 7)]
    return [(0.5, 0.0, 0), (0.0, 0.3, 0), (0.9, 0.0, 0), (0.0, 0.0, 3)] if name == "ties" else plain


def main():
    mx.set_default_device(mx.cpu)
    mx.disable_compile()
    out = oracle.out_dir(HERE, __doc__)
    table, cases, left_out = logits(), [], 0
    for name, x in table.items():
        for i, (top_p, min_p, top_k) in enumerate(settings(name, len(x))):
            x64 = x.astype(np.float64)
            kept, margin = keep(x64, top_p, min_p, top_k)
            # A value that is the bound itself (min_p 1 keeps the largest, ties at top_k) is decided exactly, or not defined at all.
            if margin < MARGIN and not (min_p == 1.0 and kept.sum() == 1):
                left_out += 1
                continue
            if top_p != 1.0 and min_p < 1.0:
                assert np.array_equal(kept, by_mlx_lm(x, top_p, min_p, top_k)), (name, top_p, min_p, top_k)
            for temp in ((1.0, 0.7, 1.6)[i % 3],) if i else (1.0, 0.3, 2.0):
                e = np.where(kept, np.exp((x64 - x64.max()) / temp), 0)
                ids = np.flatnonzero(kept)
                cases.append({"logits": name, "temperature": temp, "top_p": top_p, "min_p": min_p, "top_k": top_k,
                              "kept": ids.tolist(), "probs": [float(f"{v:.9g}") for v in (e / e.sum())[ids]]})
    for name, x in table.items():
        cases.append({"logits": name, "temperature": 0.0, "top_p": 0.0, "min_p": 0.0, "top_k": 0, "kept": [int(np.argmax(x))], "probs": [1.0]})
    oracle.write_json(os.path.join(out, "filters.json"), {
        "logits": {k: [float(f"{v:.9g}") for v in x] for k, x in table.items()}, "cases": cases}, flat=("cases",))
    print(f"{len(cases)} cases over {len(table)} logit vectors; {left_out} left out, decided by less than {MARGIN}")


if __name__ == "__main__":
    main()
