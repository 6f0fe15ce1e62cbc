"""Acceptance 2.7: the time to the first token of a 4,000-token turn that L0 serves, beside that of a cold one. Prints every
turn's row in short and exits with 1 when the ratio of medians passes the limit: warm_turn.py LIMIT ROUNDS [FLAGS of serve]."""
import statistics
import sys

from server import Server

limit, rounds = float(sys.argv[1]), int(sys.argv[2])


def rows(server):
    for k in range(rounds):
        text = server.text_of(k, 4000)
        yield server.turn(text)[1], server.turn(text + " And then?")[1]


with Server("--ctx", "8192", *sys.argv[3:]) as server:
    cold, warm = zip(*rows(server))
for name, turns in (("cold", cold), ("warm", warm)):
    for r in turns:
        print(f"{name}: {r['prompt_tokens']:,} tokens, {r['lookup_hit_tokens']:,} from L0, {r['prefill_tokens']:,} computed, first token after {r['ttft_ms']:.0f} ms")
ratio = statistics.median(r["ttft_ms"] for r in warm) / statistics.median(r["ttft_ms"] for r in cold)
print(f"ratio of medians: {100 * ratio:.2f} % of {100 * limit:.0f} % allowed")
sys.exit(ratio > limit)
