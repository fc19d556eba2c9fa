"""One command of a step: started, listened to, waited for, and ended with all that it left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torpord.flows import descendants
from torpord.flows.threads import in_thread

TAIL_BYTES = 4096
# What holds the output open when the command and its kind are gone is none of ours.
LAST_OUTPUT_S = 0.5
_CHUNK_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit status (negative: by that signal), and the last 4 KiB it said."""

    status: int
    tail: str


class Command:
    """Runs one command in the process group of this process. `marks`: what of its environment no other command has."""

    def __init__(self, argv: Sequence[str], cwd: str, env: Mapping[str, str], marks: Mapping[str, str]) -> None:
        self._argv, self._cwd, self._env, self._marks = argv, cwd, env, marks
        self._grace_s = descendants.GRACE_S

    async def run(self) -> Ended:
        """Run it to its end. Raises OSError or ValueError where it cannot be started.

        Cancelled, it ends the command: SIGTERM, and SIGKILL a second later.
        """
        output, write_fd = _Output.opened()
        try:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=write_fd,
                    stderr=write_fd,
                    cwd=self._cwd,
                    env={**os.environ, **self._env, **self._marks},
                )
            finally:
                os.close(write_fd)
                output.start()
            status = await self._wait(process)
        finally:
            await in_thread(descendants.end_marked, self._marks, (), self._grace_s)
        await output.ended(LAST_OUTPUT_S)
        return Ended(status, output.tail())

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        try:
            return await process.wait()
        except asyncio.CancelledError:
            # Its children at the same time as itself: a shell ends at once and leaves them.
            await asyncio.gather(_end(process), in_thread(descendants.end_marked, self._marks, [process.pid]))
            self._grace_s = 0.0  # they have had theirs
            raise


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), descendants.GRACE_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class _Output:
    """Copies what a command says to our own output, in a thread: the daemon reads a flood only slowly."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._tail = bytearray()
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()

    @classmethod
    def opened(cls) -> tuple[_Output, int]:
        """Open a pipe; returns its reader, and the end to write to."""
        read_fd, write_fd = os.pipe()
        return cls(read_fd), write_fd

    def start(self) -> None:
        threading.Thread(target=self._copy, name="output", daemon=True).start()

    async def ended(self, limit_s: float) -> None:
        """Wait until all is read, but not longer than `limit_s`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), limit_s)

    def tail(self) -> str:
        return bytes(self._tail).decode(errors="replace").strip()

    def _copy(self) -> None:
        with open(self._fd, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
            heard = True
            while chunk := file.read(_CHUNK_BYTES):
                self._tail += chunk
                del self._tail[:-TAIL_BYTES]
                heard = heard and _said(chunk)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._ended.set)


def _said(chunk: bytes) -> bool:
    """Say it on our own output. Returns False where nobody listens any more."""
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except OSError:
        return False
    return True
