"""The sending side of a connection: whole lines, whoever writes them, and a limit for who does not read."""

from __future__ import annotations

import contextlib
import socket

import anyio
import structlog

from torpor import wire
from torpord.core.events import Cause

log = structlog.get_logger("torpord.control")

# For the rest of a line, when its sender is called off within it: more would keep the daemon from its exit.
LINE_S = 0.5


class PeerGoneError(Exception):
    """The other side closed, or was dropped: nothing can be said to it any more."""


class Outlet:
    """Sends for all the tasks of one connection, one after the other."""

    def __init__(self, sock: socket.socket, cause: Cause) -> None:
        self._sock = sock
        self._cause = cause
        self._turn = anyio.Lock()
        self._cut = False  # within a line: what followed would be read as its rest

    async def send(self, data: bytes, limit_s: float | None = wire.MAX_BEHIND_S) -> bool:
        """Send whole lines; returns whether the reader made it wait.

        Who takes nothing for `limit_s` is dropped, which raises PeerGoneError; None paces the sender instead. A sender
        that is cancelled ends its line first.
        """
        async with self._turn:
            if self._cut:
                raise PeerGoneError("it was left within a line")
            sent, waited = 0, False
            try:
                while (sent := sent + self._sent(data, sent)) < len(data):
                    waited = True
                    await self._until_writable(limit_s)
            except PeerGoneError:
                self._cut = True
                raise
            except anyio.get_cancelled_exc_class():
                await self._end_line(data, sent)
                raise
            return waited

    def _sent(self, data: bytes, start: int) -> int:
        """Send what fits now; returns how much that was. Raises PeerGoneError."""
        left = memoryview(data)[start:]
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                break
            except OSError as error:
                raise PeerGoneError(str(error)) from error
        return len(data) - start - len(left)

    async def _end_line(self, data: bytes, sent: int) -> None:
        self._cut = sent > 0 and data[sent - 1 : sent] != b"\n"
        end = data.find(b"\n", sent) + 1
        with anyio.CancelScope(shield=True), anyio.move_on_after(LINE_S), contextlib.suppress(PeerGoneError):
            while self._cut:
                await anyio.wait_writable(self._sock)
                sent += self._sent(data[:end], sent)
                self._cut = sent < end

    async def _until_writable(self, limit_s: float | None) -> None:
        with anyio.move_on_after(limit_s) as limit:
            await anyio.wait_writable(self._sock)
        if limit.cancelled_caught:
            log.warning("reader_dropped", why=f"it took nothing for {limit_s:g} s", cause=self._cause)
            raise PeerGoneError("it does not read")
