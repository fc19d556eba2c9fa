"""The ledger as the outside sees it, and its newest end kept at hand for those who follow it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile
from typing import Any

import anyio
import orjson

from torpor import wire
from torpord.control import framing
from torpord.core.report import iso
from torpord.store.store import Line


def view(line: Line) -> dict[str, Any]:
    """Show a line as the wire does: all times as ISO 8601."""
    cause = orjson.Fragment(line.cause)
    return {"seq": line.seq, "ts": iso(line.ts), "kind": line.kind, "data": _data(line.data), "cause": cause}


def _data(text: str) -> Any:
    if '_ts"' not in text:
        return orjson.Fragment(text)
    data = orjson.loads(text)
    return {k: iso(v) if k.endswith("_ts") and isinstance(v, int | float) else v for k, v in data.items()}


class Tail:
    """The newest lines as notifications, encoded once for all who follow. `head` is the seq of the newest line."""

    def __init__(self, head: int) -> None:
        self.head = head
        self._lines: deque[tuple[int, str, bytes]] = deque()
        self._bytes = 0
        self._news = anyio.Event()

    def add(self, lines: Sequence[Line]) -> None:
        """Take what has been committed, and tell those who wait."""
        for line in lines:
            # A copy: orjson gives bytes with some 4 KB of room behind them, and these are kept.
            text = bytes(bytearray(framing.notification("record", view(line))))
            self._lines.append((line.seq, line.kind, text))
            self._bytes += len(text)
            self.head = line.seq
        while self._bytes > wire.MAX_BEHIND_BYTES:
            self._bytes -= len(self._lines.popleft()[2])
        self._news.set()

    def reset(self, head: int) -> None:
        """Forget all lines: the store was read anew, and only it knows what is in it."""
        self._lines.clear()
        self._bytes = 0
        self.head = head
        self._news.set()

    async def beyond(self, seq: int) -> None:
        """Wait until there is a line behind `seq`."""
        while self.head <= seq:
            if self._news.is_set():
                self._news = anyio.Event()
            await self._news.wait()

    def has(self, seq: int) -> bool:
        """Whether the line `seq` is at hand, and with it all that follow."""
        return bool(self._lines) and self._lines[0][0] <= seq

    def since(self, seq: int, kinds: Collection[str]) -> Iterator[bytes]:
        """Give the notifications behind `seq`, of these kinds if any are named."""
        fresh = list(takewhile(lambda line: line[0] > seq, reversed(self._lines)))
        for _, kind, text in reversed(fresh):
            if not kinds or kind in kinds:
                yield text
