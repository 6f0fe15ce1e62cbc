"""Writes mlx_lm.json: what mlx-lm's converter makes of the test's made-up checkpoints.

    REPRISE_CONVERT_DUMP=DUMP go test ./model/convert -run TheBytesAreMlxLms     writes the checkpoints
    make_vectors.py DUMP [--out DIR]

The steps are those of mlx_lm.convert without its tokenizer: load_model, the cast, quantize_model. One predicate is ours:
the table of per-layer embeddings at 8 bits.
"""

import argparse
import hashlib
import json
import pathlib

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map_with_path
from mlx_lm.convert import mixed_quant_predicate_builder
from mlx_lm.utils import load_model, quantize_model

DTYPES = {mx.bfloat16: "BF16", mx.float16: "F16", mx.float32: "F32", mx.uint32: "U32", mx.uint8: "U8"}


def digest(a):
    h = hashlib.sha256(f"{DTYPES[a.dtype]} {list(a.shape)} ".encode())
    h.update(np.array(a.flatten().view(mx.uint8)).tobytes())
    return h.hexdigest()[:16]


def predicate(model, options):
    if options["recipe"]:
        return mixed_quant_predicate_builder(options["recipe"], model, options["group_size"])
    own = getattr(model, "quant_predicate", None)

    def rule(path, module):
        if path.endswith("embed_tokens_per_layer"):
            return {"group_size": 64, "bits": 8}
        return own(path, module) if own else True

    return rule


def vector(folder):
    options = json.loads((folder / "options.json").read_text())
    model, config = load_model(folder, lazy=True)
    name = config.get("torch_dtype") or config.get("text_config", {}).get("dtype")
    cast = getattr(model, "cast_predicate", lambda _: True)

    def set_dtype(k, v):
        return v.astype(getattr(mx, name)) if cast(k) and mx.issubdtype(v.dtype, mx.floating) else v

    model.update(tree_map_with_path(set_dtype, model.parameters()))
    model, config = quantize_model(
        model, config, options["group_size"], options["bits"], mode=options["mode"], quant_predicate=predicate(model, options))
    tensors = {k: digest(v) for k, v in sorted(tree_flatten(model.parameters()))}
    return {"source": options["source"], "tensors": tensors, "quantization": config["quantization"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dump", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    args = parser.parse_args()
    mx.set_default_device(mx.cpu)
    out = {folder.name: vector(folder) for folder in sorted(args.dump.iterdir())}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "mlx_lm.json").write_text(json.dumps(out, indent=0) + "\n")


main()
