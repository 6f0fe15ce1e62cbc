"""What the servers' own pages say, read without reprise's code, held against the columns of a run's turns.csv."""
import re
import urllib.request

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")


class Page:
    """A /metrics page at one moment, which is kept in a file."""

    def __init__(self, url, kept):
        with urllib.request.urlopen(url + "/metrics", timeout=30) as answer:
            text = answer.read().decode()
        kept.write_text(text)
        self.samples = [m.groups() for m in map(SAMPLE.match, text.splitlines()) if m]

    def total(self, name, label=""):
        """A counter over all its label sets that contain label; None when the page has none of it."""
        found = [float(value) for n, labels, value in self.samples if n == name and label in (labels or "")]
        return sum(found) if found else None


# Columns of turns.csv, and the counters that add up to the same: (program, counter, label).
REPRISE = {
    "prompt_tokens": [("reprise", "reprise_prompt_tokens_total", 'purpose="turn"')],
    **{f"{tier}_hit_tokens": [("reprise", "reprise_hit_tokens_total", f'purpose="turn",tier="{tier}"')] for tier in ("l0", "l1", "l2")},
    **{f"{kind}_tokens": [("reprise", f"reprise_{kind}_tokens_total", 'purpose="turn"')] for kind in ("matched", "recompute", "new", "displaced", "prefill", "generated")},
}
LLAMA = {
    "prompt_tokens": [("llama-server", "llamacpp:prompt_tokens_total", ""), ("llama-server", "llamacpp:prompt_tokens_cached_total", "")],
    "lookup_hit_tokens": [("llama-server", "llamacpp:prompt_tokens_cached_total", "")],
    "l0_hit_tokens": [("llama-server", "llamacpp:prompt_tokens_cached_total", "")],
    "prefill_tokens": [("llama-server", "llamacpp:prompt_tokens_total", "")],
    "generated_tokens": [("llama-server", "llamacpp:tokens_predicted_total", "")],
}
VLLM = {
    "prompt_tokens": [("vllm", "vllm:prompt_tokens_total", "")],
    "lookup_requested_tokens": [("vllm", "vllm:prefix_cache_queries_total", "")],
    "lookup_hit_tokens": [("vllm", "vllm:prefix_cache_hits_total", ""), ("vllm", "vllm:external_prefix_cache_hits_total", "")],
    "l0_hit_tokens": [("vllm", "vllm:prefix_cache_hits_total", "")],
    "lower_hit_tokens": [("vllm", "vllm:external_prefix_cache_hits_total", "")],
    "recompute_tokens": [("vllm", "vllm:prompt_tokens_recomputed_total", "")],
    "prefill_tokens": [("vllm", "vllm:prompt_tokens_by_source_total", 'source="local_compute"')],
    "generated_tokens": [("vllm", "vllm:generation_tokens_total", "")],
}
LMCACHE = {**VLLM, "lookup_requested_tokens": [VLLM["l0_hit_tokens"][0], ("vllm", "vllm:external_prefix_cache_queries_total", "")],
           "l1_hit_tokens + l2_hit_tokens": VLLM["lower_hit_tokens"]}
COLUMNS = {"reprise": REPRISE, "llamacpp": LLAMA, "vllm": VLLM, "lmcache": LMCACHE}


def of(engine, logs):
    """What there is to hold the engine's columns against. logs has what its programs print."""
    if engine.counts == "mlx-lm":
        return Log(logs / f"{engine.name}-{engine.programs[-1].name}.log")
    return Counters(engine, logs)


class Log:
    """mlx-lm's server has no /metrics. It logs "Prompt processing progress: DONE/ALL" of the part of each prompt that it computes."""

    def __init__(self, path):
        self.path = path

    def read(self):
        text = self.path.read_text(errors="replace")
        self.computed = sum(int(all) for done, all in re.findall(r"Prompt processing progress: (\d+)/(\d+)", text) if done == all)

    def held_against(self, rows):
        return [one("prefill_tokens", rows, "its log's \"Prompt processing progress\"", self.computed)]


class Counters:
    """The pages of an engine's programs, before the first turn; read takes them again behind the last one."""

    def __init__(self, engine, kept):
        self.columns, self.kept = COLUMNS[engine.counts], kept
        self.urls = {p.name: p.url for p in engine.programs if p.name != "valkey"}
        self.before = self.pages("before")

    def pages(self, moment):
        return {name: Page(url, self.kept / f"{name}.{moment}.txt") for name, url in self.urls.items()}

    def read(self):
        self.after = self.pages("after")

    def rose(self, counters):
        """By how much they did together; None when the page has none of them."""
        total = 0
        for program, name, label in counters:
            now = self.after[program].total(name, label)
            if now is None:
                return None
            total += now - (self.before[program].total(name, label) or 0)
        return total

    def held_against(self, rows):
        """For each column its sum over the turns and the counters' rise; wrong says what is."""
        return [one(column, rows, " + ".join(name + (f"{{{label}}}" if label else "") for _, name, label in counters), self.rose(counters))
                for column, counters in self.columns.items()]


def one(column, rows, counters, rose):
    values = [row[part] for row in rows for part in column.split(" + ")]
    total = None if "" in values else sum(int(v) for v in values)
    wrong = "" if total == rose else f"{column} is {total} over the turns, and {counters} rose by {rose}"
    return {"column": column, "sum": total, "counters": counters, "rose": rose, "wrong": wrong}
