"""The sending side of a connection: whole lines, whoever writes them, and a limit for who does not read."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable
from functools import partial

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
        self._turn = anyio.Semaphore(1, fast_acquire=True)  # no lock: who takes it may leave it to another task
        self._cut = False  # within a line: what followed would be read as its rest

    async def send(self, data: bytes, limit_s: float | None = wire.MAX_BEHIND_S) -> bool:
        """Send whole lines; returns whether the reader made it wait.

        Who takes nothing for `limit_s` is dropped, which raises PeerGoneError; None paces the sender instead. A sender
        that is cancelled ends its line first.
        """
        if self._turn.value:  # nobody sends, and mostly it fits: the turn is not even taken
            sent = self._begun(data)
            if sent == len(data):
                return False
            self._turn.acquire_nowait()
        else:
            await self._turn.acquire()
            sent = 0
        return await self._rest(data, sent, limit_s)

    def send_now(self, data: bytes) -> Callable[[], Awaitable[bool]] | None:
        """Send whole lines without waiting. Raises PeerGoneError.

        Where they do not fit, or somebody else sends, it returns what sends the rest: whoever comes later waits for it.
        """
        if not self._turn.value:
            return partial(self.send, data)
        sent = self._begun(data)
        if sent == len(data):
            return None
        self._turn.acquire_nowait()
        return partial(self._rest, data, sent, wire.MAX_BEHIND_S)

    async def _rest(self, data: bytes, sent: int, limit_s: float | None) -> bool:
        """Send what is left, and give the turn back."""
        waited = False
        try:
            self._check()
            while (sent := sent + self._sent(data, sent)) < len(data):
                waited = True
                await self._until_writable(limit_s)
        except PeerGoneError:
            self._cut = True
            raise
        except anyio.get_cancelled_exc_class():
            await self._end_line(data, sent)
            raise
        finally:
            self._turn.release()
        return waited

    def _begun(self, data: bytes) -> int:
        self._check()
        try:
            return self._sent(data, 0)
        except PeerGoneError:
            self._cut = True
            raise

    def _check(self) -> None:
        if self._cut:
            raise PeerGoneError("it was left within a line")

    def _sent(self, data: bytes, start: int) -> int:
        """Send what fits now; returns how much that was. Raises PeerGoneError."""
        at = start
        try:
            while at < len(data):
                at += self._sock.send(memoryview(data)[at:] if at else data)
        except BlockingIOError:
            return at - start
        except OSError as error:
            raise PeerGoneError(str(error)) from error
        return at - start

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
