"""One deadline for all of a call: connecting, waiting, starting the daemon, asking again."""

from __future__ import annotations

import time

# A socket counts its milliseconds in an int: with more than 24 days it would not wait at all, or fail. The one who
# means longer hears of it after 23 days.
_LONGEST_S = 2_000_000.0


class Deadline:
    """A moment on the monotonic clock, `timeout_s` seconds after it was made; None means never."""

    __slots__ = ("_at", "timeout_s")

    def __init__(self, timeout_s: float | None) -> None:
        self.timeout_s = timeout_s
        self.renew()

    def renew(self) -> None:
        """Begin the time anew."""
        self._at = None if self.timeout_s is None else time.monotonic() + self.timeout_s

    def left_s(self) -> float | None:
        """Return the seconds that are left, more than zero, or None without a limit.

        Raises the built-in TimeoutError when none are; whoever runs the call knows what to say about it.
        """
        if self._at is None:
            return None
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, _LONGEST_S)

    def sleep(self, pause_s: float) -> None:
        """Sleep `pause_s` seconds, or what is left if that is less. Raises TimeoutError when nothing is left."""
        left = self.left_s()
        time.sleep(pause_s if left is None else min(pause_s, left))
