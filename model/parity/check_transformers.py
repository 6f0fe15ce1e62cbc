#!/usr/bin/env python3
"""check_transformers.py [gemma3|gemma4|qwen35]...: a third opinion on the tiny checkpoints, from transformers in float64.

    needs transformers 5.23.0 and torch 2.15.0 (large, so not part of `make parity`); run with any Python that has them.

For every tiny-* in model/FAMILY/testdata (default: every family) it loads the weights (quantized ones widened), runs every prompt
and its greedy continuation, and writes testdata/transformers.json: the largest disagreement with mlx-lm's logits, and whether the
greedy ids agree. Gemma 3: with transformers' own embedding scale and with mlx-lm's (the square root of hidden rounded to bfloat16).
Qwen 3.5: checkpoints in Hugging Face's layout are read by transformers itself.
"""
import glob
import json
import os
import sys

import numpy as np
import torch
import transformers

import gemma3_numpy
import gemma4_numpy
import oracle
import qwen35_numpy

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


def checkpoints(top):
    """The tiny checkpoints below top, each with its expectations and how many prompts they have."""
    for folder in sorted(glob.glob(os.path.join(top, "tiny-*"))):
        want = oracle.read_safetensors(os.path.join(folder, "expected.safetensors"))
        yield folder, want, sum(k.startswith("ids/") for k in want)


def opinion(model, want, count):
    """-> (largest disagreement in logits, whether the greedy ids agree)."""
    off, agree = 0.0, True
    for i in range(count):
        ids, out = want[f"ids/{i}"], want[f"greedy/{i}"]
        got = run(model, np.concatenate([ids, out]))
        off = max(off, np.abs(got[:len(ids)] - want[f"logits/{i}"]).max())
        agree &= list(got[len(ids) - 1:-1].argmax(-1)) == list(out)
    return float(f"{off:.1e}"), bool(agree)


def gemma3(top):
    rows = []
    for folder, want, count in checkpoints(top):
        model, ours = model_for(folder)
        own = max(np.abs(run(model, want[f"ids/{i}"]) - want[f"logits/{i}"]).max() for i in range(count))
        scale = float(oracle.BF16(np.sqrt(ours.cfg["hidden_size"])).astype(np.float64))
        model.model.embed_tokens.embed_scale.fill_(scale)
        model.model.embed_tokens.scalar_embed_scale = scale
        rounded, agree = opinion(model, want, count)
        rows.append({"checkpoint": os.path.basename(folder), "rounded_scale": rounded, "own_scale": float(f"{own:.1e}"), "greedy_agrees": agree})
    return rows


def gemma4(top):
    rows = []
    for folder, want, count in checkpoints(top):
        off, agree = opinion(gemma4_model(folder), want, count)
        rows.append({"checkpoint": os.path.basename(folder), "disagreement": off, "greedy_agrees": agree})
    return rows


def gemma4_model(folder):
    ours = gemma4_numpy.Gemma4(folder)
    c = {k: v for k, v in ours.cfg.items() if k not in ("architectures", "model_type", "dtype", "quantization", "quantization_config", "text_config")}
    c["vocab_size"] = len(ours.w["embed_tokens"])
    if "per_layer_config" in c:
        c["per_layer_config"] = {int(k): v for k, v in c["per_layer_config"].items()}
    state = {}
    for path, w in ours.w.items():
        layer, leaf = path.split(".")[1] if path.startswith("layers.") else "0", path.rpartition(".")[2]
        if path.endswith("switch_glu.up_proj") or int(layer) >= ours.own() and leaf in ("k_proj", "v_proj", "k_norm"):
            continue  # beside gate_proj; of no use
        if path.endswith("switch_glu.gate_proj"):
            w = np.concatenate([w, ours.w[path.replace("gate_proj", "up_proj")]], 1)
            path = path.replace("gate_proj", "gate_up_proj")
        bare = leaf in ("layer_scalar", "scale", "per_expert_scale") or ".experts." in path
        name = path.replace("switch_glu.", "") + ("" if bare else ".weight")
        state[name if path == "lm_head" else "model." + name] = torch.from_numpy(np.ascontiguousarray(w))
    config = transformers.Gemma4TextConfig(**c, attn_implementation="eager", experts_implementation="eager")
    model = transformers.Gemma4ForCausalLM(config).to(torch.float64).eval()
    missing, unknown = model.load_state_dict(state, strict=False)
    assert not unknown and set(missing) <= {"lm_head.weight"}, (folder, missing, unknown)
    if config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    return model


def qwen35(top):
    rows = []
    for folder, want, count in checkpoints(top):
        model, reads = qwen35_model(folder)
        off, agree = opinion(model, want, count)
        rows.append({"checkpoint": os.path.basename(folder), "reads_the_file": reads, "disagreement": off, "greedy_agrees": agree})
    return rows


def qwen35_model(folder):
    """transformers' model in float64, and whether it read the folder itself: it does where the layout is its own."""
    with open(os.path.join(folder, "config.json")) as f:
        text = json.load(f)["text_config"]
    kind = "Qwen3_5Moe" if "num_experts" in text else "Qwen3_5"
    config = getattr(transformers, kind + "TextConfig")(**{k: v for k, v in text.items() if k not in ("model_type", "dtype")},
                                                        attn_implementation="eager", experts_implementation="eager")
    cls = getattr(transformers, kind + "ForCausalLM")
    if "raw" in os.path.basename(folder):
        model, info = cls.from_pretrained(folder, config=config, dtype=torch.float64, output_loading_info=True)
        assert not any(info[k] for k in ("missing_keys", "mismatched_keys", "unexpected_keys", "error_msgs") if k in info), info
        return model.eval(), True
    state = {}
    ours = qwen35_numpy.Qwen35(folder).w
    for path, w in ours.items():
        if path.endswith(("layernorm", "q_norm", "k_norm", "model.norm")):
            w = w - 1
        elif path.endswith("conv1d"):
            w = np.swapaxes(w, 1, 2)
        elif path.endswith("switch_mlp.up_proj"):
            continue
        elif path.endswith("switch_mlp.gate_proj"):
            w = np.concatenate([w, ours[path.replace("gate_proj", "up_proj")]], 1)
            path = path.replace("switch_mlp.gate_proj", "experts.gate_up_proj")
        elif path.endswith("switch_mlp.down_proj"):
            path = path.replace("switch_mlp", "experts")
        name = path if path.endswith(("A_log", "dt_bias", "experts.gate_up_proj", "experts.down_proj")) else path + ".weight"
        state[name] = torch.from_numpy(np.ascontiguousarray(w))
    model = cls(config).to(torch.float64).eval()
    missing, unknown = model.load_state_dict(state, strict=False)
    assert not unknown and set(missing) <= {"lm_head.weight"}, (folder, missing, unknown)
    if config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    return model, False


FAMILIES = {"gemma3": gemma3, "gemma4": gemma4, "qwen35": qwen35}


def main():
    for family in sys.argv[1:] or FAMILIES:
        top = os.path.join(HERE, "..", family, "testdata")
        rows = FAMILIES[family](top)
        for row in rows:
            print(family, row)
        oracle.write_json(os.path.join(top, "transformers.json"), {
            "versions": {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}, "checkpoints": rows}, flat=("checkpoints",))


if __name__ == "__main__":
    main()
