"""Acceptance 6.5: the 50-turn loop against other makes' servers with the same weights, and against reprise's, one at a time.

usage: engines.py [NAME…] [--layouts stable:50,moving:12] [--out DIR]     every NAME of servers.py when none is given

Each server is started anew for each layout; `reprise bench loop` fills turns.csv from what the server counts itself. Then the sums of its
columns are held against the server's counters, which are read here before the first turn and behind the last one. Prints a line for each
run and a table of all; --out gets runs/ENGINE-LAYOUT (bench loop's files), turns.csv (every turn of every run), engines.json (commands,
versions, totals), table.md and report.html. Exits with 1 when something does not hold.
Brought by: third_party/peers.sh llama.cpp mlx-lm vllm lmcache, third_party/valkey.sh.
"""
import argparse
import csv
import datetime
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile

import counters
import servers

PROFILE = "16gb-max-mlx-observability"
SHOWN = ["prompt_tokens", "lookup_hit_tokens", "l0_hit_tokens", "l1_hit_tokens", "l2_hit_tokens", "prefill_tokens", "recompute_tokens", "generated_tokens"]


def number(text):
    return None if text == "" else int(text)


def ids_of(run):
    """The prompts' ids of a run of reprise, turn by turn."""
    return [json.loads(line)["prompt_ids"] for line in (run / "trace.jsonl").open()]


def possible(prompts):
    """For each prompt, how many of its tokens begin some earlier prompt; its last one is always computed."""
    out = []
    for i, prompt in enumerate(prompts):
        longest = 0
        for earlier in prompts[:i]:
            n = 0
            while n < min(len(prompt), len(earlier)) and prompt[n] == earlier[n]:
                n += 1
            longest = max(longest, n)
        out.append(min(longest, len(prompt) - 1))
    return out


class Run:
    """An engine's turns under a layout: what bench loop wrote, and whether it is what the server counted."""

    def __init__(self, engine, layout, folder, turns):
        self.engine, self.layout, self.folder, self.turns = engine, layout, folder, turns
        self.problems, self.totals, self.again = [], [], None

    def command(self):
        """bench loop's arguments."""
        return ["bench", "loop", "--url", self.engine.programs[-1].url, "--engine", self.engine.counts, *self.engine.flags, "--profile", PROFILE, "--layout", self.layout,
                "--assistant", "scripted", "--max-tokens", "4", "--turns", str(self.turns), "--out", str(self.folder), "--check"]

    def drive(self, logs):
        self.load = os.getloadavg()[0]
        with servers.running(self.engine, logs):
            witness = counters.of(self.engine, logs)
            done = subprocess.run([servers.ROOT / "bin/reprise", *self.command()], capture_output=True, text=True)
            witness.read()
        if done.returncode:
            self.problems.append(f"bench loop exits with {done.returncode}: {(done.stderr or done.stdout).splitlines()[-1]}")
        self.rows = list(csv.DictReader((self.folder / "turns.csv").open()))
        trace = [json.loads(line) for line in (self.folder / "trace.jsonl").open()]
        self.first_tokens = [t["client_ttft_ms"] for t in trace]
        self.evidence = json.loads((self.folder / "summary.json").read_text())["evidence"]
        if len(self.rows) != self.turns:
            self.problems.append(f"{len(self.rows)} turns of {self.turns}")
        self.totals = witness.held_against(self.rows)
        self.problems += [t["wrong"] for t in self.totals if t["wrong"]]

    def beside(self, ours, could):
        """Holds the prompts against those of reprise's run, and counts what could have been reused and was computed."""
        mine, theirs = self.column("prompt_tokens"), ours.column("prompt_tokens")
        off = [i + 1 for i, (a, b) in enumerate(zip(mine, theirs)) if a != b]
        if off or len(mine) != len(theirs):
            self.problems.append(f"turn {(off or [len(mine)])[0]}: the prompt has {mine[off[0] - 1] if off else '?'} tokens, reprise's {theirs[off[0] - 1] if off else '?'} ({len(off)} turns differ)")
        elif None not in self.column("lookup_hit_tokens"):
            self.again = [max(0, n - hit) for n, hit in zip(could, self.column("lookup_hit_tokens"))]

    def column(self, name):
        return [number(r[name]) for r in self.rows]

    def sum(self, name):
        values = self.column(name)
        return None if None in values else sum(values)

    def times(self):
        """The first turn's time to the first token, and the median of the others that reused something; ms by the client's clock."""
        warm = [ms for ms, hit in zip(self.first_tokens[1:], self.column("lookup_hit_tokens")[1:]) if ms is not None and (hit or 0) > 1]
        return self.first_tokens[0], statistics.median(warm) if warm else None

    def figures(self):
        first, warm = self.times()
        out = {name: self.sum(name) for name in SHOWN}
        return {**out, "computed_again_tokens": None if self.again is None else sum(self.again), "ttft_first_ms": first, "ttft_reused_median_ms": warm}

    def line(self):
        f = {k: "null" if v is None else f"{v:,.0f}" for k, v in self.figures().items()}
        checked = [t for t in self.totals if t["rose"] is not None]
        agree = f"the sums of {len(checked)} columns equal the server's totals" if not self.problems else "DOES NOT HOLD: " + "; ".join(self.problems)
        return (f"{self.engine.name} {self.layout}: {len(self.rows)} turns, {f['prompt_tokens']} prompt tokens; reused l0 {f['l0_hit_tokens']}, l1 {f['l1_hit_tokens']}, l2 {f['l2_hit_tokens']}; "
                f"computed {f['prefill_tokens']}, of which again {f['computed_again_tokens']}; first token {f['ttft_first_ms']} ms in turn 1, median {f['ttft_reused_median_ms']} ms with reuse; "
                f"{agree}; load {self.load:.1f} at the start")

    def record(self):
        return {"engine": self.engine.name, "about": self.engine.about, "layout": self.layout, "servers": self.engine.command(),
                "loop": "bin/reprise " + " ".join(servers.quoted(a) for a in self.command()), "load_at_start": round(self.load, 2), "figures": self.figures(),
                "totals": self.totals, "evidence": {k: v for k, v in self.evidence.items() if k in (*SHOWN, "ttft_ms", "lower_hit_tokens")}, "problems": self.problems}


def table(runs):
    """A Markdown table of the runs."""
    lines = ["| layout | server | prompt tokens | reused l0 | l1 | l2 | computed | of which again | first token, turn 1, ms | with reuse, median, ms |", "|---|---|---|---|---|---|---|---|---|---|"]
    for run in runs:
        f = {k: "–" if v is None else f"{v:,.0f}" for k, v in run.figures().items()}
        lines.append(f"| {run.layout} | {run.engine.name} | {f['prompt_tokens']} | {f['l0_hit_tokens']} | {f['l1_hit_tokens']} | {f['l2_hit_tokens']} | {f['prefill_tokens']} | "
                     f"{f['computed_again_tokens']} | {f['ttft_first_ms']} | {f['ttft_reused_median_ms']} |")
    return "\n".join(lines) + "\n"


def written(runs, out, note):
    """The files of all runs together."""
    with (out / "turns.csv").open("w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(["engine", "layout", "turn", *SHOWN, "computed_again_tokens", "ttft_ms"])
        for run in runs:
            for i, row in enumerate(run.rows):
                again = "" if run.again is None else run.again[i]
                ms = run.first_tokens[i]
                w.writerow([run.engine.name, run.layout, i + 1, *(row[name] for name in SHOWN), again, "" if ms is None else f"{ms:.1f}"])
    git = subprocess.run(["git", "-C", servers.ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    machine = json.loads((runs[0].folder / "summary.json").read_text())["machine"]
    (out / "engines.json").write_text(json.dumps({
        "commit": git, "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"), "command": "engines.py " + " ".join(sys.argv[1:]),
        "platform": platform.platform(), "machine": machine, "runs": [r.record() for r in runs]}, indent=1) + "\n")
    (out / "table.md").write_text(table(runs))


def reported(runs, out):
    """The page of all runs, which must have each of them."""
    subprocess.run([servers.ROOT / "bin/reprise", "report", *(r.folder for r in runs), "-o", out / "report.html"], check=True, capture_output=True)
    page = (out / "report.html").read_text()
    missing = [r.folder.name for r in runs if r.folder.name not in page]
    if missing or not page.rstrip().endswith("</html>"):
        raise SystemExit(f"report.html is not whole, or lacks {missing}")
    print(table(runs) + f"{out}: runs/, turns.csv, engines.json, table.md, report.html ({len(page):,} bytes)", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("names", nargs="*", metavar="NAME", help=", ".join(servers.NAMES))
    ap.add_argument("--layouts", default="stable:50,moving:12", help="LAYOUT:TURNS,… (%(default)s)")
    ap.add_argument("--note", default="", help="a line for engines.json: what else ran on the machine, say")
    ap.add_argument("--out", type=pathlib.Path)
    a = ap.parse_args()
    unknown = set(a.names) - set(servers.NAMES)
    if unknown:
        ap.error(f"unknown: {', '.join(unknown)} (there are {', '.join(servers.NAMES)})")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through the finally clauses, which end the servers
    out = a.out or pathlib.Path(tempfile.mkdtemp(prefix="reprise-engines-"))
    out.mkdir(parents=True, exist_ok=True)
    runs, missing, ours = [], [], {}
    with tempfile.TemporaryDirectory(prefix="reprise-weights-") as folder:
        forms = servers.Forms(folder)
        for layout, turns in (part.split(":") for part in a.layouts.split(",")):
            for name in a.names or servers.NAMES:
                with tempfile.TemporaryDirectory(prefix="reprise-home-") as home:
                    run = Run(servers.engine(name, forms, home), layout, out / "runs" / f"{name}-{layout}", int(turns))
                    run.folder.mkdir(parents=True, exist_ok=True)
                    try:
                        run.drive(run.folder)
                    except (servers.NotReady, OSError, IndexError) as e:  # it did not come up, or died in its run
                        print(f"{name} {layout}: DOES NOT HOLD: {e}", flush=True)
                        missing.append(name)
                        continue
                if name == "reprise":
                    ours[layout] = run, possible(ids_of(run.folder))
                if layout in ours:
                    run.beside(*ours[layout])
                runs.append(run)
                print(run.line(), flush=True)
                written(runs, out, a.note)
    if runs:
        reported(runs, out)
    return bool(missing) or any(run.problems for run in runs)


if __name__ == "__main__":
    sys.exit(main())
