"""Small programs to be workers, a place that ends all of them, and who is left in a process group."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil

from torpord.host.worker_process import WorkerProcess
from waiting import until_async

Start = Callable[..., Awaitable[WorkerProcess]]

_BEFORE = """
import json, os, signal, socket, subprocess, sys, threading, time
pipe = socket.socket(fileno=int(sys.argv[1]))
lines = pipe.makefile("rb")
def tell(value):
    pipe.sendall(json.dumps(value).encode() + b"\\n")
def a_child():
    # It hears nothing that is asked nicely, and tells its parent when it is there.
    deaf = "trap '' TERM INT HUP; echo up; exec sleep 1000"
    child = subprocess.Popen(["sh", "-c", deaf], stdout=subprocess.PIPE)
    child.stdout.read(3)
    return child
"""
ECHO = "for line in lines: pipe.sendall(line)"
WAIT = "tell('up'); lines.read()"


def command(script: str) -> list[str]:
    """Return the command line of a worker, but for the descriptor at its end."""
    return [sys.executable, "-I", "-S", "-c", _BEFORE + script]


@contextlib.asynccontextmanager
async def workers() -> AsyncIterator[Start]:
    """Start workers from scripts; however the test ends, none is left."""
    started: list[WorkerProcess] = []

    async def start(script: str, **given: str) -> WorkerProcess:
        worker = await WorkerProcess.spawn(command(script), given)
        started.append(worker)
        return worker

    try:
        yield start
    finally:
        for worker in started:
            assert await worker.close()
            await gone(worker)


async def gone(worker: WorkerProcess) -> None:
    """Wait until nobody is left: who was killed is dead only when it has had a processor once more."""
    await until_async(lambda: not members(worker.pgid), what="the group is empty")


def members(pgid: int) -> list[int]:
    """Return the pids of a group; who only waits to be reaped is gone."""
    found = []
    for process in psutil.process_iter():
        # Each may end while it is looked at.
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == pgid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
