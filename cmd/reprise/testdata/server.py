"""A reprise server for the drivers beside this file, which are run from the root of a checkout after `make binary`."""
import json
import os
import pathlib
import random
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PROGRAM = "bin/reprise"
MODEL = "gemma-3-270m"
words = pathlib.Path("README.md").read_text().split()  # that prompts are made of


class Server:
    """`reprise serve` with flags, on a free port, with a home of its own. As a context it ends with it."""

    def __init__(self, *flags):
        self._folder = tempfile.TemporaryDirectory(prefix="reprise-driver-")  # removed with the server's object
        self.env = {**os.environ, "REPRISE_HOME": self._folder.name}
        self.process = subprocess.Popen([PROGRAM, "serve", "--addr", "127.0.0.1:0", "--log-level", "error", *flags], stdout=subprocess.PIPE, text=True, env=self.env)
        line = self.process.stdout.readline()
        if not line.startswith("ready: "):
            self.stop()
            raise RuntimeError(f"{PROGRAM} serve {' '.join(flags)} did not get ready: {line!r}, exit code {self.process.returncode}")
        self.base = line.split()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def get(self, path):
        with urllib.request.urlopen(self.base + path, timeout=60) as answer:
            return json.load(answer)

    def complete(self, text, n):
        """Has a text continued by n tokens: status, answer and headers, of a refusal as well."""
        body = {"model": MODEL, "prompt": text, "max_tokens": n, "temperature": 0, "reprise": {"ledger": True}}
        request = urllib.request.Request(self.base + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return answer.status, json.load(answer), answer.headers
        except urllib.error.HTTPError as e:
            return e.code, json.load(e), e.headers

    def turn(self, text, n=8):
        """The answer's text and its row in the ledger."""
        status, answer, _ = self.complete(text, n)
        if status != 200:
            raise RuntimeError(f"status {status}: {answer}")
        return answer["choices"][0]["text"], answer["usage"]["reprise"]["row"]

    def text_of(self, seed, tokens):
        """A text of about so many tokens: characters a token differ with the text. Asked for in the middle, so that nothing of
        the prompt is known."""
        text = " ".join(random.Random(seed).choices(words, k=5000))
        n = self.turn(text[2001:4001], 1)[1]["prompt_tokens"]
        return text[: 2000 * tokens // n]

    def stored(self):
        """Waits until what the turns left is stored, and returns the tiers' counters."""
        while True:
            tiers = self.get("/v1/cache/stats")["tiers"]
            if tiers["writer"]["waiting_turns"] == 0:
                return tiers
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait()
