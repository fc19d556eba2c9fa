"""Files that a power cut leaves whole: the old text or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

_BESIDE = ".torpor-new"  # no kind of unit: a service manager does not see it


def read(path: str, most_bytes: int) -> str | None:
    """Return what a file begins with; None where there is none, or something else: a directory, a pipe, a device.

    Root reads what others may write with it, and waits for nobody. A masked unit is a link to /dev/null. Raises OSError
    where it may not be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        return os.read(fd, most_bytes).decode(errors="replace")
    finally:
        os.close(fd)


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Put `text` at `path` in one step. Raises OSError; the old file stands then."""
    beside = path + _BESIDE
    with contextlib.suppress(FileNotFoundError):  # what somebody who was killed at this has left
        os.unlink(beside)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    sync(os.path.dirname(path))


def sync(directory: str) -> None:
    """Make what was renamed or removed in `directory` durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def put_aside(path: str) -> str:
    """Keep what lies at `path` under a new name beside it, and return that: nothing is ever thrown away."""
    number = 1
    while os.path.lexists(aside := f"{path}.before-torpor.{number}"):
        number += 1
    os.rename(path, aside)
    return aside


def left_over(path: str) -> None:
    """Remove what an install that was killed may have left beside `path`."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + _BESIDE)
