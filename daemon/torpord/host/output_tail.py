"""The tail of what a worker and its children print, read slowly on purpose.

It hangs on the event loop's callbacks and not on a task: a worker is never blocked because nobody waits for its end.
"""

from __future__ import annotations

import asyncio
import os

TAIL_BYTES = 16 * 1024
# At most so much in this time: a flood waits in the worker that makes it.
READ_BYTES = 64 * 1024
PAUSE_S = 0.05


class OutputTail:
    """The last of what comes out of a pipe, once READ_BYTES in PAUSE_S. Takes the descriptor, and closes it."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._tail = b""
        self._pause: asyncio.TimerHandle | None = None
        self._resume()

    def tail(self) -> bytes:
        """Return the last 16 KiB, as far as they have been read."""
        return self._tail

    def drain(self) -> None:
        """Read what is in the pipe now: the last words of a worker that has ended."""
        if self._fd >= 0:
            self._read_once()

    def close(self) -> None:
        """Read no more. Whoever still writes gets SIGPIPE."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            if self._pause is not None:
                self._pause.cancel()
            os.close(self._fd)
            self._fd = -1

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._fd, self._read)

    def _read(self) -> None:
        self._loop.remove_reader(self._fd)
        if self._read_once():
            self._pause = self._loop.call_later(PAUSE_S, self._resume)

    def _read_once(self) -> bool:
        """Return whether more may come."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return True
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        return bool(data)
