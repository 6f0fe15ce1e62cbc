"""The tiers and the limits on a lent GPU: tiers.py MODEL [FLAGS of serve]. Prints what it saw; exits with 1 when something does not hold.

A prompt of 4,000 tokens cold, from L0, and behind a kill -9 from the disk: the same greedy tokens, and the times to the first one.
Keys and values of 8 bits: fewer bytes. A limit on memory: what cannot fit is refused with figures, the rest is answered."""
import atexit
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

model, flags = sys.argv[1], sys.argv[2:]
words = open("README.md").read().split()
wrong = []


class Server:
    def __init__(self, *more):
        self.started = time.time()
        home = tempfile.mkdtemp(prefix="reprise-gpu-")
        self.process = subprocess.Popen(["bin/reprise", "serve", "--model", model, "--addr", "127.0.0.1:0", "--ctx", "65536", "--log-level", "warn", *flags, *more], stdout=subprocess.PIPE, text=True, env={**os.environ, "REPRISE_HOME": home})
        atexit.register(self.process.kill)
        self.base = next(w for w in self.process.stdout.readline().split() if w.startswith("http"))
        print(f"-- serve {' '.join(more)}: ready after {time.time() - self.started:.1f} s")

    def get(self, path):
        return json.load(urllib.request.urlopen(self.base + path, timeout=60))

    def ask(self, prompt, n=16):
        body = {"model": self.get("/v1/models")["data"][0]["id"], "prompt": prompt, "max_tokens": n, "temperature": 0, "reprise": {"ledger": True, "ids": True}}
        request = urllib.request.Request(self.base + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        usage = json.load(urllib.request.urlopen(request, timeout=300))["usage"]["reprise"]
        return usage["generated_ids"] if "generated_ids" in usage else usage["ids"], usage["row"]

    def stored(self):
        while self.get("/v1/cache/stats")["tiers"]["writer"]["waiting_turns"]:
            time.sleep(0.05)

    def end(self, hard=False):
        (self.process.kill if hard else self.process.terminate)()
        self.process.wait()


def holds(what, ok):
    print(("holds  " if ok else "FAILS  ") + what)
    if not ok:
        wrong.append(what)


def told(name, row):
    print(f"{name}: {row['prompt_tokens']:,} tokens, L0 {row['l0_hit_tokens']:,}, L1 {row['l1_hit_tokens']:,}, {row['prefill_tokens']:,} computed, first token after {row['ttft_ms']:.0f} ms, "
          f"{row['l1_read_bytes'] or 0:,} bytes read, KV {row['kv_live_bytes']:,} bytes, MLX peak {row['mlx_peak_bytes']:,}")


text = lambda k, n: " ".join(random.Random(k).choices(words, k=n))
disk = tempfile.mkdtemp(prefix="reprise-kv-")
s = Server("--cache-disk", disk)
s.ask(text(0, 1800), 4)  # kernels of these shapes
prompt = text(1, 1800)
first, cold = s.ask(prompt)
told("cold", cold)
s.stored()
again, warm = s.ask(prompt)
told("warm", warm)
kv16 = cold["kv_live_bytes"]
s.stored()
s.end(hard=True)
s = Server("--cache-disk", disk)
s.ask(text(0, 1800), 4)
back, l1 = s.ask(prompt)
told("behind a kill -9", l1)
holds("the same greedy tokens from L0 and from L1", first == again == back)
holds("all but a token from L0", warm["l0_hit_tokens"] == warm["prompt_tokens"] - 1)
holds("all but a token from L1", l1["l1_hit_tokens"] == l1["prompt_tokens"] - 1)
holds("the rows keep their identities", not any(r["identity_error"] for r in (cold, warm, l1)))
s.end()

s = Server("--kv-bits", "8")
_, row = s.ask(prompt)
told("keys and values of 8 bits", row)
holds(f"fewer bytes than {kv16:,}", row["kv_live_bytes"] < kv16)
s.end()

base = Server()
limits = base.get("/v1/cache/stats")["memory"]
print("memory", limits)
base.end()
limit = limits["base_bytes"] + 1_200_000_000
s = Server("--memory-limit", str(limit))
print("memory", s.get("/v1/cache/stats")["memory"])
try:
    _, row = s.ask(text(2, 27000), 4)
    holds("60,000 tokens are refused", False)
    told("the large one", row)
except urllib.error.HTTPError as refused:
    said = json.load(refused)["error"]["message"]
    print(refused.code, said)
    holds("60,000 tokens are refused with figures", refused.code == 400 and "bytes a token" in said)
for k in range(8):
    _, row = s.ask(text(3 + k, 900), 4)
    holds(f"request {k + 1} of eight: MLX's peak {row['mlx_peak_bytes']:,} within the limit", row["mlx_peak_bytes"] <= limit)
told("the last of eight others", row)
now = s.get("/v1/cache/stats")["memory"]
print("memory", now)
holds(f"never more than the limit of {limit:,}", row["mlx_active_bytes"] + row["mlx_cache_bytes"] <= limit)
s.end()
sys.exit(bool(wrong))
