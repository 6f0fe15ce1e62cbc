#!/usr/bin/env python3
"""Makes this folder's tokenizers and their expected ids and texts.

usage: python3 make.py            (needs tokenizers==0.23.3; any Python 3.11)

fallback.json   Gemma's kind: byte-fallback BPE, "▁" for a space, tokens cut out of the text
prefixed.json   Llama's kind: the same, with a space before the first word that decoding strips
bytelevel.json  Qwen's kind: byte-level BPE with a splitting pattern
vectors.json    per tokenizer: texts with their ids, id sequences with their bytes' text

The texts of id sequences are not the library's decode but computed here, from
the pieces' bytes and Python's own UTF-8 decoder (errors="replace").
"""
import json, random
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = """The quick brown fox jumps over the lazy dog. The capital of France is Paris, and the capital of Italy is Rome.
func main() { fmt.Println("hello, world") } // a comment, then  two spaces and\ta tab
Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Voix ambiguë d'un cœur qui, au zéphyr.
Съешь же ещё этих мягких французских булок, да выпей чаю. Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.
いろはにほへと ちりぬるを 我が世誰ぞ 常ならむ。天地玄黄 宇宙洪荒 日月盈昃 辰宿列張。
다람쥐 헌 쳇바퀴에 타고파. नमस्ते दुनिया, यह एक परीक्षण है। مرحبا بالعالم هذا اختبار. שלום עולם
""".splitlines()

TEXTS = [
    "", " ", "  ", "a", "Hello, world!", " leading", "trailing ", "two  spaces   three", "line\nbreak\r\n\ttab\n\n\n",
    "The capital of France is", "Größe, façade, naïve, cœur, ŒUVRE, İstanbul, ẞ", "e\u0301 combining, e\u0302\u0323 two",
    "Съешь же ещё этих мягких булок", "Ξεσκεπάζω την ψυχοφθόρα", "いろはにほへと、漢字とカタカナ。", "天地玄黄，宇宙洪荒", "다람쥐 헌 쳇바퀴",
    "नमस्ते दुनिया", "مرحبا بالعالم", "שלום עולם", "ไทยภาษา ทดสอบ", "𐎀𐎁 𒀀𒁀 cuneiform", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛",
    "😀", "👩‍👩‍👧‍👦 family", "🏳️‍🌈🏴‍☠️", "🇫🇷🇩🇪 flags", "👍🏽 skin tone", "a😀b😀😀c", "\u200b\u200d\ufeff zero width", "\ufffd replacement",
    "▁literal▁", "<0x41> literal byte token", "x<s>y</s>z", "<s>", "<turn>user\nhi</turn>\n", "tool<tool>{}<tool call>", "\u2028\u0085\u00a0spaces",
    "1234567890 3.14159 0xDEADBEEF 1e-9", 'json {"a": [1, 2.5, null], "b": "\\u00e9"}', "\U0010ffff\U000e0001", "\x01\x02\x7f control",
]
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<turn>", "</turn>"]


def add_tokens(t):
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    t.add_tokens([AddedToken(s, special=False, normalized=False) for s in ["<tool>", "<tool call>", "\n\n", "\n\n\n"]])


def sentencepiece(prefixed):
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    spaces = normalizers.Replace(" ", "▁")
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaces]) if prefixed else spaces
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    t.decoder = decoders.Sequence(steps + [decoders.Strip(" ", 1, 0)] if prefixed else steps)
    t.post_processor = None
    trainer = trainers.BpeTrainer(vocab_size=700, show_progress=False, max_token_length=12,
                                  special_tokens=SPECIAL + [f"<0x{b:02X}>" for b in range(256)])
    words = [w for line in CORPUS[:4] for w in line.split()]  # the other scripts fall back to bytes
    t.train_from_iterator(words + [" " + w for w in words], trainer)
    # The trainer needs byte tokens as special tokens; a real file has them in the vocabulary only.
    spec = json.loads(t.to_str())
    spec["added_tokens"] = []
    t = Tokenizer.from_str(json.dumps(spec))
    add_tokens(t)
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", t.token_to_id("<s>"))])
    return t


def bytelevel():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=600, show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    add_tokens(t)
    return t


def byte_table():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in printable]
    return {**{chr(b): b for b in printable}, **{chr(256 + i): b for i, b in enumerate(rest)}}


def piece_bytes(name, piece, table=byte_table()):
    if name == "bytelevel":
        return bytes(table[c] for c in piece) if all(c in table for c in piece) else piece.encode()
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("▁", " ").encode()


def decode(name, t, ids, special, skip):
    data = b"".join(piece_bytes(name, t.id_to_token(i)) for i in ids if not (skip and i in special))
    if name == "prefixed" and data.startswith(b" "):
        data = data[1:]
    return data.decode("utf-8", errors="replace")


def sequences(name, t, rng):
    """Random ids; then byte tokens that make broken UTF-8 of every kind."""
    size = t.get_vocab_size()
    yield from ([rng.randrange(size) for _ in range(rng.randrange(1, 40))] for _ in range(60))
    by_byte = {piece_bytes(name, t.id_to_token(i)): i for i in range(size) if len(piece_bytes(name, t.id_to_token(i))) == 1}
    broken = ["80", "c0 80", "c2", "c2 41", "e0 80 80", "e0 a0", "e0 a0 41", "ed a0 80", "ef bf bd", "f0 80 80 80", "f0 9f", "f0 9f 98", "f0 9f 98 41",
              "f0 9f 98 80 f0 9f", "f4 90 80 80", "f5 80", "ff fe", "e4 bd a0 ff e5 a5 bd", "41 80 42", "e2 96 81", "00", "41 00 42", "20 20", "f0 9f 98 e4 bd a0"]
    for case in broken:
        yield [by_byte[bytes([int(b, 16)])] for b in case.split()]
    if name != "bytelevel":  # a special token inside a character: skipping it joins the halves
        yield [by_byte[b"\xe4"], t.token_to_id("</s>"), by_byte[b"\xbd"], by_byte[b"\xa0"]]


def main():
    vectors = {}
    for name, t in {"fallback": sentencepiece(False), "prefixed": sentencepiece(True), "bytelevel": bytelevel()}.items():
        spec = json.loads(t.to_str())
        with open(name + ".json", "w", encoding="utf-8") as f:
            json.dump(spec, f, ensure_ascii=False, indent=0)
        special = {t.token_to_id(s) for s in SPECIAL}
        rng = random.Random(20)
        vectors[name] = {
            "texts": [{"text": s, "ids": t.encode(s, add_special_tokens=False).ids, "with_special": t.encode(s).ids} for s in TEXTS],
            "sequences": [{"ids": ids, "kept": decode(name, t, ids, special, False), "skipped": decode(name, t, ids, special, True)}
                          for ids in sequences(name, t, rng)],
        }
    with open("vectors.json", "w", encoding="utf-8") as f:
        json.dump(vectors, f, separators=(",", ":"))


if __name__ == "__main__":
    main()
