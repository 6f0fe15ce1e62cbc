"""Acceptance 5.4 and 5.5 with the real server: budget.py turns COUNT BUDGET_MB | flood CLIENTS.
Prints what it measured and exits with 1 when something does not hold."""
import collections
import pathlib
import random
import sys
import threading
import time

from server import Server, words

MB = 1_000_000


def status(server, field):
    """Bytes, from the system: VmHWM is the most that the process ever had in memory, VmRSS what it has."""
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024


def highest(server, stop, seen):
    """The server resets VmHWM with each turn, so it is read often, and each value counts."""
    while not stop.is_set():
        seen.append(status(server, "VmHWM"))
        time.sleep(0.02)


def turns(count, budget_mb):
    """Conversations that come and go, far more than the budget holds: the footprint stays at budget + weights + a constant."""
    constant = 400 * MB  # the process, its libraries and tokenizer 130, freed buffers that MLX keeps 64, the turn in hand 100, the heaps' garbage
    server = Server("--device", "cpu", "--ctx", "8192", "--cache-mem", f"{budget_mb}MB")
    try:
        base = server.get("/v1/cache/stats")["memory"]["base_bytes"]
        weights = server.turn("Once", 1)[1]["weights_bytes"]
        seen, stop = [], threading.Event()
        watch = threading.Thread(target=highest, args=(server, stop, seen))
        watch.start()
        choose, talks, most_held, evicted, prompts = random.Random(7), [], 0, 0, 0
        for k in range(count):
            if not talks or choose.random() < 0.3:
                talks.append(" ".join(choose.choices(words, k=choose.choice((40, 150, 400, 900)))))
            i = choose.randrange(len(talks[-8:])) + max(0, len(talks) - 8)
            text, row = server.turn(talks[i], 8)
            assert row["identity_error"] is None, row
            talks[i] += text + " " + " ".join(choose.choices(words, k=20))
            most_held, evicted, prompts = max(most_held, row["kv_live_bytes"]), evicted + row["evicted_tokens"], prompts + row["prompt_tokens"]
            if k % 50 == 49:
                print(f"turn {k + 1}: {prompts:,} prompt tokens so far, {row['kv_live_bytes'] / MB:.1f} MB kept, footprint {row['footprint_bytes'] / MB:.0f} MB, most so far {max(seen) / MB:.0f} MB", flush=True)
        stop.set()
        watch.join()
    finally:
        server.stop()
    limit = budget_mb * MB + weights + constant
    print(f"{count} turns, {prompts:,} prompt tokens, {evicted:,} tokens evicted: kept at most {most_held / MB:.1f} MB of {budget_mb} MB; footprint at most {max(seen) / MB:.0f} MB, "
          f"allowed {limit / MB:.0f} MB = budget {budget_mb} + weights {weights / MB:.0f} + {constant / MB:.0f}; behind the load it was {base / MB:.0f} MB")
    return max(seen) > limit or most_held > budget_mb * MB or evicted == 0


def flood(clients):
    """60,000-token prompts that cannot fit, and shorter ones that can, all at once; then a normal request."""
    server = Server("--device", "cpu", "--ctx", "65536", "--cache-mem", "40MB")
    base = server.get("/v1/cache/stats")["memory"]["base_bytes"]
    server.stop()
    limit = base + 300 * MB
    server = Server("--device", "cpu", "--ctx", "65536", "--cache-mem", "40MB", "--memory-limit", str(limit))
    try:
        unit = server.turn(" ".join(words[:1000]), 1)[1]["prompt_tokens"] / 1000
        seen, stop = [], threading.Event()
        watch = threading.Thread(target=highest, args=(server, stop, seen))
        watch.start()
        answers, lock = collections.Counter(), threading.Lock()
        wrong = []

        def client(k):
            large = k % 3 != 0
            text = " ".join(random.Random(k).choices(words, k=int((50_000 if large else 1_500) / unit)))
            code, answer, headers = server.complete(text, 4)
            with lock:
                answers[("60k" if large else "1.5k", code)] += 1
                message = answer.get("error", {}).get("message", "")
                if code == 200:
                    row = answer["usage"]["reprise"]["row"]
                    if row["identity_error"]:
                        wrong.append(row["identity_error"])
                elif code == 400 and "bytes a token" in message or code == 503 and headers.get("Retry-After") and "bytes a token" in message:
                    if answers[code, "said"] == 0:
                        print(f"{code}: {message}")
                    answers[code, "said"] += 1
                else:
                    wrong.append((code, answer))

        threads = [threading.Thread(target=client, args=(k,)) for k in range(clients)]
        start = time.time()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        took = time.time() - start
        code, answer, _ = server.complete("The capital of France is", 4)
        stop.set()
        watch.join()
        memory = server.get("/v1/cache/stats")["memory"]
        rows = server.get("/v1/cache/ledger?since=")["rows"]
        broken = [r["identity_error"] for r in rows if r["identity_error"]]
        refused = [r for r in rows if r["finish_reason"] == "refused"]
        alive = server.process.poll() is None and code == 200
    finally:
        server.stop()
    print(f"{clients} clients in {took:.1f} s: " + ", ".join(f"{size} {code}: {n}" for (size, code), n in sorted(answers.items(), key=str) if code != "said"))
    print(f"footprint at most {max(seen) / MB:.0f} MB of {limit / MB:.0f} MB ({base / MB:.0f} MB behind the load); {memory['refused_never']} refused for good, {memory['refused_later']} for now, {memory['waited']} waited")
    print(f"afterwards: {code} {answer['choices'][0]['text'] if code == 200 else answer!r}; wrong {wrong[:3]}, broken rows {broken}")
    odd = [r["turn_id"] for r in refused if r["limited_by"] != "memory" or not r["unprefilled_tokens"]]
    large_served = answers["60k", 200]
    return bool(max(seen) > limit or wrong or broken or odd or not alive or large_served or not answers["1.5k", 200] or not refused)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    sys.exit(bool({"turns": turns, "flood": flood}[what](*[int(x) for x in rest])))
