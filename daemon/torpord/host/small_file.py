"""A small file of the home, read without waiting for anybody: where it should be, somebody may have put a pipe."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 16 * 1024 * 1024


def read(path: Path) -> bytes:
    """Return what the file holds. Raises OSError, also where it is no regular file, or longer than 16 MiB."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if found.st_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"{found.st_size} bytes, of which at most {MOST_BYTES} are read", str(path))
        return file.read(MOST_BYTES)
