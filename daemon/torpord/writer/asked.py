"""What the writer asks of those around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torpord.core.effects import Effect
from torpord.core.events import DeadlinePassed
from torpord.core.moment import Now
from torpord.core.records import Entry
from torpord.core.world import World
from torpord.store.store import Line


class Clocks(Protocol):
    """Gives the time."""

    def now(self) -> Now:
        """Read the clocks."""
        ...


class Shell(Protocol):
    """What the writer needs of the world outside, and tells it."""

    def facts(self, deadline: str, now: Now) -> DeadlinePassed:
        """Build the event of a due deadline, with the facts it needs read just now."""
        ...

    def committed(self, entries: Sequence[Entry], lines: Sequence[Line], before: World, after: World) -> None:
        """Hear what became true and durable, but for what is deferred. `lines`: those of the ledgered entries."""
        ...

    def reread(self, before: World, after: World) -> None:
        """Hear that the store was read anew: whatever was decided last may have become true, or not."""
        ...

    def perform(self, effects: Sequence[Effect]) -> None:
        """Begin to carry out what was decided. Must not block."""
        ...

    def rearmed(self, wall_s: float | None) -> None:
        """Hear when the next deadline of the wall clock is (None: there is none)."""
        ...
