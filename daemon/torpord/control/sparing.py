"""What anybody can bring about without end is told sparingly: the log is turned over at a start alone."""

from __future__ import annotations

EVERY_S = 60.0


class Sparing:
    """Of each name the first is told at once, then one in `every_s` seconds; those in between are counted.

    It has no timer, which would wake a daemon that is at rest: what was counted last goes with the next line, or with
    the last words (`rest`). The names are the caller's own and few; what a stranger may choose is none.
    """

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def due(self, name: str, now_s: float) -> int | None:
        """Return how many went untold before this one, which is to be told; None where it is counted among them.

        `now_s` is of a clock that is never set back.
        """
        told_at = self._told_at.get(name)
        if told_at is not None and now_s - told_at < self._every_s:
            self._untold[name] = self._untold.get(name, 0) + 1
            return None
        self._told_at[name] = now_s
        return self._untold.pop(name, 0)

    def rest(self) -> dict[str, int]:
        """Return how many of each name were never told, and forget them."""
        untold, self._untold = self._untold, {}
        return untold
