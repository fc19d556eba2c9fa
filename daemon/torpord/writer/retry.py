"""When the writer tries again by itself, behind a store that did not take what it had: later each time."""

from __future__ import annotations

import structlog

log = structlog.get_logger("torpord.writer")

FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0


class Retry:
    """The next try of its own: `at_s` by the awake clock; None: none is owed."""

    __slots__ = ("_pause_s", "_refused", "at_s")

    def __init__(self) -> None:
        self.at_s: float | None = None
        self._pause_s = 0.0
        self._refused = 0  # changes, since the log told of it last

    def is_due(self, now_s: float) -> bool:
        """Whether a try of its own may be made now: it waits for none."""
        return self.at_s is None or self.at_s <= now_s

    def put_off(self, now_s: float) -> bool:
        """Set when the next one is. Returns False where it is set already: else who asks and asks would put it off."""
        if not self.is_due(now_s):
            return False
        self._pause_s = min(max(FIRST_PAUSE_S, self._pause_s * 2), LAST_PAUSE_S)
        self.at_s = now_s + self._pause_s
        return True

    def failed(self, now_s: float, error: Exception, refused: int) -> None:
        """Put it off behind a store that failed. The log has a line for each of its own tries: others may be many."""
        self._refused += refused
        if self.put_off(now_s):
            log.error("commit_failed", error=str(error), refused=self._refused, retry_s=self._pause_s)
            self._refused = 0

    def unneeded(self) -> None:
        """There was nothing to store: whether the store takes anything is not known."""
        self.at_s = None

    def succeeded(self) -> None:
        """Begin anew: the store takes what comes."""
        if self._pause_s:
            log.warning("stored_again", refused=self._refused)
        self.at_s, self._pause_s, self._refused = None, 0.0, 0
