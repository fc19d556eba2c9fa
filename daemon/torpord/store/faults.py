"""What can be wrong with a store, and whose fault it is: the machine's, or the file's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

# What SQLite says where the disk or the system would not do it: nothing is known against the file then.
_MACHINE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}


class StoreError(Exception):
    """The disk or the file would not do it: the machine's fault. Nothing that was acknowledged is lost."""


class StoreUnreadableError(Exception):
    """The file is there and is not a store this version can read: never replaced in silence."""


class StoreTooNewError(StoreUnreadableError):
    """A newer torpor made it. It is whole: this one leaves it alone, whatever it is asked to do."""


def fault(path: Path, error: sqlite3.Error) -> StoreError | StoreUnreadableError:
    """Tell a disk that would not do it from a file that is not what it should be."""
    # The lowest byte of an extended code is the code itself: https://www.sqlite.org/rescode.html
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _MACHINE:
        return StoreError(f"{path}: {error}")
    return StoreUnreadableError(f"{path} cannot be read: {error}")
