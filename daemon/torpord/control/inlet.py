"""The receiving side of a connection: one watch for all its life, and no call of the kernel but the receiving itself.

anyio's `wait_readable` sets a watch and takes it away again for each read, and to try the read first costs a call that
mostly finds nothing. Here the watch stays while what comes is wanted. Where more comes before that was answered, it is
taken away until then: that is the backpressure.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from torpord.control.outlet import PeerGoneError
from torpord.control.watch import Watch

READ_BYTES = 64 * 1024


class Inlet:
    """Receives for one task. `at_once` is given what came, in that instant: what it takes does not wake the task.

    It says so by returning True, and calls `go_on` when that is answered. `holds`: something was taken from the kernel,
    and neither is it answered nor has the task got it.
    """

    __slots__ = ("_at_once", "_loop", "_sock", "_waiting", "_watch", "_watching", "holds")

    def __init__(self, sock: socket.socket, watch: Watch, at_once: Callable[[bytes], bool]) -> None:
        self.holds = False
        self._sock = sock
        self._watch = watch
        self._at_once = at_once
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[bytes] | None = None
        self._watching = False

    async def receive(self) -> bytes:
        """Return what has come and is the task's, once something has: b"" at the end. Raises PeerGoneError.

        The event loop has its turn in any case: who always has more to read holds up nobody.
        """
        self._waiting = self._loop.create_future()
        self._listen()
        try:
            return await self._waiting
        finally:
            self._waiting, self.holds = None, False

    def go_on(self) -> None:
        """Receive again: what was taken at once is answered."""
        self.holds = False
        if self._waiting is not None:
            self._listen()

    def close(self) -> None:
        """Watch no more: before the socket is closed, or somebody else watches it."""
        if self._watching:
            self._watch.remove(self._sock)
            self._watching = False

    def _listen(self) -> None:
        if not self._watching:
            self._watch.add(self._sock, self._readable)
            self._watching = True

    def _readable(self) -> None:
        waiting = self._waiting
        if waiting is None or waiting.done() or self.holds:
            self.close()
            return
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            waiting.set_exception(PeerGoneError(str(error)))
            return
        self.holds = True
        if not self._at_once(data):
            waiting.set_result(data)
