"""A disk that comes and goes within moments, under a daemon that has a run at work and clients that ask."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from time import monotonic

from daemon_process import RunningDaemon
from process.failing_disk import failing
from process.flow_runs import assert_once, assert_whole_after, flow_settings, history_at_end, start, until

# Between two failures there may be no time at all: the store is then read anew while it fails for the second time.
MOST_FLAPS = 12
LONGEST_S = 0.5
LIMIT_S = 30.0


class Flaps:
    """One home, and a client that asks for its events until they count."""

    def __init__(self, folder: Path, dice: Random) -> None:
        self._folder = folder
        self._dice = dice
        self._daemon = RunningDaemon.start(folder / "home", flow_settings("toy:calls"))
        self._asked = self._runs = 0

    def _insist(self, key: str) -> None:
        """Ask for an event until it counts, without a rest: so the disk heals at any moment of being opened anew."""
        end_at = monotonic() + LIMIT_S
        while "result" not in self._daemon.ask("event", event="request_arrived", key=key):
            assert monotonic() < end_at, "the disk is as it should be, and the daemon does not store anything"

    def visit(self, point: str) -> None:
        """Hold a worker at a point, and let it go on while the disk flaps; then all gets done, by itself and once."""
        outside = self._folder / f"{self._asked}.{point}"
        run_id = start(self._daemon, "calls", outside, until=1, snares={point: 1}, how="hold")
        until((outside / point).exists, what=point)
        for number in range(self._dice.randint(1, MOST_FLAPS)):
            self._asked += 1
            with ThreadPoolExecutor(1) as clients, failing(self._daemon.pid, self._folder / "home"):
                insisting = clients.submit(self._insist, f"event {self._asked}")
                (outside / f"{point}.go").touch()
                self._pass(outside / f"{point}.gone" if number == 0 else None)
            insisting.result()
            self._pass(None)
        assert_once(history_at_end(self._daemon, run_id), outside, self._folder / "home")
        self._runs += 1
        assert self._daemon.call("status")["wrapper_event_seq"] == self._asked + self._runs

    def _pass(self, seen: Path | None) -> None:
        """Let some time go by, often next to none; and at least until there is a file."""
        end_at = monotonic() + self._dice.choice([0.0, 0.01, LONGEST_S]) * self._dice.random()
        until(lambda: monotonic() >= end_at and (seen is None or seen.exists()))

    def end(self) -> int:
        """Check what it leaves; returns how often its disk has failed."""
        assert_whole_after(self._daemon)
        return self._asked


def flap(folder: Path, points: Sequence[str], seed: int) -> int:
    """Take a new home to these points; returns how often its disk has failed."""
    flaps = Flaps(folder, Random(seed))  # noqa: S311 - when a disk fails is no secret
    for point in points:
        flaps.visit(point)
    return flaps.end()
