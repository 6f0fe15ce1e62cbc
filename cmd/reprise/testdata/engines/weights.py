"""The set-up's checkpoint in the two other forms that peers load: weights.py float32 CHECKPOINT OUT | gguf FILE CHECKPOINT OUT.

float32  a Hugging Face folder (transformers, vLLM): each quantized module dequantized. Needs MLX: the Python of model/parity/setup.sh.
gguf     the GGUF file that the checkpoint was imported from, with the checkpoint's names of special tokens in its vocabulary; its
         weights stay as they are, byte for byte. So llama.cpp makes the same ids of the same template.
"""
import json
import pathlib
import shutil
import struct
import sys


def float32(checkpoint, out):
    import mlx.core as mx

    mx.set_default_device(mx.cpu)
    source, out = pathlib.Path(checkpoint), pathlib.Path(out)
    out.mkdir(parents=True)
    config = json.loads((source / "config.json").read_text())
    form = config.pop("quantization", {})
    config.pop("reprise", None)
    tensors = mx.load(str(source / "model.safetensors"))
    wide = {}
    for name, value in tensors.items():
        module, _, part = name.rpartition(".")
        if part in ("scales", "biases") and f"{module}.weight" in tensors:
            continue
        if f"{module}.scales" in tensors:
            own = form.get(module, form)
            value = mx.dequantize(value, tensors[f"{module}.scales"], tensors[f"{module}.biases"], group_size=own["group_size"], bits=own["bits"])
        wide[name] = value.astype(mx.float32)
        mx.eval(wide[name])
    mx.save_safetensors(str(out / "model.safetensors"), wide, metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps({**config, "torch_dtype": "float32"}, indent=1))
    for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(source / name, out / name)
    return f"{len(tensors)} tensors became {len(wide)} of float32"


STRING, ARRAY = 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of GGUF's plain types, bytes


class Reader:
    """Walks over a GGUF file's head."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize(form)))[0]

    def text(self):
        return bytes(self.take(self.number("Q")))

    def skip(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            kind, n = self.number("I"), self.number("Q")
            if kind != STRING:
                self.take(n * SIZES[kind])
            else:
                for _ in range(n):
                    self.text()
        else:
            self.take(SIZES[kind])


def names(checkpoint):
    """The vocabulary by id."""
    tokens = json.loads((pathlib.Path(checkpoint) / "tokenizer.json").read_text())
    out = {i: piece for piece, i in tokens["model"]["vocab"].items()}
    out.update((t["id"], t["content"]) for t in tokens["added_tokens"])
    return out


def gguf(file, checkpoint, out):
    data, wanted = memoryview(pathlib.Path(file).read_bytes()), names(checkpoint)
    r = Reader(data)
    magic, _, tensors, pairs = bytes(r.take(4)), r.number("I"), r.number("Q"), r.number("Q")
    assert magic == b"GGUF", f"{file} is no GGUF file"
    alignment, span, pieces = 32, None, []
    for _ in range(pairs):
        key, kind = r.text(), r.number("I")
        if key == b"tokenizer.ggml.tokens":
            start = r.at + 12  # behind the kind and the count
            r.number("I")
            pieces = [r.text() for _ in range(r.number("Q"))]
            span = start, r.at
        elif key == b"general.alignment":
            alignment = r.number("I")
        else:
            r.skip(kind)
    for _ in range(tensors):
        r.text()
        r.take(8 * r.number("I") + 4 + 8)  # shape, type, offset from where the weights begin
    assert span, f"{file} has no vocabulary"
    # Runs of spaces are written otherwise here, which is no other name.
    renamed = {i: wanted[i] for i, piece in enumerate(pieces) if i in wanted and wanted[i].encode() != piece and wanted[i].strip("▁")}
    for i, name in renamed.items():
        pieces[i] = name.encode()
    head = bytes(data[:span[0]]) + b"".join(struct.pack("<Q", len(p)) + p for p in pieces) + bytes(data[span[1]:r.at])
    weights = -(-r.at // alignment) * alignment
    with open(out, "wb") as f:
        f.write(head + b"\0" * (-len(head) % alignment))
        f.write(data[weights:])
    return f"{len(renamed)} tokens renamed: " + " ".join(renamed[i] for i in sorted(renamed))


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    print({"float32": float32, "gguf": gguf}[what](*rest))
