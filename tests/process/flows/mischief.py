"""A flow whose first attempt does to its worker, and to the pipe, what an author's code may do to them."""
# ruff: noqa: ANN201 - what a state returns is as its author finds it

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time

from torpord import Complete, Flow, Run

mischief = Flow("mischief")


@mischief.state(initial=True)
async def act(run: Run):
    if run.attempt == 1:
        ACTS[run.data["do"]]()
    return "over"


@mischief.state
async def over(run: Run):
    return Complete(run.data["do"])


bounded = Flow("bounded")


@bounded.state(initial=True, retries=1, timeout=0.3, to="well")
async def try_it(run: Run):
    if run.attempt == 1:
        ACTS[run.data["do"]]()
    return well


@bounded.state
async def well(run: Run):
    return Complete(run.data["do"])


def memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    bytearray(2 << 30)


def spin() -> None:
    while True:
        pass


def flood() -> None:
    for _ in range(100):
        sys.stdout.write("y" * 1_000_000)


def pipe(data: bytes) -> None:
    """Write to the pipe to the daemon, past the worker; then say nothing more."""
    fd = int(sys.argv[1])
    os.set_blocking(fd, True)
    while data:
        data = data[os.write(fd, data) :]
    time.sleep(3600)


def said(outcome: dict[str, object], **more: object) -> None:
    """Report the end of the step that is running, in words that no worker has."""
    place = {"branch": "", "state": "act", "visit": 1, "attempt": 1}
    figures = {"set": {}, "removed": [], "duration_s": 1, "cpu_s": 1, "peak_rss_bytes": 1}
    pipe(json.dumps({"t": "ended", "n": 1, **place, **figures, "outcome": outcome, **more}).encode() + b"\n")


ACTS = {
    "exit": lambda: os._exit(3),
    "segv": lambda: ctypes.string_at(0),
    "killed as for want of memory": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "close the pipe": lambda: (os.close(int(sys.argv[1])), time.sleep(3600)),
    "nonsense": lambda: pipe(b"nonsense\n" * 1000),
    "a long line": lambda: pipe(b"y" * 10_000_000),
    "a deep line": lambda: pipe(b"[" * 100_000 + b"\n"),
    "a deep result": lambda: said({"complete": json.loads("[" * 200 + "]" * 200)}),
    "a visit beyond SQLite": lambda: said({"next": "act", "visit": 2**64 - 1}),
    "memory beyond JSON": lambda: said({"next": "over", "visit": 1}, peak_rss_bytes=1e300),
    "no progress": lambda: pipe(b'{"t":"progress","branch":[],"done":{},"of":1,"note":1}\n'),
    "memory": memory,
    "sleep": lambda: time.sleep(3600),
    "spin": spin,
    "hold the interpreter": lambda: ctypes.PyDLL(None).sleep(3600),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "flood": flood,
}

burning = Flow("burning")


@burning.state(initial=True)
def burn(run: Run):
    kept = b"y" * (64 << 20)
    until_s = time.process_time() + 0.3
    while time.process_time() < until_s:
        pass
    return Complete(len(kept))
