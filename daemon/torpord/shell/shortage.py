"""A worker that cannot be started as the machine is short of something: nobody's fault, so it fails no run."""

from __future__ import annotations

import errno

from torpord.core.runs import Run
from torpord.host.faults import MACHINE, UNWRITABLE

# Between two attempts to start one: from the first, doubling, to the last.
FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0
_SHORT = UNWRITABLE | MACHINE | {errno.EAGAIN}


def is_shortage(error: Exception, run: Run | None) -> bool:
    """Say whether an error is to fail no run, and its next worker to wait: what is missing may be so for an hour.

    But for the sleep cycle: that begins anew by itself, and the daemon is to go down without it.
    """
    return isinstance(error, OSError) and error.errno in _SHORT and run is not None and not run.cycle


def pause_s(before: int) -> float:
    """Return how long to wait after a shortage, by how many there were before it in a row."""
    return min(LAST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(before, 16))
