"""A program on a terminal of its own, with the test at the keyboard."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

import torpor

if TYPE_CHECKING:
    from collections.abc import Sequence

# The session's leader takes the terminal, as a login does. (A forkpty would do, but not in a process with threads.)
_LOGIN = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"

LIMIT_S = 20.0


class Terminal:
    """`said` is all that has been printed."""

    def __init__(self, command: Sequence[str]) -> None:
        self._fd, theirs = pty.openpty()
        environ = {**os.environ, "PYTHONPATH": str(pathlib.Path(torpor.__file__).parents[1]), "TERM": "xterm"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LOGIN, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environ,
            start_new_session=True,
        )
        os.close(theirs)
        self.said = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._fd)

    def until(self, word: bytes) -> None:
        """Read until `word` was said. Raises OSError where the program ends before (EIO)."""
        end_at = time.monotonic() + LIMIT_S
        while word not in self.said:
            self.said += self._read(end_at)

    def _read(self, end_at: float) -> bytes:
        left_s = end_at - time.monotonic()
        if left_s <= 0 or not select.select([self._fd], [], [], left_s)[0]:
            raise AssertionError(f"not within {LIMIT_S} s; it said last: {self.said[-500:]!r}")
        return os.read(self._fd, 4000)

    def press(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def hang_up(self) -> None:
        """Take the terminal away, as a window that is closed does."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._fd)
        os.close(null)

    def status(self) -> int:
        """Read to the end, and return the exit status."""
        with contextlib.suppress(OSError):  # EIO: how Linux says that nobody is left on the terminal
            end_at = time.monotonic() + LIMIT_S
            while data := self._read(end_at):
                self.said += data
        return self._process.wait(timeout=20)
