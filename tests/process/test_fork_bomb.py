"""A command of a flow that forks without end: the daemon answers meanwhile, and at its time-out all of it ends at once.

What leaves the group (setsid) is for the service manager's cgroup: tests/service/test_fork_bomb.py.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import psutil

from daemon_process import RunningDaemon
from process.flow_runs import assert_whole_after, history_at_end, until
from process.timers import settings

# Thirty-two that fork as fast as they can, and those they came from. So many and no more: others use the machine, too.
BOMB = "bomb() { [ $1 -gt 0 ] || while :; do (:) & done; bomb $(($1 - 1)) & bomb $(($1 - 1)) & wait; }; bomb 5 #"
LEAST = 40
SETTINGS = """
[[flows.bomb.steps]]
name = "bomb"
command = ["/bin/sh", "-c", '{bomb}']
timeout = "5s"
"""
SOON_S = 2.0
RUNS = 5  # a worker is the least of all processes: on a busy machine it may get nowhere in a time-out


def of_the_bomb(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(mark in word for word in process.cmdline()):
                found.append(process)
    return found


def test_a_bomb_ends_with_its_step(home: Path) -> None:
    mark = f"bomb of {home}"
    daemon = RunningDaemon.start(home, settings(SETTINGS.format(bomb=BOMB + mark)))
    for _ in range(RUNS):
        with daemon.connect() as line:
            run_id = line.call("run.start", flow="bomb")["run_id"]
            most, took_s = 0, []
            while line.call("run.get", run_id=run_id)["run"]["status"] == "running":
                began_at = time.monotonic()
                line.call("event", event="request_arrived")
                took_s.append(time.monotonic() - began_at)
                if most < LEAST:  # a look at all processes takes its time among so many
                    most = len(of_the_bomb(mark))
        assert max(took_s) < SOON_S
        assert history_at_end(daemon, run_id).outcomes == ["bomb.1.1 timeout"]
        until(lambda: not of_the_bomb(mark), limit_s=5, what="the end of all of it")
        if most >= LEAST:
            break
    assert most >= LEAST, "there was no bomb"
    assert_whole_after(daemon)
