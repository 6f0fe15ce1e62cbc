#!/usr/bin/env python3
"""compare.py COMMITTED FRESH [--tol 1e-6]: are the committed reference values what the scripts write today?

Walks FRESH and compares each file with the one at the same path under COMMITTED. Integers, bools, strings and names must be
equal, floats within tol * max(1, |committed|); "gaps" in JSON (the real model's, rounded to four places) within 1e-3. Numbers
under a "disagreement" key tell how far two references lie apart; they are only held below 5e-4
(in random Gemma 4s float32 and float64 lie 3e-4 apart). Prints a table; exits 1 on
any difference.
"""
import argparse
import json
import os
import sys

import numpy as np
import oracle


class Result:
    def __init__(self):
        self.values, self.worst, self.faults = 0, 0.0, []

    def fault(self, where, what):
        self.faults.append(f"{where}: {what}")


def compare_tensors(old, new, tol, r):
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            r.fault(name, "only in the " + ("fresh file" if name in new else "committed file"))
            continue
        a, b = old[name], new[name]
        kind = oracle.dtype_name(a)
        if kind != oracle.dtype_name(b) or a.shape != b.shape:
            r.fault(name, f"{kind}{list(a.shape)} became {oracle.dtype_name(b)}{list(b.shape)}")
            continue
        r.values += int(np.prod(a.shape))
        if "float" not in kind:
            if not np.array_equal(a, b):
                r.fault(name, f"{int(np.sum(a != b))} of {a.size} integers differ")
            continue
        x, y = np.atleast_1d(oracle.f64(a)), np.atleast_1d(oracle.f64(b))
        same = (x == y) | (np.isnan(x) & np.isnan(y))
        with np.errstate(invalid="ignore"):
            off = np.where(same, 0, np.abs(x - y) / np.maximum(1, np.abs(x)))
        worst = float(np.max(off, initial=0))
        r.worst = max(r.worst, worst) if worst == worst else float("inf")
        if not worst <= tol:
            r.fault(name, f"off by {worst:.2e}")


def compare_json(a, b, tol, r, at="$"):
    if isinstance(a, dict) and isinstance(b, dict):
        for k in sorted(a.keys() | b.keys()):
            if k not in a or k not in b:
                r.fault(at, f"{k} only in the " + ("fresh file" if k in b else "committed file"))
            elif k == "disagreement":
                flat = list(b[k].values()) if isinstance(b[k], dict) else [b[k]]
                if not all(v <= 5e-4 for v in flat):
                    r.fault(at, f"the references lie {max(flat):.1e} apart")
            else:
                compare_json(a[k], b[k], 1e-3 if k == "gaps" else tol, r, f"{at}.{k}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            compare_json(x, y, tol, r, f"{at}[{i}]")
    elif isinstance(a, float) and isinstance(b, (int, float)):
        r.values += 1
        off = 0.0 if a == b else abs(a - b) / max(1, abs(a))
        r.worst = max(r.worst, off)
        if not off <= tol:
            r.fault(at, f"{a} became {b}")
    else:
        r.values += 1
        if type(a) is not type(b) or a != b:
            r.fault(at, f"{str(a)[:60]} became {str(b)[:60]}")


def compare_file(old, new, tol):
    r = Result()
    if not os.path.exists(old):
        r.fault(old, "is not committed")
    elif new.endswith(".safetensors"):
        compare_tensors(oracle.read_safetensors(old), oracle.read_safetensors(new), tol, r)
    else:
        with open(old, encoding="utf-8") as f, open(new, encoding="utf-8") as g:
            compare_json(json.load(f), json.load(g), tol, r)
    return r


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("committed")
    p.add_argument("fresh")
    p.add_argument("--tol", type=float, default=1e-6)
    a = p.parse_args()
    files = sorted(os.path.relpath(os.path.join(d, f), a.fresh) for d, _, names in os.walk(a.fresh) for f in names
                   if f.endswith((".json", ".safetensors")))
    bad = 0
    print(f"{'file':<66}{'values':>9}{'worst':>10}  verdict")
    for f in files:
        r = compare_file(os.path.join(a.committed, f), os.path.join(a.fresh, f), a.tol)
        bad += bool(r.faults)
        print(f"{f:<66}{r.values:>9}{r.worst:>10.1e}  {'DIFFERS' if r.faults else 'same'}")
        for line in r.faults[:5]:
            print("    " + line)
        if len(r.faults) > 5:
            print(f"    and {len(r.faults) - 5} more")
    print(f"{len(files) - bad} passed, {bad} failed")
    sys.exit(1 if bad or not files else 0)


if __name__ == "__main__":
    main()
