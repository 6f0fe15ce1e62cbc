"""What every make_*.py here shares: bfloat16 in numpy, a deterministic safetensors writer, a JSON writer.

Written apart from MLX and from the safetensors package on purpose: these bytes are what the Go readers are tested with.
"""
import argparse
import json
import os
import struct

import numpy as np

# numpy dtype -> (safetensors tag, MLX name)
_TAGS = {
    "bool": ("BOOL", "bool"),
    "uint8": ("U8", "uint8"), "uint16": ("U16", "uint16"), "uint32": ("U32", "uint32"), "uint64": ("U64", "uint64"),
    "int8": ("I8", "int8"), "int16": ("I16", "int16"), "int32": ("I32", "int32"), "int64": ("I64", "int64"),
    "float16": ("F16", "float16"), "float32": ("F32", "float32"), "float64": ("F64", "float64"),
}
DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
          "float16", "bfloat16", "float32", "float64"]


class BF16:
    """An array of bfloat16, kept as its 16 bits. Rounds to nearest even, as hardware and MLX do."""

    def __init__(self, values=None, bits=None):
        if bits is None:
            f = np.ascontiguousarray(values, dtype=np.float32).reshape(np.shape(values))
            u = f.view(np.uint32)
            bits = ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)
            bits = np.where(np.isnan(f), np.uint16(0x7FC0), bits).astype(np.uint16).reshape(f.shape)
        self.bits = np.asarray(bits, dtype=np.uint16)

    @property
    def shape(self):
        return self.bits.shape

    def astype(self, dtype):
        return (self.bits.astype(np.uint32) << 16).view(np.float32).astype(dtype)

    def view(self, fn):
        """fn reorders elements (transpose, slice, reshape); it is applied to the bits."""
        return BF16(bits=fn(self.bits))


def cast(x, dtype):
    """x as dtype (an MLX name); float64 and integer sources go to bfloat16 through float32."""
    if isinstance(x, BF16):
        x = x.astype(np.float32)
    return BF16(x) if dtype == "bfloat16" else np.asarray(x).astype(np.dtype(dtype))


def dtype_name(x):
    return "bfloat16" if isinstance(x, BF16) else x.dtype.name


def f64(x):
    return x.astype(np.float64)


def write_safetensors(path, tensors, metadata=None):
    """tensors: name -> ndarray or BF16. Names sorted, header padded to 8 bytes: the same input gives the same bytes."""
    header, blobs, at = {}, [], 0
    if metadata:
        header["__metadata__"] = dict(sorted(metadata.items()))
    for name in sorted(tensors):
        t = tensors[name]
        raw = t.bits if isinstance(t, BF16) else np.asarray(t)
        tag = "BF16" if isinstance(t, BF16) else _TAGS[raw.dtype.name][0]
        blob = np.ascontiguousarray(raw).tobytes()
        header[name] = {"dtype": tag, "shape": list(raw.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)))
        f.write(head)
        f.writelines(blobs)


def read_safetensors(path):
    """name -> ndarray or BF16."""
    back = {tag: np.dtype(n) for n, (tag, _) in _TAGS.items()}
    with open(path, "rb") as f:
        data = f.read()
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    out = {}
    for name, e in header.items():
        lo, hi = e["data_offsets"]
        blob = data[8 + n + lo:8 + n + hi]
        if e["dtype"] == "BF16":
            out[name] = BF16(bits=np.frombuffer(blob, np.uint16).reshape(e["shape"]))
        else:
            out[name] = np.frombuffer(blob, back[e["dtype"]]).reshape(e["shape"])
    return out


def write_json(path, value, flat=()):
    """Indented JSON. Lists of scalars stay on one line; so does every element of the top-level lists named in flat."""
    def one(v):
        return json.dumps(v, ensure_ascii=False, sort_keys=False)

    def render(v, pad):
        if isinstance(v, dict) and v:
            body = []
            for k, x in v.items():
                if k in flat:
                    rows = ",\n".join(pad + "  " + one(e) for e in x)
                    body.append(f"{pad} {one(k)}: [\n{rows}\n{pad} ]")
                else:
                    body.append(f"{pad} {one(k)}: {render(x, pad + ' ')}")
            return "{\n" + ",\n".join(body) + f"\n{pad}}}"
        if isinstance(v, list) and v and any(isinstance(e, (dict, list)) for e in v):
            return "[\n" + ",\n".join(f"{pad} {render(e, pad + ' ')}" for e in v) + f"\n{pad}]"
        return one(v)

    with open(path, "w", encoding="utf-8") as f:
        f.write(render(value, "") + "\n")


def out_dir(default, doc):
    """The folder to write to: --out DIR, else default (the committed place)."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=default, help="folder to write to (default: the committed vectors)")
    out = p.parse_args().out
    os.makedirs(out, exist_ok=True)
    return out
