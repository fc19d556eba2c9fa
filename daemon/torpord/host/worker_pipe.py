"""The daemon's end of what a worker speaks through: lines both ways, each at most so long.

It hangs on the event loop's callbacks and not on tasks: nothing runs while nothing comes, and a line there and its
answer back cost one turn of the loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from torpord.core.limits import MAX_PIPE_LINE_BYTES

READ_BYTES = 64 * 1024
# Enough for the longest lines one after the other; behind it is a worker that reads nothing.
MAX_UNSENT_BYTES = 4 * MAX_PIPE_LINE_BYTES


class WorkerPipeError(Exception):
    """The worker broke the rules of the pipe: its fault. Nothing more can come over it; end the worker."""


class LineTooLongError(WorkerPipeError):
    """The worker sent a line over the limit, and there is no telling where the next one would begin."""

    def __init__(self) -> None:
        super().__init__(f"the worker sent a line of over {MAX_PIPE_LINE_BYTES} bytes")


class WorkerDeafError(WorkerPipeError):
    """The worker does not read what it is sent."""

    def __init__(self) -> None:
        super().__init__(f"the worker has left over {MAX_UNSENT_BYTES} bytes unread")


class LinePipe:
    """The daemon's end of the socketpair. One reader at a time."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - it takes no name
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._lines: list[bytes] = []
        self._rest = bytearray()
        self._unsent = bytearray()
        self._reading = self._open = True  # reading: the loop looks at the socket
        self._at_end = False
        self._fault: WorkerPipeError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deliver: Callable[[list[bytes]], None] | None = None
        self._loop.add_reader(sock, self._read)

    def send(self, data: bytes) -> None:
        """Send whole lines: at once as far as they can go, the rest as the worker reads. Never waits.

        To a worker that is gone it says nothing: `receive` tells that it is. Raises WorkerDeafError.
        """
        if len(self._unsent) + len(data) > MAX_UNSENT_BYTES:
            raise WorkerDeafError
        if not self._open:
            return
        if self._unsent:
            self._unsent += data
            return
        sent = self._sent(data)
        if self._open and sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._sock, self._send_rest)

    async def receive(self) -> list[bytes]:
        """Return the lines that have come, without their ends, as soon as there is one; none: the worker's end is shut.

        What lacks its end then was never said. Raises LineTooLongError, after the lines before it.
        """
        while not self._lines:
            if self._fault is not None:
                raise self._fault
            if self._at_end:
                return []
            if self._deliver is None:
                self._look(reading=True)
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        lines, self._lines = self._lines, []
        return lines

    def deliver(self, take: Callable[[list[bytes]], None]) -> None:
        """Give all lines to `take` in the instant they come; `receive` then only tells the end.

        For whom a task's turn between the coming and the taking is long. `take` must not raise.
        """
        self._deliver = take
        if self._lines:
            lines, self._lines = self._lines, []
            take(lines)

    def pause(self) -> None:
        """Read no further: what the worker sends stays in the socket, and the worker behind it waits."""
        self._look(reading=False)

    def resume(self) -> None:
        """Read on."""
        if not self._at_end:
            self._look(reading=True)

    def close(self) -> None:
        """Shut our end: the worker reads the end, and `receive` returns none."""
        if self._sock.fileno() >= 0:
            self._finish()
            self._stop_sending()
            self._sock.close()

    def _look(self, *, reading: bool) -> None:
        if reading != self._reading:
            self._reading = reading
            if reading:
                self._loop.add_reader(self._sock, self._read)
            else:
                self._loop.remove_reader(self._sock)

    def _read(self) -> None:
        if self._lines:  # not taken yet: what is in the socket stays there, and the worker behind it waits
            self._look(reading=False)
            return
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # ECONNRESET, of a worker that died with unread lines: the end
            data = b""
        if data:
            self._take(data)
        else:
            self._finish()
        if self._lines and self._deliver is not None:
            lines, self._lines = self._lines, []
            self._deliver(lines)
        elif self._lines:
            self._wake()

    def _take(self, data: bytes) -> None:
        if not self._rest and data.endswith(b"\n"):  # nearly always: what is sent in one piece arrives so
            self._lines = data[:-1].split(b"\n")
            return
        self._rest += data
        if b"\n" in data:
            *self._lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
            # Only the first can be: all others are parts of one read.
            if len(self._lines[0]) > MAX_PIPE_LINE_BYTES:
                self._lines = []
                self._break()
        if len(self._rest) > MAX_PIPE_LINE_BYTES:
            self._break()

    def _break(self) -> None:
        self._fault = LineTooLongError()
        self._finish()

    def _finish(self) -> None:
        self._at_end = True
        self._rest = bytearray()
        self._look(reading=False)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _sent(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:  # EPIPE, ECONNRESET: nobody will read it
            self._stop_sending()
            return 0

    def _send_rest(self) -> None:
        del self._unsent[: self._sent(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._sock)

    def _stop_sending(self) -> None:
        self._open = False
        self._unsent = bytearray()
        self._loop.remove_writer(self._sock)
