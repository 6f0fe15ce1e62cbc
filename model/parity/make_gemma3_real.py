#!/usr/bin/env python3
"""make_gemma3_real.py CHECKPOINT [--out DIR]: greedy continuations of three prompts by mlx-lm on the real Gemma 3 270M.

    ~/.cache/reprise-build/parity-venv/bin/python model/parity/make_gemma3_real.py third_party/build/models/gemma-3-270m

Writes real-270m.json (default: model/gemma3/testdata). CHECKPOINT is what `reprise models import` wrote. Everything floating
is cast to float32 (scales and biases too); the continuation is taken once with the quantized modules packed and once with
them dequantized, and both must give the same ids. The sha256 says which file the ids belong to. About 3 minutes.
"""
import argparse
import glob
import hashlib
import os

import oracle

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = 32
PROMPTS = {
    "english": "The capital of France is",
    "code": "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "german": "Der Rhein entspringt in den Schweizer Alpen und mündet",
}


def digests(folder):
    """File name -> sha256 of every weight file."""
    out = {}
    for path in sorted(glob.glob(os.path.join(folder, "model*.safetensors"))):
        h = hashlib.sha256()
        with open(path, "rb") as f:
            while block := f.read(1 << 20):
                h.update(block)
        out[os.path.basename(path)] = h.hexdigest()
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint")
    p.add_argument("--out", default=os.path.join(HERE, "..", "gemma3", "testdata"))
    p.add_argument("--made-by", default="reprise models import", help="what wrote the checkpoint, for the record")
    a = p.parse_args()
    sums = digests(a.checkpoint)
    if not sums:
        raise SystemExit(f"{a.checkpoint}: no model*.safetensors; import the GGUF first")
    from tokenizers import Tokenizer

    import mlxlm
    tok = Tokenizer.from_file(os.path.join(a.checkpoint, "tokenizer.json"))
    bos = 2
    ids = {k: [bos] + tok.encode(t, add_special_tokens=False).ids for k, t in PROMPTS.items()}
    runs = {}
    for widen in (False, True):
        model = mlxlm.load(a.checkpoint, widen)
        runs[widen] = {k: mlxlm.greedy(model, v, STEPS) for k, v in ids.items()}
        del model
    rows = []
    for k, text in PROMPTS.items():
        (out, gaps), (wide, wide_gaps) = runs[False][k], runs[True][k]
        if out != wide:
            raise SystemExit(f"{k}: packed and dequantized weights part at token {next(i for i, (x, y) in enumerate(zip(out, wide)) if x != y)}")
        apart = max(abs(x - y) for x, y in zip(gaps, wide_gaps))
        print(f"{k}: min gap {min(gaps):.4f}, packed and dequantized {apart:.1e} apart: {tok.decode(out)!r}")
        rows.append({"name": k, "prompt": text, "ids": ids[k], "greedy": out, "gaps": [round(g, 4) for g in gaps], "text": tok.decode(out)})
    os.makedirs(a.out, exist_ok=True)
    oracle.write_json(os.path.join(a.out, "real-270m.json"), {
        "reference": "mlx-lm 0.32.2, mlx 0.32.2, CPU, weights, scales and activations float32; quantized modules packed, and dequantized: the same ids",
        "checkpoint": a.made_by, "sha256": sums, "prompts": rows})


if __name__ == "__main__":
    main()
