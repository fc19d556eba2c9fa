"""A daemon that reports, once, that a commit failed which is durable, and cannot even look: `unsure.py`, at work."""

from __future__ import annotations

import sys
from pathlib import Path

from daemon_process import RunningDaemon
from waiting import until

UNSURE = Path(__file__).with_name("unsure.py")


class Unsure:
    """A daemon whose next commit with a record of some kind is durable, and reported as if nobody knew."""

    def __init__(self, home: Path, short_dir: Path, settings: str) -> None:
        self._named = short_dir / "named"
        launcher = [sys.executable, "-P", str(UNSURE), str(self._named)]
        self.daemon = RunningDaemon.start(home, settings, launcher=launcher)
        self._read = 0

    def at(self, kind: str) -> None:
        """Have it happen with the next record of this kind."""
        self._named.write_text(kind)

    def has_read_anew(self) -> None:
        """Wait until the store was read anew once more."""
        until(lambda: self._count() > self._read, what="a store that is read anew")
        self._read += 1

    def _count(self) -> int:
        return sum(line.get("event") == "store_reread" for line in self.daemon.log_lines())
