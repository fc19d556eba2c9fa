"""2,000 times `kill -9` under load: what a client was told has happened is there, once; nothing outlives its daemon.

The load is that of `mixed.py`, but for what may be lost or come twice by the protocol's own words: a heartbeat that
changes nothing is stored within 5 s, and `wake.signal` has no key.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from daemon_process import end_all
from process.reading import assert_whole
from soak import mixed, workers
from waiting import until

KILLS = 2000
HOMES = 2  # one a core
TIDE_S = 60.0
# After so many answers at most, so that a slow machine gets as far as a fast one. Mostly few: it is killed inside a
# batch or between two. Sometimes many: steps of runs come to their end.
FEW, MANY, HOW_OFTEN_MANY = 12, 200, 0.1
LATEST_S = 3.0
# Many lives may pass before a client has its answer.
PATIENCE_S = 300.0
_PR_SET_CHILD_SUBREAPER = 36


class Agents(workers.Agents):
    """Whose every heartbeat changes something."""

    beats = 1


class Files(workers.Files):
    """Each with a key, made of its name, inode and time."""

    signals = 0.0


KINDS = (workers.Events, workers.Events, Files, Agents, workers.Holds, workers.Runs, workers.Looks)


class Killed(mixed.Load):
    """A load whose daemon is killed as soon as it answers, until it was killed `most` times."""

    def __init__(self, home: Path, size: mixed.Size, seed: int, *, most: int) -> None:
        super().__init__(home, size, seed, shadow_run=False)
        self.kills = 0
        self.most = most

        for worker in self.workers:
            worker.caller.limit_s = PATIENCE_S

    def disturb(self) -> None:
        """Kill, at random moments."""
        while self.kills < self.most and not self.ebbing.is_set():
            self.spawner.start()
            daemon = self.spawner.daemon
            daemon.wait_ready(60)
            wanted = self._answers() + self.dice.randint(0, MANY if self.dice.random() < HOW_OFTEN_MANY else FEW)
            latest_at = time.monotonic() + LATEST_S
            while self._answers() < wanted and time.monotonic() < latest_at and not self.ebbing.wait(0.001):
                pass
            self.ebbing.wait(self.dice.uniform(0, 0.01))
            daemon.process.kill()
            daemon.wait_gone()
            self.kills += 1

    def _answers(self) -> int:
        return sum(worker.caller.ways["answered"] for worker in self.workers)


def adopt_orphans() -> None:
    """Become the parent of whatever loses its own below this process, so that nothing that is left goes unseen."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def orphans(known: set[int]) -> list[str]:
    """Return what lives below this process and is none of these; takes what has ended off the kernel's hands."""
    found = []
    for child in psutil.Process().children():
        if child.pid in known:
            continue
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
            else:
                found.append(f"{child.pid} {' '.join(child.cmdline())[:200]}")
    return found


def run(
    folder: Path, *, kills: int, homes: int, tide_s: float, seed: int, note: Callable[[str], None]
) -> dict[str, Any]:
    """Kill so often in all. Raises AssertionError where a count is wrong at an ebb, or a process is left."""
    adopt_orphans()
    before = {child.pid for child in psutil.Process().children()}
    size = mixed.Size(0, tide_s, (0, 0), KINDS)
    made = [Killed(folder / f"home{n}", size, seed + n, most=kills // homes) for n in range(homes)]
    began_at = time.monotonic()
    with ThreadPoolExecutor(homes * (len(KINDS) + 3)) as pool, ThreadPoolExecutor(homes) as seas:
        following = [pool.submit(load.follower.run) for load in made]
        try:
            while any(load.kills < load.most for load in made):
                for each in [seas.submit(load.high_tide, pool) for load in made]:
                    each.result()
                for load in made:
                    ebb = load.rest(began_at)
                    note(f"{ebb.after_s:6.0f} s {load.home.name}: {load.kills} kills, {ebb.counted} counted")
                known = before | {load.spawner.daemon.pid for load in made}
                until(lambda known=known: not orphans(known), limit_s=30, what="the end of what they had started")
        finally:
            for load in made:
                load.follower.enough.set()
        for each in following:
            each.result(10)
    found = {load.home.name: {"kills": load.kills, **load.told()} for load in made}
    for load in made:
        assert load.spawner.daemon.stop() == 0
        assert assert_whole(load.home).process.generation > load.kills
    return {"kills": sum(load.kills for load in made), "seed": seed, **found}


def soak(for_s: float) -> dict[str, Any]:
    """Run the long one; it ends when all kills are done, however long that takes."""
    del for_s
    with tempfile.TemporaryDirectory(prefix="tp-", dir="/tmp") as name:
        folder = Path(name)
        try:
            return run(folder, kills=KILLS, homes=HOMES, tide_s=TIDE_S, seed=time.time_ns() % 1_000_000, note=_say)
        finally:
            for number in range(HOMES):
                end_all(folder / f"home{number}")


def _say(text: str) -> None:
    print(text, flush=True)
