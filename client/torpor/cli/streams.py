"""The standard streams as they are found: closed, a full disk, a reader that went away."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import TextIO

# write(2), of a file: closed or not open for writing, full in three ways, broken, not willing to wait.
_OUTPUT_ERRORS = (errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EAGAIN)


def fill_closed() -> None:
    """Put something in the place of standard streams that are closed, as others would get their numbers.

    Standard output takes nothing then, as a closed one; a command that prints nothing never notices. What another
    command inherits (`torpor hold`) stays closed: Python's own descriptors are not passed on.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - to the end
    if sys.stderr is None:  # else what is printed there comes on standard output
        sys.stderr = open(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - likewise


def columns() -> int | None:
    """Return how wide the terminal is that standard output goes to; None where it goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(line: str) -> str:
    """Return `line` cut to the terminal, where there is one: what is listed has a line each."""
    room = columns()
    if room is None or (len(line) <= room and line.isascii()):
        return line
    from torpor.cli import cells  # noqa: PLC0415 - where it has to be counted

    return cells.cut(line, room)


def complain(text: str) -> None:
    """Say in one line on standard error what is wrong. Where nobody can be told, the exit status has to do."""
    try:
        print(f"torpor: {text}", file=sys.stderr, flush=True)
    except OSError:
        give_up(sys.stderr)


def is_about_output(error: OSError) -> bool:
    """Say whether this is what writing to standard output comes to. All that goes to a socket is caught further down.

    Told by the number: Python keeps nothing that could be asked where its output is not buffered (PYTHONUNBUFFERED).
    """
    return error.filename is None and error.errno in _OUTPUT_ERRORS


def give_up(stream: TextIO) -> None:
    """Throw away what `stream` did not take: the interpreter would try once more at its end, and complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
