"""The tests' end of `at_point.py`: which points, and the folder where both sides meet."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon_process import RunningDaemon
from waiting import until

_AT_POINT = Path(__file__).with_name("at_point.py")


@dataclass(frozen=True, slots=True)
class Trap:
    """Actions at points, laid for the daemons that are started with `launcher`."""

    folder: Path
    actions: Mapping[str, str] = field(default_factory=dict)
    nth: int = 1
    armed: bool = True  # False: nothing happens before `arm`
    constants: Mapping[str, Any] = field(default_factory=dict)  # "torpord.shell.hooks:LIMIT_S": 0.5

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        for point, action in self.actions.items():
            if action == "wait":
                os.mkfifo(self.folder / f"{point}.go")

    @property
    def launcher(self) -> list[str]:
        """What stands in place of `python -m torpord`."""
        command = [sys.executable, "-P", str(_AT_POINT), "--folder", str(self.folder), "--nth", str(self.nth)]
        for point, action in self.actions.items():
            command += ["--at", point, action]
        for place, value in self.constants.items():
            command += ["--set", f"{place}={json.dumps(value)}"]
        return [*command, *([] if self.armed else ["--armed"]), "--"]

    def arm(self, point: str = "") -> None:
        """From now on passages count: of one point, or of all of them."""
        (self.folder / (f"{point}.armed" if point else "armed")).touch()

    def was_reached(self, point: str) -> bool:
        """Whether it has acted at the point."""
        return (self.folder / f"{point}.reached").exists()

    def reached(self, point: str, daemon: RunningDaemon) -> None:
        """Wait until the daemon has come to the point."""

        def there() -> bool:
            assert self.was_reached(point) or daemon.process.poll() is None, daemon.log_lines()[-5:]
            return self.was_reached(point)

        until(there, what=f"{point} in {daemon.log}")

    def let_go(self, point: str) -> None:
        """Let the daemon that stands at the point go on."""
        (self.folder / f"{point}.go").open("w").close()
