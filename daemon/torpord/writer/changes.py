"""What is put in the writer's line, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torpord.core.draft import Refusal
from torpord.core.events import Event

Outcome = Mapping[str, Any] | Refusal

UNAVAILABLE = Refusal(
    "storage_unavailable",
    "the daemon cannot store anything now (is the disk full?): nothing was changed; ask again with the same key",
)
DRAINING = Refusal("draining", "the daemon is on its way out: ask again, its successor will answer")


@dataclass(slots=True)  # frozen ones take three times as long to make, and this is made for every change
class Change:
    """One thing that may change the world. With a `key`, `request` is its method and params as canonical JSON.

    `event` may be a function that makes it: it is called when the key was not found, as it may look at the machine.
    `owed`: it has happened whether or not the disk is full (a closed connection): it is tried until it is stored.
    `run_id`: the run it is about, which may have ended and be in the store only; its event gets what is found there.
    """

    event: Event | Callable[[], Event | Refusal]
    key: str | None = None
    request: str = ""
    owed: bool = False
    run_id: str = ""


@dataclass(slots=True)
class Ticket:
    """Some changes of one client, in order, and their outcomes once `done` is set.

    `then` is called with it in that instant: for whom waking a task to hear of it would be half the way.
    """

    changes: Sequence[Change]
    then: Callable[[Ticket], None] | None = None
    outcomes: Sequence[Outcome] = ()
    _settled: bool = False
    _done: asyncio.Event | None = None

    @property
    def done(self) -> asyncio.Event:
        """What to wait for; made when somebody does."""
        if self._done is None:
            self._done = asyncio.Event()
            if self._settled:
                self._done.set()
        return self._done

    def settle(self, outcomes: list[Outcome]) -> None:
        """Give the outcomes to whoever waits for them."""
        self.outcomes, self._settled = outcomes, True
        if self._done is not None:
            self._done.set()
        if self.then is not None:
            self.then(self)
