#!/usr/bin/env python3
"""check_transformers.py [FOLDER]: a third opinion on the tiny Gemma 3 checkpoints, from transformers in float64.

    needs transformers 5.23.0 and torch 2.15.0 (large, so not part of `make parity`); run with any Python that has them.

For every tiny-* in FOLDER (default model/gemma3/testdata) it loads the weights (quantized ones widened), runs every prompt and its
greedy continuation, and writes FOLDER/transformers.json: the largest disagreement with mlx-lm's logits, with transformers' own
embedding scale and with mlx-lm's (the square root of hidden rounded to bfloat16), and whether the greedy ids agree.
"""
import glob
import os
import sys

import numpy as np
import torch
import transformers

import gemma3_numpy
import oracle

HERE = os.path.dirname(os.path.abspath(__file__))


def model_for(folder):
    """transformers' model in float64, and our reader of the same folder."""
    ours = gemma3_numpy.Gemma3(folder)
    c = {k: v for k, v in ours.cfg.items() if k not in ("architectures", "model_type", "quantization", "quantization_config", "torch_dtype")}
    config = transformers.Gemma3TextConfig(**c, attn_implementation="eager")
    model = transformers.Gemma3ForCausalLM(config).to(torch.float64).eval()
    state = {k + ".weight": torch.from_numpy(np.ascontiguousarray(v)) for k, v in ours.w.items()}
    missing, unknown = model.load_state_dict(state, strict=False)
    assert not unknown and set(missing) <= {"lm_head.weight"}, (folder, missing, unknown)
    if "lm_head.weight" not in state:
        model.lm_head.weight = model.model.embed_tokens.weight
    return model, ours


def run(model, ids):
    with torch.no_grad():
        return model(torch.tensor([list(ids)])).logits[0].double().numpy()


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "gemma3", "testdata")
    rows = []
    for folder in sorted(glob.glob(os.path.join(top, "tiny-*"))):
        model, ours = model_for(folder)
        want = oracle.read_safetensors(os.path.join(folder, "expected.safetensors"))
        count = sum(k.startswith("ids/") for k in want)
        own = max(np.abs(run(model, want[f"ids/{i}"]) - want[f"logits/{i}"]).max() for i in range(count))
        scale = float(oracle.BF16(np.sqrt(ours.cfg["hidden_size"])).astype(np.float64))
        model.model.embed_tokens.embed_scale.fill_(scale)
        model.model.embed_tokens.scalar_embed_scale = scale
        rounded, agree = 0.0, True
        for i in range(count):
            ids, out = want[f"ids/{i}"], want[f"greedy/{i}"]
            got = run(model, np.concatenate([ids, out]))
            rounded = max(rounded, np.abs(got[:len(ids)] - want[f"logits/{i}"]).max())
            agree &= list(got[len(ids) - 1:-1].argmax(-1)) == list(out)
        row = {"checkpoint": os.path.basename(folder), "rounded_scale": float(f"{rounded:.1e}"), "own_scale": float(f"{own:.1e}"), "greedy_agrees": bool(agree)}
        print(row)
        rows.append(row)
    oracle.write_json(os.path.join(top, "transformers.json"), {
        "versions": {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}, "checkpoints": rows}, flat=("checkpoints",))


if __name__ == "__main__":
    main()
