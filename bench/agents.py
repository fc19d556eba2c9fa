"""What agents cost: a heartbeat among 100,000 beside one among 100, an agent's memory, and a start with them.

    make bench-agents        (or: .venv/bin/python bench/agents.py [ROUNDS])

Two daemons at once, asked in turns. What others do on the machine only ever adds, and more to who uses more memory: so
ratios are of the least of each, and every round is shown. Each of the promises at the end is said with what was found;
the exit status is 1 where one was not kept.

- A heartbeat's cost is what its sender pays, one at a time, there and back, and the daemon's own CPU time to answer it:
  beats of random agents, many on their way at once, so that waiting and waking up do not hide it. Each has to keep the
  promise. Beside them, that with storing the times seconds later: no promise, for 10,000 beats of 100 agents are 100
  rows, and of 100,000 agents nearly as many rows as beats.
- Memory is that of the whole process, before and after 100,000 agents have registered over the wire.
- A start is from the new process to its first answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

FEW, MANY = 100, 100_000
LINES = 1_000_000
ROUNDS = 7
BEATS = 10_000
SINGLE = 1_000
AT_ONCE = 256
STARTS = 5
KINDS = ("CPU of the daemon, to answer", "that, and to store its time", "one at a time, there and back")
# Nobody is to be taken for gone, and nothing else to happen by itself.
SETTINGS = '[agents]\nheartbeat_timeout = "10h"\n[lifecycle]\ndrowsy_after = "10h"\nsleep_after = "20h"\n'
BIN = pathlib.Path(sys.executable).parent


class Daemon:
    """A daemon of its own, and one connection to it."""

    def __init__(self, home: str) -> None:
        self.home = pathlib.Path(home)
        (self.home / "torpor.toml").write_text(SETTINGS)
        env = {key: value for key, value in os.environ.items() if not key.startswith("TORPOR_")}
        begun = time.perf_counter()
        with (self.home / "bench.log").open("ab") as log:
            self._process = subprocess.Popen([BIN / "torpord", "run", "--home", home], env=env, stderr=log)
        self._sock = self._connected()
        self._answers = self._sock.makefile("rb")
        self.asked("status")
        self.started_s = time.perf_counter() - begun

    def _connected(self) -> socket.socket:
        end_at = time.monotonic() + 60
        while True:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.connect(str(self.home / "torpor.sock"))
            except OSError:
                sock.close()
                if time.monotonic() > end_at or self._process.poll() is not None:
                    raise
                time.sleep(0.001)
            else:
                return sock

    def asked(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask one thing, and wait for the answer."""
        return self.asked_all(method, [params])[0]

    def asked_all(self, method: str, params: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Ask many things, some of them at once, and wait for all answers."""
        found = []
        lines = [json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": each}) + "\n" for each in params]
        for first in range(0, len(lines), AT_ONCE):
            some = lines[first : first + AT_ONCE]
            self._sock.sendall("".join(some).encode())
            for _ in some:
                answer = json.loads(self._answers.readline())
                assert "result" in answer, answer
                found.append(answer["result"])
        return found

    def cpu_s(self) -> float:
        """How much CPU time it has used so far."""
        return float(self.asked("status")["cpu_s"])

    def rss_bytes(self) -> int:
        """How much memory it has."""
        return int(self.asked("status")["rss_bytes"])

    def stop(self) -> None:
        """End it, and wait."""
        self.asked("stop")
        self._process.wait(60)
        self._answers.close()
        self._sock.close()


@contextlib.contextmanager
def homes(count: int) -> Iterator[list[str]]:
    """Give some homes."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(tempfile.TemporaryDirectory(prefix="tb-", dir="/tmp")) for _ in range(count)]


def name(number: int) -> str:
    """Name an agent as long as those of real ones are."""
    return f"claude-code:{number:08x}-6bb1-4e41-9a5c-70a1f4e6a2d3"


def register(daemon: Daemon, count: int) -> None:
    """Let agents register."""
    daemon.asked_all("agent.register", [{"agent_id": name(number)} for number in range(count)])


def beats(daemon: Daemon, agents: int, count: int) -> tuple[float, float, float]:
    """Return microseconds a heartbeat: the daemon's CPU time to answer one of many, that and to store them; and a trip.

    The trip is the median of one at a time, there and back.
    """
    named = [{"agent_id": name(random.randrange(agents))} for _ in range(count)]  # noqa: S311 - no secret
    before = daemon.cpu_s()
    daemon.asked_all("agent.heartbeat", named)
    answered_s = daemon.cpu_s() - before
    daemon.asked("event", event="request_arrived")  # a commit, which takes along what of them is not stored yet
    taken_s = daemon.cpu_s() - before
    trips = []
    for each in named[:SINGLE]:
        begun = time.perf_counter()
        daemon.asked("agent.heartbeat", **each)
        trips.append(time.perf_counter() - begun)
    return answered_s / count * 1e6, taken_s / count * 1e6, statistics.median(trips) * 1e6


def add_lines(home: str, count: int) -> None:
    """Give a closed store a long history."""
    with contextlib.closing(sqlite3.connect(pathlib.Path(home, "torpor.db"))) as db, db:
        (seq,) = db.execute("SELECT max(seq) FROM ledger").fetchone()
        body = json.dumps({"agent_id": name(1), "doing": "busy", "slot_id": None, "reason": ""})
        rows = ((seq + 1 + n, time.time(), 1.0, "agent_doing", body, '{"source":"client"}') for n in range(count))
        db.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", rows)


def start_s(home: str) -> float:
    """Start and stop one, and return how long its first answer took."""
    daemon = Daemon(home)
    daemon.stop()
    return daemon.started_s


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with homes(3) as (few_home, many_home, none_home):
        few, many = Daemon(few_home), Daemon(many_home)
        register(few, FEW)
        empty = many.rss_bytes()
        register(many, MANY)
        found = [(*beats(few, FEW, BEATS), *beats(many, MANY, BEATS)) for _ in range(rounds)]
        bytes_an_agent = (many.rss_bytes() - empty) / MANY
        few.stop()
        many.stop()
        add_lines(many_home, LINES)
        start_s(none_home)
        starts = [(start_s(none_home), start_s(many_home)) for _ in range(STARTS)]
    print(f"{'a heartbeat (us)':<34} {FEW:>8} {MANY:>8} {'ratio':>7}")
    for each in found:
        for what, one, other in zip(KINDS, each[:3], each[3:], strict=True):
            print(f"{what:<34} {one:>8.1f} {other:>8.1f} {other / one:>7.2f}")
    print(f"{'a start (ms), with none, with many':<34} ", end="")
    print("  ".join(f"{none * 1000:.0f} {there * 1000:.0f}" for none, there in starts), end="\n\n")
    more_s = min(there for _, there in starts) - min(none for none, _ in starts)
    least = [min(column) for column in zip(*found, strict=True)]
    ratios = [other / one for one, other in zip(least[:3], least[3:], strict=True)]
    cost = max(ratios[0], ratios[2])
    promises = [
        (f"a heartbeat among {MANY:,} at most 1.25 times as dear as among {FEW}", cost <= 1.25, f"{cost:.2f}"),
        ("at most 1,536 bytes of memory an agent", bytes_an_agent <= 1536, f"{bytes_an_agent:.0f}"),
        (f"a start with {MANY:,} and {LINES:,} lines within a second of one with none", more_s < 1, f"{more_s:.2f} s"),
    ]
    for promise, kept, what in promises:
        print(f"{'kept  ' if kept else 'BROKEN'} {promise}: {what}")
    for what, ratio in zip(KINDS, ratios, strict=True):
        print(f"       {what}: {ratio:.2f}")
    return 0 if all(kept for _, kept, _ in promises) else 1


if __name__ == "__main__":
    sys.exit(main())
