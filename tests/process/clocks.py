"""The tests' end of `faked_clock.py`: a machine's clocks, to be moved."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

_FAKED = Path(__file__).with_name("faked_clock.py")


class Clocks:
    """The clocks of the daemons that are started with `launcher`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._passed_s = self._stepped_s = 0.0
        self._write()

    def _write(self) -> None:
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            # One write, and as long as the one before it: who reads in this instant reads the one or the other.
            file.write(f"{self._passed_s:+020.3f}\n{self._stepped_s:+020.3f}\n".encode())

    @property
    def launcher(self) -> list[str]:
        """What stands in place of `python -m torpord`."""
        return [sys.executable, "-P", str(_FAKED), str(self._file)]

    def ahead(self, seconds: float) -> str:
        """Return a time that is so far ahead by the wall clock."""
        now = datetime.now(UTC) + timedelta(seconds=self._passed_s + self._stepped_s)
        return (now + timedelta(seconds=seconds)).isoformat()

    def let_pass(self, seconds: float) -> None:
        """Let time pass: on every clock."""
        self._passed_s += seconds
        self._write()

    def step(self, seconds: float) -> None:
        """Set the wall clock so much further; less than nothing sets it back."""
        self._stepped_s += seconds
        self._write()
