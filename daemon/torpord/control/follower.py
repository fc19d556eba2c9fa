"""One subscription: a place in the ledger that moves to its end, and stays there."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import structlog

from torpor import wire
from torpord.control import framing
from torpord.control.desk import Desk
from torpord.control.ledger import Tail, view
from torpord.control.outlet import Outlet, PeerGoneError
from torpord.store.store import Page

log = structlog.get_logger("torpord.control")

LINES_A_PAGE = 1000


class Follower:
    """Sends the ledger from behind `after`: from the store while it is far behind, then as it happens."""

    def __init__(self, desk: Desk, outlet: Outlet, after: int, kinds: AbstractSet[str]) -> None:
        self._desk = desk
        self._outlet = outlet
        self._at = after
        self._kinds = kinds
        self._live = False  # it had reached the end, and the store was not needed since

    async def run(self) -> None:
        """Follow until cancelled. Raises PeerGoneError for a reader that is dropped, and StoreError."""
        tail = self._desk.tail
        while True:
            await tail.beyond(self._at)
            if tail.has(self._at + 1):
                await self._from_tail(tail)
            else:
                await self._from_store()

    async def _from_tail(self, tail: Tail) -> None:
        text, head = b"".join(tail.since(self._at, self._kinds)), tail.head
        waited = await self._outlet.send(text, limit_s=wire.MAX_BEHIND_S if self._live else None)
        # Only who made us wait has itself to blame: one commit can be larger than what is kept at hand.
        if self._live and waited and tail.head > head and not tail.has(head + 1):
            await self._drop("behind", f"a subscription is over {wire.MAX_BEHIND_BYTES} bytes behind")
        self._at, self._live = head, self._live or tail.head == head

    async def _from_store(self) -> None:
        """Catch up by a page, at the pace of the reader."""
        self._live = False
        head, at, store = self._desk.tail.head, self._at, self._desk.store
        kinds = sorted(self._kinds)

        def job() -> tuple[Page, int]:
            return store.page(at, LINES_A_PAGE, wire.MAX_PAGE_BYTES // 2, kinds), store.oldest()

        page, oldest = await self._desk.runner.run(job)
        if at + 1 < oldest:
            await self._drop("trimmed", f"lines {at + 1} to {oldest - 1} were trimmed before it had read them")
        text = b"".join(framing.notification("record", view(line)) for line in page.lines)
        await self._outlet.send(text, limit_s=None)
        newest = max([at, head, *(line.seq for line in page.lines[-1:])])
        self._at = newest if page.end is None else page.end

    async def _drop(self, reason: str, why: str) -> None:
        log.warning("reader_dropped", reason=reason, why=why)
        await self._outlet.send(framing.notification("bye", {"reason": reason}), limit_s=0.1)
        raise PeerGoneError(reason)
