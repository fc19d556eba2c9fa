"""A run of two hundred states under `kill -9` at random: it completes, and the outside has each effect exactly once."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.flow_runs import (
    BROKEN_OFF,
    assert_once,
    assert_whole_after,
    flow_settings,
    history_at_end,
    lives,
    start,
    until,
)
from process.flows.outside import marks
from process.reading import assert_whole

# A kill may come while the disk syncs, and some do.
pytestmark = pytest.mark.disk

ROUNDS = 23
VISITS = 9 * ROUNDS + 1
EFFECTS = 9 * ROUNDS
KILLS = 10


def test_it_completes_whoever_is_killed_whenever(home: Path, short_dir: Path) -> None:
    """The kills come by what was done since the last one: as often on a slow machine."""
    seed = random.randrange(10**6)  # noqa: S311 - chance and no secret
    sys.stdout.write(f"seed {seed}\n")  # shown where it fails
    chance = random.Random(seed)  # noqa: S311 - likewise
    folder = short_dir / "out"
    daemon = RunningDaemon.start(home, flow_settings("toy:long"))
    run_id = start(daemon, "long", folder, until=ROUNDS)
    killed = []
    for at in sorted(chance.sample(range(20, VISITS + EFFECTS), KILLS)):
        until(lambda at=at: done(folder) >= at, limit_s=60, what=f"{at} marks")  # type: ignore[misc]
        worker = marks(folder, "begin")[-1]["pid"]
        if chance.random() < 0.5:
            daemon.kill()
            until(lambda worker=worker: not lives(worker), what="the worker's end")  # type: ignore[misc]
            assert_whole(home)
            daemon = daemon.again()
            killed.append("daemon")
        elif lives(worker):
            os.kill(worker, signal.SIGKILL)
            killed.append("worker")
    found = history_at_end(daemon, run_id, limit_s=60)
    assert found.run["result"] == ROUNDS, killed
    assert len(found.visits()) == VISITS
    assert len(found.calls) == EFFECTS
    assert BROKEN_OFF & {step["outcome"] for step in found.steps}
    assert_once(found, folder, home)
    assert_whole_after(daemon)


def done(folder: Path) -> int:
    return len(marks(folder, "begin")) + len(marks(folder, "effect"))
