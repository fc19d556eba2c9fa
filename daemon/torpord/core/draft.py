"""A decision in the making: records are evolved as they are added, so the next question sees their effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torpord.core import records as r
from torpord.core.effects import Effect
from torpord.core.moment import Now
from torpord.core.value import value
from torpord.core.world import World, evolve


@value
class Refusal:
    """A request that is not granted. `name` is one of `torpor.wire.ERROR_CODES`; nothing was changed."""

    name: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


Reply = Mapping[str, Any] | Refusal | None


@dataclass(slots=True)  # frozen ones take three times as long to make, and this is made for every event
class Decision:
    """What `decide` says: what became true, the world after it, what to do about it, and the answer."""

    entries: tuple[r.Entry, ...]
    world: World
    effects: tuple[Effect, ...]
    reply: Reply


class Draft:
    """Collects records and effects; local to one `decide`, which stays pure."""

    __slots__ = ("cause", "effects", "entries", "now", "world")

    def __init__(self, world: World, now: Now, cause: Mapping[str, Any]) -> None:
        self.world = world
        self.now = now
        self.cause = cause
        self.entries: list[r.Entry] = []
        self.effects: list[Effect] = []

    def record(self, record: r.Record) -> None:
        """Add a record: from here on it is true."""
        seq = self.world.ledger_seq + 1 if record.ledgered else None
        entry = r.Entry(seq, self.now.wall_s, self.now.awake_s, record, self.cause)
        self.entries.append(entry)
        self.world = evolve(self.world, entry)

    def decision(self, reply: Reply = None) -> Decision:
        """Close the draft."""
        return Decision(tuple(self.entries), self.world, tuple(self.effects), reply)
