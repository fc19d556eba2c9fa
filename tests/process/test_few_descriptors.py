"""Descriptors run out, on either side: who has one is served, who has none waits or is told so, and nobody spins.

(What else a daemon cannot do then: test_descriptors.py.)
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from daemon_process import LineClient, RunningDaemon
from process.timers import settings
from waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sets another process's limit with prlimit")
FREE = 5
COME = 20
# Half a second of waiting in which it looks at its door a few times.
MOST_CPU_S = 0.25
ALL_TAKEN = """
import contextlib, os, resource, sys
import torpor
client = torpor.Client(sys.argv[1])
client.status()
client.event("request_arrived")
client.close()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
with contextlib.suppress(OSError):
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
for ask in (client.status, lambda: client.event("request_arrived")):
    try:
        ask()
    except torpor.Unreachable as error:
        print(error)
os.close(taken.pop())
os.close(taken.pop())
print(client.event("request_arrived")["wrapper_event_seq"], client.status()["wrapper_event_seq"])
"""


def test_who_finds_no_place_waits_at_the_door_and_is_served_later(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    process = psutil.Process(daemon.pid)
    with daemon.connect() as first:
        first.call("status")
        before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (process.num_fds() + FREE, before[1]))
        lines = [daemon.connect() for _ in range(COME)]
        for line in lines:
            line.request("event", event="request_arrived")
        waiting = set(lines)
        until(lambda: waiting.difference_update(gone := answered(waiting)) or not gone, what="no further answer")
        assert COME - FREE <= len(waiting) < COME
        began_s = cpu_s(process)
        with pytest.raises(TimeoutError):  # nobody else's turn comes, and no daemon spins for it
            next(iter(waiting)).read_line(0.5)
        assert cpu_s(process) - began_s < MOST_CPU_S
        assert first.call("event", event="request_arrived")["changed"] is False  # who is in goes on
        until(lambda: make_room(lines, waiting), limit_s=20, what="answers to all")
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
        assert first.call("status")["wrapper_event_seq"] == COME + 1
    assert daemon.stop() == 0


def make_room(lines: list[LineClient], waiting: set[LineClient]) -> bool:
    """Close those who have their answer; say whether nobody waits any more."""
    for line in set(lines) - waiting:
        line.close()
    waiting -= answered(waiting)
    return not waiting


def answered(waiting: set[LineClient]) -> set[LineClient]:
    """Return those of whom an answer has come."""
    found = set()
    for line in waiting:
        with contextlib.suppress(TimeoutError):
            assert "result" in line.read_line(0.02)
            found.add(line)
    return found


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def test_a_client_without_descriptors_says_so_and_goes_on_with_some(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    done = subprocess.run(
        [sys.executable, "-c", ALL_TAKEN, str(home)], text=True, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    looked, asked, counted = done.stdout.splitlines()
    assert "Too many open files" in looked
    assert "ulimit -n" in looked
    assert "Too many open files" in asked
    assert counted == "2 2"
    assert daemon.stop() == 0
