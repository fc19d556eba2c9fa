"""The ledger as the outside sees it, and its newest end kept at hand for those who follow it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
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


@dataclass(slots=True)
class _Kept:
    """A line at hand, and its notification once somebody has wanted it."""

    line: Line
    text: bytes = b""


class Tail:
    """The newest lines as notifications, each encoded once, for all who follow. `head`: the seq of the newest."""

    def __init__(self, head: int) -> None:
        self.head = head
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._news = anyio.Event()

    def add(self, lines: Sequence[Line]) -> None:
        """Take what has been committed, and tell those who wait."""
        for line in lines:
            self._kept.append(_Kept(line))
            self._bytes += _size(line)
            self.head = line.seq
        while self._bytes > wire.MAX_BEHIND_BYTES:
            self._bytes -= _size(self._kept.popleft().line)
        self._news.set()

    def reset(self, head: int) -> None:
        """Forget all lines: the store was read anew, and only it knows what is in it."""
        self._kept.clear()
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
        return bool(self._kept) and self._kept[0].line.seq <= seq

    def since(self, seq: int, kinds: Collection[str]) -> Iterator[bytes]:
        """Give the notifications behind `seq`, of these kinds if any are named."""
        fresh = list(takewhile(lambda kept: kept.line.seq > seq, reversed(self._kept)))
        for kept in reversed(fresh):
            if not kinds or kept.line.kind in kinds:
                # A copy: orjson gives bytes with some 4 KB of room behind them, and these are kept.
                kept.text = kept.text or bytes(bytearray(framing.notification("record", view(kept.line))))
                yield kept.text


def _size(line: Line) -> int:
    """Return about as many bytes as its notification has; what it is wrapped in is some 120."""
    return len(line.data) + len(line.cause) + 120
