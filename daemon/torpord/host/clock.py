"""The machine's clocks: the only place that reads them."""

from __future__ import annotations

import sys
import time

from torpord.core.moment import Now

# The clock that goes on during a suspend, to tell one from the clock that does not (`time.monotonic` on both systems).
# On macOS CLOCK_MONOTONIC goes on, and `time.monotonic`, mach_absolute_time, does not.
_RUNNING_ON = time.CLOCK_MONOTONIC if sys.platform == "darwin" else time.CLOCK_BOOTTIME


class SystemClock:
    """Reads the clocks of this machine."""

    def now(self) -> Now:
        """Read all three together."""
        awake_s = time.monotonic()
        return Now(awake_s, time.time(), max(0.0, time.clock_gettime(_RUNNING_ON) - awake_s))

    def awake_s(self) -> float:
        """Read the clock that stands while the machine is suspended."""
        return time.monotonic()

    def local_minute(self, wall_s: float) -> int:
        """Return the minute of the local day at that time: 0 to 1439."""
        local = time.localtime(wall_s)
        return local.tm_hour * 60 + local.tm_min
