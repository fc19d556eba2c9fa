"""What it costs as a process: `torpor send` as a whole, a start to the first answer, memory, wake-ups."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from rows import AT_MOST, Row
from send import measured
from sides import AWAKE, BIN, Process, environment, folder, load, redis, torpord, until

EVENTS = 10_000
STATUS = b'{"jsonrpc":"2.0","id":1,"method":"status"}\n'
# At rest: its last touch is stored, and nothing is due for hours.
SETTLED_S = 8.0


def sending(runs: int) -> list[Row]:
    """Measure `torpor send` beside a bare interpreter and redis's own client, in turns."""
    python = Row("torpor send, a whole process", "python -c pass", "ms", AT_MOST, 1.5)
    client = Row("torpor send, a whole process", "redis-cli ping", "ms", AT_MOST, 4)
    with folder() as at, torpord(at / "t"), redis(at / "r") as other:
        commands = {
            "send": [str(BIN / "torpor"), "send", "request_arrived"],
            "pass": [sys.executable, "-c", "pass"],
            "ping": ["redis-cli", "-s", other.socket, "ping"],
        }
        for _ in range(runs):
            found = measured(commands, 10, environment(str(at / "t")))
            python.ours.append(found["send"])
            client.ours.append(found["send"])
            python.theirs.append(found["pass"])
            client.theirs.append(found["ping"])
    return [python, client]


def first_answer_s(path: pathlib.Path, begun: float) -> float:
    """Ask until somebody answers; returns how long ago `begun` was then."""
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(str(path))
            sock.sendall(STATUS)
            if sock.recv(65536):
                return time.perf_counter() - begun
        time.sleep(0.0005)


def starting(runs: int) -> list[Row]:
    """Measure a start to its first answer, with a socket of its own and with one that is handed over."""
    beside = 'python -c "import asyncio"'
    spawned = Row("start to first answer, own socket", beside, "ms", AT_MOST, 3.5)
    handed = Row("start to first answer, by connect (systemd-socket-activate)", beside, "ms", AT_MOST, 3.5)
    activate = shutil.which("systemd-socket-activate")
    with folder() as at, torpord(at / "t"):
        pass
    with folder() as at:
        home = at / "t"
        with torpord(home):
            pass
        command = [str(BIN / "torpord"), "run", "--home", str(home)]
        for _ in range(runs):
            begun = time.perf_counter()
            process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
            spawned.ours.append(first_answer_s(home / "torpor.sock", begun) * 1000)
            process.terminate()
            process.wait(60)
            if activate is not None:
                options = [activate, "--listen", str(home / "torpor.sock")]
                manager = subprocess.Popen([*options, *command], env=environment(), stderr=subprocess.DEVNULL)
                until((home / "torpor.sock").exists, "the manager's socket")
                handed.ours.append(first_answer_s(home / "torpor.sock", time.perf_counter()) * 1000)
                manager.terminate()
                manager.wait(60)
                (home / "torpor.sock").unlink(missing_ok=True)
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import asyncio"], check=True)
            for row in (spawned, handed):
                row.theirs.append((time.perf_counter() - begun) * 1000)
    return [spawned, handed] if handed.ours else [spawned]


@contextlib.contextmanager
def interpreter() -> Iterator[Process]:
    """Run a bare interpreter that waits."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    try:
        time.sleep(0.3)
        yield Process(process.pid, "")
    finally:
        process.communicate("\n")


def resting(rounds: int, idle_s: float) -> list[Row]:
    """Measure the memory after many events, in WAKE and in DROWSY, and the wake-ups of one that is idle."""
    bare = "a bare interpreter"
    wake = Row(f"memory in WAKE after {EVENTS:,} events", bare, "MiB", AT_MOST, 3.5)
    drowsy = Row(f"memory in DROWSY after {EVENTS:,} events", bare, "MiB", AT_MOST, 3.5)
    idle = Row(f"wake-ups in {idle_s:g} s of rest", "gpg-agent", "times", AT_MOST, 0)
    soon = AWAKE.replace('drowsy_after = "10h"', 'drowsy_after = "4s"')
    for _ in range(rounds):
        with folder() as at, torpord(at / "t") as torpor, torpord(at / "d", soon) as other, interpreter() as plain:
            for each in (torpor, other):
                sent = 0
                while sent < EVENTS:
                    sent += load(each, "torpor", 50, seconds=0.5)["requests"]
            until(lambda at=at: '"DROWSY"' in (at / "d" / "lifecycle_state.json").read_text(), "DROWSY")
            wake.ours.append(torpor.rss_bytes() / 2**20)
            drowsy.ours.append(other.rss_bytes() / 2**20)
            for row in (wake, drowsy):
                row.theirs.append(plain.rss_bytes() / 2**20)
            time.sleep(SETTLED_S)
            before, agent = torpor.switches() + other.switches(), gpg_switches(at, idle_s)
            idle.ours.append(torpor.switches() + other.switches() - before)
            if agent is not None:
                idle.theirs.append(agent)
    idle.note = "of two daemons at rest, one in WAKE and one in DROWSY: all threads' voluntary context switches"
    return [wake, drowsy, idle]


def gpg_switches(at: pathlib.Path, idle_s: float) -> int | None:
    """Count the wake-ups of a gpg-agent that nobody asks, over that time; None, after it, where there is none."""
    program = shutil.which("gpg-agent")
    if program is None:
        time.sleep(idle_s)
        return None
    home = at / "g"
    home.mkdir(mode=0o700)
    env = {**os.environ, "GNUPGHOME": str(home)}
    command = [program, "--homedir", str(home), "--supervised"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(home / "S"))
        listener.listen()
        del command[-1]
        process = subprocess.Popen(
            [*command, "--daemon", "--no-detach"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            time.sleep(1)
            agent = Process(process.pid, "")
            before = agent.switches()
            time.sleep(idle_s)
            return agent.switches() - before
        finally:
            process.terminate()
            process.wait(60)
