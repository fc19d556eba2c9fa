"""What flows do outside, seen by the outside: a file that each step's begin and each call's effect appends a line to.

Read by the worker (a flow's module beside it imports it) and by the tests, so it imports nothing of either.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


def mark(folder: str, what: str, **more: Any) -> None:
    """Append one line with one write(2): whole, whatever kills the process after."""
    line = json.dumps({"what": what, "ts": time.time(), "pid": os.getpid(), **more}).encode() + b"\n"
    fd = os.open(Path(folder, "marks"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, line)
    finally:
        os.close(fd)


def marks(folder: Path, what: str) -> list[dict[str, Any]]:
    """Return the lines of one kind, in their order."""
    path = folder / "marks"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [each for each in found if each["what"] == what]


class Snare:
    """What happens to a worker at named points: once for each point, counted from the state that lays it.

    `how`: "kill" itself; "mistake": a RuntimeError; or "hold": say so in the file FOLDER/POINT (its text is the pid)
    and stand still for ever, or until there is the file FOLDER/POINT.go, and say so in FOLDER/POINT.gone.
    """

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._folder = self._how = ""

    def lay(self, folder: str, snares: dict[str, int], how: str) -> None:
        """Begin to count; what is laid in this process already stays as it is."""
        if not self._left:
            self._folder, self._how, self._left = folder, how, dict(snares)

    def passed(self, point: str) -> None:
        """Pass a point."""
        if point not in self._left:
            return
        self._left[point] -= 1
        if self._left[point] == 0 and self._first(point):
            if self._how == "kill":
                os.kill(os.getpid(), 9)
            if self._how == "mistake":
                raise RuntimeError(f"a mistake (at {point})")
            while not Path(self._folder, f"{point}.go").exists():
                time.sleep(0.005)
            Path(self._folder, f"{point}.gone").touch()

    def _first(self, point: str) -> bool:
        whole = Path(self._folder, f"{point}.{os.getpid()}")
        whole.write_text(str(os.getpid()))
        try:
            Path(self._folder, point).hardlink_to(whole)
        except FileExistsError:
            return False
        return True
