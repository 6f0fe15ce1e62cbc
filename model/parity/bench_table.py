"""Medians and ranges of alternating runs, and their ratio: bench_table.py REPRISE.jsonl PEER.jsonl"""
import json
import statistics
import sys


def rows(path):
    """One object a run. reprise's report nests its measurements; a peer's line is one."""
    out = []
    text, decoder, at = open(path).read(), json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        value, end = decoder.raw_decode(text, at)
        at = end
        while at < len(text) and text[at].isspace():
            at += 1
        out.append(value)
    return out


def figures(run):
    if "points" in run:
        run = run["points"][0]
    return run["prefill_tps"], run["decode_tps"]


ours, theirs = ([figures(r) for r in rows(p)] for p in sys.argv[1:3])
print(f"{'tok/s':<10}{'reprise':>28}{'mlx-lm':>28}{'ratio':>8}")
worst = 9e9
for i, what in enumerate(["prefill", "decode"]):
    a, b = ([r[i] for r in side] for side in (ours, theirs))
    ratio = statistics.median(a) / statistics.median(b)
    worst = min(worst, ratio)
    cell = lambda v: f"{statistics.median(v):.1f} ({min(v):.1f}–{max(v):.1f})"
    print(f"{what:<10}{cell(a):>28}{cell(b):>28}{ratio:>8.2f}")
sys.exit(worst < 0.9)
