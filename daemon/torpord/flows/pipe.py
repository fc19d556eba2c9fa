"""The journal of a worker: one JSON object a line, both ways, on the stream socket to the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson

from torpord.core.limits import MAX_PIPE_LINE_BYTES
from torpord.flows.journal import Message

_READ_BYTES = 64 * 1024


class Pipe(asyncio.BufferedProtocol):
    """Numbers what wants an answer, and hands each answer to whoever waits for it.

    A protocol on the bare transport: a line costs one system call and no task, and is read into a buffer that is there.
    """

    def __init__(self, rest: bytes, taken: Callable[[Message], None], ended: Callable[[], None]) -> None:
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._parts = [rest] if rest else []
        self._taken = taken
        self._ended = ended
        self._number = 0
        self._asked: dict[int, Callable[[Message], None]] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with what had come before the loop ran."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream socket has no other
        self._transport = transport
        if self._parts:
            parts, self._parts = self._parts, []
            self._take(b"".join(parts))

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Say where to read to."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self._take(bytes(self._buffer[:nbytes]))

    def _take(self, data: bytes) -> None:
        """Take every whole line."""
        if b"\n" not in data:
            self._parts.append(data)
            return
        self._parts.append(data)
        lines = b"".join(self._parts).split(b"\n")
        last = lines.pop()
        self._parts = [last] if last else []
        for line in lines:
            message = orjson.loads(line)
            number = message.get("n")
            if number is not None and (answered := self._asked.pop(number, None)) is not None:
                answered(message)
            self._taken(message)

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell that the daemon is gone."""
        self._ended()

    def ask(self, message: Message, answered: Callable[[Message], None]) -> None:
        """Send what wants an answer."""
        self._number += 1
        message["n"] = self._number
        self._asked[self._number] = answered
        self._send(message)

    def tell(self, message: Message) -> None:
        """Send what wants none."""
        self._send(message)

    def _send(self, message: Message) -> None:
        assert self._transport is not None  # noqa: S101 - nothing runs before the connection is made
        line = orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
        if len(line) > MAX_PIPE_LINE_BYTES:  # data, result and error are bounded each: only a Parallel can be so wide
            raise ValueError(f"a line of {len(line)} bytes is over the pipe's {MAX_PIPE_LINE_BYTES}")
        self._transport.write(line)
