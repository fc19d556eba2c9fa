"""`torpord` with something laid in its way: made to die, fail or wait at a named point, or with another constant.

    python -P at_point.py --folder DIR [--at POINT ACTION]... [--nth N] [--armed] [--set MODULE:NAME=JSON]... -- run ...

POINT is one of `torpord.points.POINTS`, or of the sleep cycle's steps: `step.NAME` as it begins, `step.NAME.within`
when it looks whether to give way, `step.NAME.done` as it has returned. ACTION happens once, at the nth passage (with
--armed counted from when DIR/armed or DIR/POINT.armed is there), and in no later process with the same DIR:

    kill     SIGKILL to itself
    raise    sqlite3.OperationalError, as a failing disk gives it
    mistake  RuntimeError, as a mistake of ours gives it
    wait     make DIR/POINT.reached, then stand still until somebody opens the named pipe DIR/POINT.go for writing
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torpord import points
from torpord.cli import main


class Trap:
    """What happens at the points."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._actions = dict(options.at)
        self._folder = Path(options.folder)
        self._only_armed = options.armed
        self._left = dict.fromkeys(self._actions, options.nth)
        for point in [each for each in self._actions if (self._folder / f"{each}.reached").exists()]:
            del self._actions[point]

    def passed(self, point: str) -> None:
        """Pass a point: act, if it is time."""
        action = self._actions.get(point)
        if action is None or (self._only_armed and not self._is_armed(point)):
            return
        self._left[point] -= 1
        if self._left[point] == 0:
            self._act(point, action)

    def _is_armed(self, point: str) -> bool:
        return (self._folder / "armed").exists() or (self._folder / f"{point}.armed").exists()

    def _act(self, point: str, action: str) -> None:
        (self._folder / f"{point}.reached").touch()
        match action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "raise":
                raise sqlite3.OperationalError(f"disk I/O error (at {point})")
            case "mistake":
                raise RuntimeError(f"a mistake (at {point})")
            case "wait":
                # Opening a named pipe waits for the one who opens its other end.
                (self._folder / f"{point}.go").open().close()
            case _:
                raise ValueError(action)

    def lay_in_steps(self) -> None:
        """Stand in the way of the sleep cycle's steps."""
        from torpord.store import housekeeping

        for name, step in housekeeping.STEPS.items():
            housekeeping.STEPS[name] = self._wrapped(name, step)  # type: ignore[index]

    def _wrapped(self, name: str, step: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
        def run(upkeep: Any) -> dict[str, Any]:
            def called_off() -> bool:
                self.passed(f"step.{name}.within")
                return bool(upkeep.called_off())

            self.passed(f"step.{name}")
            result = step(dataclasses.replace(upkeep, called_off=called_off))
            self.passed(f"step.{name}.done")
            return result

        return run


def _set(setting: str) -> None:
    place, _, value = setting.partition("=")
    module, _, name = place.partition(":")
    found = importlib.import_module(module)
    if not hasattr(found, name):
        raise AttributeError(f"{module} has no {name}")
    setattr(found, name, json.loads(value))


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", default=".")
    parser.add_argument("--at", nargs=2, action="append", default=[])
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--armed", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args(arguments)
    unknown = {point for point, _ in options.at if point not in points.POINTS and not point.startswith("step.")}
    if unknown:
        parser.error(f"no such points: {unknown}")
    return options


if __name__ == "__main__":
    split = sys.argv.index("--")
    chosen = _parsed(sys.argv[1:split])
    for each in chosen.set:
        _set(each)
    trap = Trap(chosen)
    points.hook = trap.passed
    if any(point.startswith("step.") for point, _ in chosen.at):
        trap.lay_in_steps()
    sys.exit(main(sys.argv[split + 1 :]))
