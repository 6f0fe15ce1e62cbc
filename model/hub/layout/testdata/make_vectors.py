"""Writes mlx_lm.json: the tensors of mlx-lm's module trees for small configs and for those in shared/configs.

    make_vectors.py [--out DIR] [--configs ../shared/configs]

Nothing is computed: the arrays stay unevaluated. Of the big configs a hash of the list is kept; where they are not there,
what was committed of them is.
"""

import argparse
import hashlib
import importlib
import json
import pathlib

from mlx.utils import tree_flatten

HERE = pathlib.Path(__file__).parent
GEMMA4 = {
    "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "global_head_dim": 32,
    "vocab_size": 80, "vocab_size_per_layer_input": 72, "num_hidden_layers": 4, "sliding_window": 8,
    "layer_types": ["sliding_attention", "full_attention"] * 2, "num_kv_shared_layers": 0, "hidden_size_per_layer_input": 0,
    "use_double_wide_mlp": False, "attention_k_eq_v": False, "enable_moe_block": False, "tie_word_embeddings": True,
}
QWEN = {
    "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 80,
    "num_hidden_layers": 4, "full_attention_interval": 4, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    "linear_key_head_dim": 16, "linear_value_head_dim": 24, "linear_conv_kernel_dim": 4, "tie_word_embeddings": False,
}
MOE = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 48}


def nested(model_type, text, **changes):
    return {"model_type": model_type, "text_config": {"model_type": model_type + "_text", **text, **changes}}


CONFIGS = {
    "gemma3": {
        "model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 1,
        "head_dim": 16, "vocab_size": 80, "num_hidden_layers": 2, "sliding_window": 8, "sliding_window_pattern": 2,
    },
    "gemma4 with per-layer embeddings and shared keys": nested(
        "gemma4", GEMMA4, num_kv_shared_layers=2, hidden_size_per_layer_input=16, use_double_wide_mlp=True),
    "gemma4 whose values are keys": nested("gemma4", GEMMA4, attention_k_eq_v=True, num_global_key_value_heads=1),
    "gemma4 with experts": nested(
        "gemma4", GEMMA4, enable_moe_block=True, num_experts=8, top_k_experts=2, moe_intermediate_size=32, tie_word_embeddings=False),
    "gemma4 text alone": {"model_type": "gemma4_text", **GEMMA4},
    "qwen3.5": nested("qwen3_5", QWEN),
    "qwen3.5 tied": nested("qwen3_5", QWEN, tie_word_embeddings=True),
    "qwen3.5 with experts": nested("qwen3_5_moe", {**QWEN, **MOE}),
}


def tensors(config):
    module = importlib.import_module("mlx_lm.models." + config["model_type"])
    config = json.loads(json.dumps(config))
    if "text_config" in config:  # mlx-lm reads gemma4's vocabulary at the top level
        config.setdefault("vocab_size", config["text_config"]["vocab_size"])
    model = module.Model(module.ModelArgs.from_dict(config))
    if config["model_type"] == "gemma3_text":  # tied where a checkpoint has no head: sanitize takes it away
        del model.lm_head
    return sorted(f"{name} {list(a.shape)}" for name, a in tree_flatten(model.parameters()))


def real(folder):
    if not folder.is_dir():
        return json.loads((HERE / "mlx_lm.json").read_text())["real"]
    out = []
    for path in sorted(folder.glob("*.json")):
        lines = tensors(json.loads(path.read_text()))
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        out.append({"file": path.name, "tensors": len(lines), "sha256": digest})
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    parser.add_argument("--configs", type=pathlib.Path, default=HERE.parents[4] / "shared" / "configs")
    args = parser.parse_args()
    small = [{"name": name, "config": config, "tensors": tensors(config)} for name, config in CONFIGS.items()]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "mlx_lm.json").write_text(json.dumps({"small": small, "real": real(args.configs)}, indent=1) + "\n")


main()
