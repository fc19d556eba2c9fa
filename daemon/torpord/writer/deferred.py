"""What is true before it is stored: heartbeats that change nothing but their time.

Each would be a commit, and there may be thousands a second. They wait for the next batch that is stored for another
reason, or for one of their own. Whoever dies in between has lost some seconds of when an agent was last heard and of
how often the daemon was used, and nothing else: a start gives every agent its time anew.

Of each agent the last one is kept, so a disk that is full for days takes no more memory than one that is so for a
minute, and nobody is refused a heartbeat for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from torpord.core.records import ActivitySeen, Entry, PresenceRecord
from torpord.core.world import World, evolve
from torpord.writer.turn import Turn

# The contract's bound is 5 s (client/PROTOCOL.md): what is left of it is for a long job of the store to let others by.
MOST_DELAY_S = 3.0
# So many agents are stored at once: a batch of so many takes a tenth of a second.
MOST_AGENTS = 20_000


class Deferred:
    """Entries that are evolved and not stored."""

    __slots__ = ("_active", "_due_awake_s", "_left", "_others", "_seen", "_used")

    def __init__(self) -> None:
        self._seen: dict[str, Entry] = {}  # by agent: when it was last heard of
        self._left: dict[str, tuple[float, Entry]] = {}  # by agent: what it had left in a file, that of the latest time
        self._others: list[Entry] = []  # offers that were told: each once, so no more than there are slots
        self._active: Entry | None = None  # the last one that was somebody's use of the daemon
        self._used = 0  # how many were
        self._due_awake_s = 0.0

    def __len__(self) -> int:
        return len(self._seen) + len(self._left) + len(self._others)

    @property
    def entries(self) -> list[Entry]:
        """What the store is to look at: the last of each agent."""
        return [*self._seen.values(), *(entry for _, entry in self._left.values()), *self._others]

    @property
    def due_awake_s(self) -> float | None:
        """When they are to be stored at the latest; None: there are none."""
        return self._due_awake_s if len(self) else None

    def is_due(self, awake_s: float) -> bool:
        """Whether they have waited for long enough, or are many."""
        return len(self) > 0 and (self._due_awake_s <= awake_s or len(self._seen) >= MOST_AGENTS)

    def takes(self, turn: Turn) -> bool:
        """Whether all that a turn decided may wait here. A reply that is to be kept cannot."""
        return not turn.replies and all(entry.record.deferred for entry in turn.entries)

    def add(self, entries: Sequence[Entry], awake_s: float) -> None:
        """Keep some more."""
        if not len(self):
            self._due_awake_s = awake_s + MOST_DELAY_S
        from torpord.core.agent_records import AgentSeen  # noqa: PLC0415  # most daemons have no agents

        for entry in entries:
            record = entry.record
            if isinstance(record, AgentSeen):
                if record.said_ts is None:
                    self._seen[record.agent_id] = entry
                else:
                    said_ts = min(record.said_ts, entry.wall_s)  # as it counts: nobody is heard of ahead of time
                    if record.agent_id not in self._left or self._left[record.agent_id][0] <= said_ts:
                        self._left[record.agent_id] = (said_ts, entry)
                if record.active:
                    self._active, self._used = entry, self._used + 1
            elif not isinstance(record, PresenceRecord):  # how agents are filed is not stored, but found anew
                self._others.append(entry)

    def clear(self) -> None:
        """Forget them: they are stored."""
        self._seen, self._left, self._others, self._active, self._used = {}, {}, [], None, 0

    def over(self, stored: World) -> World:
        """Return a world that was just loaded, and these have happened in it since."""
        from torpord.core.agent_records import AgentSeen  # noqa: PLC0415  # most daemons have no agents

        seen = [replace(entry, record=AgentSeen(agent_id)) for agent_id, entry in self._seen.items()]
        # Behind those: it sets back nothing that was heard since.
        left = [
            replace(entry, record=AgentSeen(agent_id, said_ts=said_ts))
            for agent_id, (said_ts, entry) in self._left.items()
        ]
        used = [] if self._active is None else [replace(self._active, record=ActivitySeen(self._used))]
        return reduce(evolve, [*seen, *left, *self._others, *used], stored)
