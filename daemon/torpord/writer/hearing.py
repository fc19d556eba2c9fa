"""Whether this process could hear: nobody is timed out for a time in which it did not run.

A process may be stopped (SIGSTOP, a frozen cgroup, a machine that swaps, a disk that hangs in a commit), and no signal
tells it so. What tells is that it looks at the clock later than it meant to. An interval of its own to look at would be
polling, and is not needed: whoever waits for somebody's word looks when that is due, and once halfway (`halfway`). Who
says something each third of the time-out, as `agent.register` asks for, is then heard before or after any one stop
that goes unseen.
"""

from __future__ import annotations

from math import inf

# Less is a busy machine, or a slow disk, and no stop: however short the time-out is.
LEAST_SLACK_S = 0.25


def slack_s(timeout_s: float) -> float:
    """Return how late a busy machine may be before that is called a stop: a tenth of the time-out, and mostly 2 s.

    Of a short one it is a sixth at most: who is that late halfway has a third left.
    """
    return max(timeout_s / 10, min(2.0, timeout_s / 6), LEAST_SLACK_S)


def halfway(left_s: float, timeout_s: float) -> float | None:
    """Return in how many seconds a wait for somebody's word is halfway; None: it is already, or nearly so."""
    half_s = timeout_s / 2
    return left_s - half_s if left_s > half_s + slack_s(timeout_s) else None


class Hearing:
    """Compares when the writer looked with when it meant to. All times are of the awake clock: a suspend is none."""

    __slots__ = ("_late_s", "_meant_s", "stalled_s")

    def __init__(self) -> None:
        self._meant_s = 0.0
        self._late_s = inf
        self.stalled_s = 0.0  # for how long it could not hear, since it was heard out last

    def works(self, now_s: float, timeout_s: float) -> None:
        """Begin a turn. That takes moments; if it took longer than half a time-out, nobody was heard in it."""
        self._meant_s, self._late_s = now_s, now_s + timeout_s / 2 + slack_s(timeout_s)

    def waits(self, until_s: float, timeout_s: float) -> None:
        """Begin to wait, for anything that comes, until then at the latest."""
        self._meant_s, self._late_s = until_s, until_s + slack_s(timeout_s)

    def idles(self) -> None:
        """Begin to wait where nobody's word is waited for: it does not matter for how long."""
        self._late_s = inf

    def look(self, now_s: float) -> bool:
        """Return whether it is much later than was meant; that is kept in `stalled_s`, and told once."""
        if now_s <= self._late_s:
            return False
        self.stalled_s += now_s - self._meant_s
        self._late_s = inf
        return True

    def heard_out(self) -> None:
        """Forget it: whoever was not heard was given their time anew."""
        self.stalled_s = 0.0
