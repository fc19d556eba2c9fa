"""A disk that comes and goes within moments, under a daemon that has a run at work and clients that ask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from time import monotonic

from daemon_process import RunningDaemon
from process.failing_disk import failing
from process.flow_runs import assert_once, assert_whole_after, flow_settings, history_at_end, start, until

# Between two failures there may be no time at all: the store is then read anew while it fails for the second time.
MOST_FLAPS = 3
LONGEST_S = 0.5


class Flaps:
    """One home, and a client that asks for its events until they count."""

    def __init__(self, folder: Path, dice: Random) -> None:
        self._folder = folder
        self._dice = dice
        self._daemon = RunningDaemon.start(folder / "home", flow_settings("toy:calls"))
        self._asked = self._runs = 0

    def _event(self, key: str) -> bool:
        return "result" in self._daemon.ask("event", event="request_arrived", key=key)

    def visit(self, point: str) -> None:
        """Hold a worker at a point, and let it go on while the disk flaps; then all gets done, by itself and once."""
        outside = self._folder / f"{self._asked}.{point}"
        run_id = start(self._daemon, "calls", outside, until=1, snares={point: 1}, how="hold")
        until((outside / point).exists, what=point)
        keys = []
        for number in range(self._dice.randint(1, MOST_FLAPS)):
            self._asked += 1
            keys.append(f"event {self._asked}")
            with failing(self._daemon.pid, self._folder / "home"):
                self._event(keys[-1])
                (outside / f"{point}.go").touch()
                self._pass(outside / f"{point}.gone" if number == 0 else None)
            self._pass(None)
        for key in keys:
            until(lambda key=key: self._event(key), what="an answer from a disk that is as it should be")
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
