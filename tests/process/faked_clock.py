"""`torpord` on a machine whose clocks a test moves: `python -P faked_clock.py FILE run ...`.

FILE holds two lines of seconds: what has passed beyond the time that truly passed, and how much further the wall clock
is. It is read at each look at a clock, so it may change while the daemon is stopped, or down. All of the process reads
by it, the event loop's timers too; only what waits in the kernel waits by true time, and is due at its next look.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from torpord.cli import main
from torpord.host import alarm

_TRUE_MONOTONIC, _TRUE_TIME, _TRUE_GETTIME = time.monotonic, time.time, time.clock_gettime


class Offsets:
    """How far the clocks are off, read anew where FILE is another one than before."""

    def __init__(self, file: Path) -> None:
        self._fd = os.open(file, os.O_RDONLY)

    def read(self) -> tuple[float, float]:
        """Return how much more has passed, and how much further the wall clock is."""
        passed_s, stepped_s = os.pread(self._fd, 100, 0).split()
        return float(passed_s), float(stepped_s)


def fake(offsets: Offsets) -> None:
    """Put the moved clocks in the place of the machine's."""
    time.monotonic = lambda: _TRUE_MONOTONIC() + offsets.read()[0]
    time.time = lambda: _TRUE_TIME() + sum(offsets.read())
    time.clock_gettime = lambda clock: _TRUE_GETTIME(clock) + offsets.read()[0]
    arm = alarm._Timerfd.arm
    alarm._Timerfd.arm = lambda timer, at_s: arm(timer, at_s - sum(offsets.read()))  # type: ignore[method-assign]


if __name__ == "__main__":
    fake(Offsets(Path(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))
