"""Answers a program's questions on a terminal of its own: JSON steps on standard input, program and arguments behind.

A step is [pattern, answer]: once pattern (a regular expression) has appeared after the step before, answer is typed. "@text" types the
number of the listed option that has text in it. Everything that appeared goes to standard output, and the program's code is ours.
"""
import json
import os
import re
import sys
import threading
import time

from ptyprocess import PtyProcess

steps = json.load(sys.stdin)
limit = time.time() + 90
program = PtyProcess.spawn(sys.argv[1:], env=dict(os.environ), cwd=os.getcwd(), dimensions=(200, 200))
seen, ended = "", threading.Event()


def read():
    global seen
    try:
        while True:
            seen += program.read(4096).decode("utf8", "replace")
    except EOFError:
        ended.set()


threading.Thread(target=read, daemon=True).start()
at = 0
for pattern, answer in steps:
    while not (found := re.compile(pattern).search(seen, at)):
        if ended.is_set() or time.time() > limit:
            sys.exit(f"{seen}\n[never asked {pattern!r}]")
        time.sleep(0.05)
    if answer.startswith("@"):
        options = re.findall(r"(\d+)[.)]\s+([^\n]*)", seen[at:])
        answer = next((number for number, label in options if answer[1:] in label), None)
        if answer is None:
            sys.exit(f"{seen}\n[no option for {pattern!r}]")
    at = found.end()
    time.sleep(0.1)  # a prompt that turns echo off does so after it was printed
    program.write((answer + "\r").encode())
while not ended.is_set() and time.time() < limit:
    time.sleep(0.05)
print(seen)
if not ended.is_set():
    program.terminate(force=True)
    sys.exit("[did not end]")
program.wait()
sys.exit(program.exitstatus or 0)
