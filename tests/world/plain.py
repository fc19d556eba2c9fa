"""What a daemon should be doing, told plainly: a second way to say what the contract says, with no code of the first.

It knows no records, no deadlines and no store. All times are seconds of the machine being awake.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WAKE, DROWSY, SLEEP, HIBERNATION = "WAKE", "DROWSY", "SLEEP", "HIBERNATION"


@dataclass
class Times:
    """How long is what."""

    drowsy_after_s: float
    sleep_after_s: float
    hibernate_grace_s: float
    min_up_s: float


@dataclass
class PlainHold:
    """Until when a hold lasts (None: until it is let go), and the connection it hangs on, if any."""

    until_s: float | None
    connection: int | None


@dataclass
class Plain:
    """A daemon on paper. Its sleep cycle takes no time."""

    times: Times
    now_s: float
    state: str = WAKE
    since_s: float = 0.0
    used_s: float = 0.0  # when it was last used, or the last hold ended
    started_s: float = 0.0
    uses: int = 0
    lives: int = 0
    wish: bool = False
    leaving: bool = False
    holds: dict[str, PlainHold] = field(default_factory=dict)

    # What is asked of it. Each returns whether it is granted.

    def hears(self, event: str) -> bool:
        """Hear one of the four events."""
        if event == "force_sleep":
            if self.holds:
                return False
            self._sink()
            return True
        if event == "wake_signal":
            self.wish = False
        self._is_used()
        if event != "heartbeat_refresh" or self.state == DROWSY:
            self._rises()
        self._wish_comes_true()
        return True

    def is_held(self, name: str, ttl_s: float | None, connection: int | None) -> bool:
        """Be held awake."""
        self._is_used()
        self._rises()
        self.holds[name] = PlainHold(None if ttl_s is None else self.now_s + ttl_s, connection)
        return True

    def is_let_go(self, name: str) -> bool:
        """Lose a hold by its owner's word; one that is not there is no touch, either."""
        if name not in self.holds:
            return False
        self._is_used()
        self._rises()
        self._ends(name)
        self._wish_comes_true()
        return True

    def loses_connection(self, connection: int) -> None:
        """Lose a connection, and what hung on it."""
        for name in [name for name, hold in self.holds.items() if hold.connection == connection]:
            self._ends(name)
        self._wish_comes_true()

    def is_to_hibernate(self) -> bool:
        """Go down as soon as nothing is busy."""
        self.wish = True
        self._wish_comes_true()
        return True

    def is_to_stop(self) -> bool:
        """Go down as it is."""
        self.leaving = True
        return True

    # What becomes of it.

    def passes(self, seconds: float) -> None:
        """Let time pass, with all that happens by itself."""
        end_s = self.now_s + seconds
        while (at_s := self._next_s()) is not None and at_s <= end_s:
            self.now_s = max(self.now_s, at_s)
            self._happens()
        self.now_s = end_s

    def begins(self, now_s: float, *, asked_for: bool, rebooted: bool) -> None:
        """Begin a life. Nobody asked for one that a service manager begins after a crash."""
        if rebooted and self.lives:
            self._moves_clock(now_s - max(self.started_s, self.since_s, self.used_s))
        if not self.lives:
            self.since_s = self.used_s = now_s
        self.now_s = self.started_s = now_s
        self.lives += 1
        self.wish = self.leaving = False
        for name in [name for name, hold in self.holds.items() if hold.connection is not None]:
            self._ends(name)
        if asked_for or self.state == HIBERNATION:
            self.used_s = now_s
            self._rises()
        self.passes(0.0)

    def _moves_clock(self, shift_s: float) -> None:
        self.started_s += shift_s
        self.since_s += shift_s
        self.used_s += shift_s
        for hold in self.holds.values():
            if hold.until_s is not None:
                hold.until_s += shift_s

    def _next_s(self) -> float | None:
        if self.leaving or (self.state == HIBERNATION and not self.holds):
            return None
        if self.holds:
            return min((hold.until_s for hold in self.holds.values() if hold.until_s is not None), default=None)
        if self.state == WAKE:
            return self.used_s + self.times.drowsy_after_s
        if self.state == DROWSY:
            return self.used_s + self.times.sleep_after_s
        may_go_s = self.started_s + self.times.min_up_s
        if self.used_s > self.since_s and not self.wish:
            return max(may_go_s, self.used_s + self.times.hibernate_grace_s)
        return may_go_s

    def _happens(self) -> None:
        if self.holds:
            for name, hold in list(self.holds.items()):
                if hold.until_s is not None and hold.until_s <= self.now_s:
                    self._ends(name)
            self._wish_comes_true()
        else:
            self._goes({WAKE: DROWSY, DROWSY: SLEEP, SLEEP: HIBERNATION}[self.state])

    def _is_used(self) -> None:
        self.uses += 1
        self.used_s = self.now_s

    def _ends(self, name: str) -> None:
        del self.holds[name]
        self.used_s = self.now_s

    def _rises(self) -> None:
        if self.state != WAKE:
            self._goes(WAKE)

    def _sink(self) -> None:
        if self.state == WAKE:
            self._goes(DROWSY)
        if self.state == DROWSY:
            self._goes(SLEEP)

    def _goes(self, state: str) -> None:
        self.state, self.since_s = state, self.now_s
        if state in (WAKE, HIBERNATION):
            self.wish = False

    def _wish_comes_true(self) -> None:
        if self.wish and not self.holds and not self.leaving:
            self._sink()
