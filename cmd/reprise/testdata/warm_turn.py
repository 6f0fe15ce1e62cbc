"""Acceptance 2.7: the time to the first token of a 4,000-token turn that L0 serves, beside that of a cold one. Prints every
turn's row in short and exits with 1 when the ratio of medians passes the limit: warm_turn.py LIMIT ROUNDS [FLAGS of serve]."""
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import urllib.request

limit, rounds = float(sys.argv[1]), int(sys.argv[2])
words = pathlib.Path("README.md").read_text().split()


def turn(base, text):
    body = {"model": "gemma-3-270m", "prompt": text, "max_tokens": 8, "temperature": 0, "reprise": {"ledger": True}}
    request = urllib.request.Request(base + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["usage"]["reprise"]["row"]


def rows(base):
    for k in range(rounds):
        text = " ".join(random.Random(k).choices(words, k=5000))
        # To the length: characters a token differ with the text. Asked for in the middle, so that nothing of the prompt is known.
        tokens = turn(base, text[2001:4001])["prompt_tokens"]
        text = text[: 2000 * 4000 // tokens]
        yield turn(base, text), turn(base, text + " And then?")


with tempfile.TemporaryDirectory() as home:
    server = subprocess.Popen(["bin/reprise", "serve", "--addr", "127.0.0.1:0", "--ctx", "8192", "--log-level", "error", *sys.argv[3:]], stdout=subprocess.PIPE, text=True, env={**os.environ, "REPRISE_HOME": home})
    try:
        base = next(w for w in server.stdout.readline().split() if w.startswith("http"))
        cold, warm = zip(*rows(base))
    finally:
        server.terminate()
        server.wait()
for name, turns in (("cold", cold), ("warm", warm)):
    for r in turns:
        print(f"{name}: {r['prompt_tokens']:,} tokens, {r['lookup_hit_tokens']:,} from L0, {r['prefill_tokens']:,} computed, first token after {r['ttft_ms']:.0f} ms")
ratio = statistics.median(r["ttft_ms"] for r in warm) / statistics.median(r["ttft_ms"] for r in cold)
print(f"ratio of medians: {100 * ratio:.2f} % of {100 * limit:.0f} % allowed")
sys.exit(ratio > limit)
