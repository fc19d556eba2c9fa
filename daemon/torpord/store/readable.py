"""Whether the disk reads a store's files at all, whatever is in them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from torpord.store.faults import StoreError

_PIECE_BYTES = 1024 * 1024


def read_through(path: Path) -> None:
    """Read all bytes of a store and of its write-ahead log, as far as they are there. Raises StoreError."""
    for each in (path, path.with_name(f"{path.name}-wal")):
        try:
            fd = os.open(each, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreError(f"{each} cannot be read: {error.strerror}") from error
        try:
            while stat.S_ISREG(os.fstat(fd).st_mode) and os.read(fd, _PIECE_BYTES):
                pass
        except OSError as error:
            raise StoreError(f"{each} cannot be read: {error.strerror}") from error
        finally:
            os.close(fd)
