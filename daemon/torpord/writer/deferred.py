"""What is true before it is stored: heartbeats that change nothing but their time.

Each would be a commit, and there may be thousands a second. They wait for the next batch that is stored for another
reason, or for one of their own. Whoever dies in between has lost some seconds of when an agent was last heard, and
nothing else: a start gives every agent its time anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from torpord.core.records import Entry
from torpord.writer.turn import Turn

# The contract's bound is 5 s (client/PROTOCOL.md): what is left of it is for a long job of the store to let others by.
MOST_DELAY_S = 3.0
# More are stored at once: a batch of so many takes a tenth of a second, and memory has a bound where the disk is full.
MOST_ENTRIES = 20_000


class Deferred:
    """Entries that are evolved and not stored, in their order."""

    __slots__ = ("_due_awake_s", "entries")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._due_awake_s = 0.0

    @property
    def due_awake_s(self) -> float | None:
        """When they are to be stored at the latest; None: there are none."""
        return self._due_awake_s if self.entries else None

    def is_due(self, awake_s: float) -> bool:
        """Whether they have waited for long enough."""
        return bool(self.entries) and self._due_awake_s <= awake_s

    def takes(self, turn: Turn) -> bool:
        """Whether all that a turn decided may wait here. A reply that is to be kept cannot."""
        if turn.replies or len(self.entries) + len(turn.entries) > MOST_ENTRIES:
            return False
        return all(entry.record.deferred for entry in turn.entries)

    def add(self, entries: Sequence[Entry], awake_s: float) -> None:
        """Keep some more."""
        if not self.entries:
            self._due_awake_s = awake_s + MOST_DELAY_S
        self.entries += entries

    def clear(self) -> None:
        """Forget them: they are stored."""
        self.entries = []
