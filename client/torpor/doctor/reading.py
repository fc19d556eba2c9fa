"""Reading a store that nobody uses: its version, and what SQLite says of the whole of it."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import time
import urllib.parse
from collections.abc import Callable
from typing import NamedTuple

CHECK_S = 5.0
_INSTRUCTIONS_A_LOOK = 10_000
_PIECE_BYTES = 1024 * 1024


# What says nothing about a file: the disk fails, or the machine is short of something.
_FOR_NOW = frozenset((errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM))


class Read(NamedTuple):
    """A store's version; "ok", what is wrong, or None where the time was not enough; and whether it is damaged.

    What may not be opened or read is not damaged. `for_now`: it was not read, and that says nothing about it: the disk
    fails, or the machine is short of something.
    """

    version: int | None
    checked: str | None
    damaged: bool
    for_now: bool = False


def read(path: str) -> Read:
    """Read a store that was closed. Opened as immutable: no lock is taken and no file made.

    Of a pipe in its place SQLite would wait for somebody to write: it is not opened.
    """
    return _surely(lambda: _read_closed(path))


def _read_closed(path: str) -> Read:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return Read(None, "it is no regular file", damaged=False)
    except OSError as error:
        return _not_read(error)
    return _read(path, "mode=ro&immutable=1", time.monotonic() + CHECK_S)


def read_unclosed(path: str, draft: str) -> Read:
    """Read a store whose last user left a write-ahead log: what the next daemon finds is what both say together.

    A copy of them, at `draft` and only for now: SQLite brings what it opens in order, and that is for the daemon to do.
    Raises OSError where none can be made.
    """
    return _surely(lambda: _read_copy(path, draft))


def _surely(look: Callable[[], Read]) -> Read:
    """Look; where a store seems damaged, or was not read for now, look once more: a disk may fail for a moment."""
    found = look()
    return look() if found.damaged or found.for_now else found


def _read_copy(path: str, draft: str) -> Read:
    end_s = time.monotonic() + CHECK_S
    try:
        if not all(_copied(f"{path}{suffix}", f"{draft}{suffix}", end_s) for suffix in ("", "-wal")):
            return Read(None, None, damaged=False)
        return _read(draft, "mode=rw", end_s)
    except OSError as error:
        if error.errno in _FOR_NOW and error.filename in (path, f"{path}-wal"):
            return _not_read(error)
        raise
    finally:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):  # SQLite has removed two of them itself, mostly
                os.unlink(f"{draft}{suffix}")


def _copied(path: str, draft: str, end_s: float) -> bool:
    """Copy a file; False where that takes too long. What is none (a pipe, a link) is not waited for: OSError."""
    found = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        made = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(made, "wb") as to:
            while piece := _piece(found, path):
                to.write(piece)
                if time.monotonic() > end_s:
                    return False
    finally:
        os.close(found)
    return True


def _read(path: str, how: str, end_s: float) -> Read:
    """Have SQLite read it; what it says against it counts where the disk reads the file.

    A page that the disk did not read it calls malformed (SQLITE_IOERR_CORRUPTFS in its vdbe.c), or tells as an error of
    any kind: a disk that fails for a moment would have a whole store put aside.
    """
    found = _read_once(f"file:{urllib.parse.quote(path)}?{how}", end_s)
    if found.checked in ("ok", None):
        return found
    try:
        _read_through(path)
    except OSError as error:
        return _not_read(error)
    return found


def _read_once(uri: str, end_s: float) -> Read:
    try:
        db = sqlite3.connect(uri, uri=True)
    except sqlite3.Error as error:
        return Read(None, str(error), damaged=False)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.set_progress_handler(lambda: time.monotonic() > end_s, _INSTRUCTIONS_A_LOOK)
        found = [row[0] for row in db.execute("PRAGMA quick_check(5)")]
    except sqlite3.OperationalError as error:
        is_late = error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
        is_failing = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR
        return Read(None, None if is_late else str(error), damaged=False, for_now=is_failing)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter where a name in its schema is none
        return Read(None, str(error), damaged=True)
    finally:
        db.close()
    return Read(version, "; ".join(found), damaged=found != ["ok"])


def _read_through(path: str) -> None:
    """Read all bytes of a file, however long that takes. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while _piece(fd, path):
            pass
    finally:
        os.close(fd)


def _piece(fd: int, path: str) -> bytes:
    try:
        return os.read(fd, _PIECE_BYTES)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _not_read(error: OSError) -> Read:
    said = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    return Read(None, said, damaged=False, for_now=error.errno in _FOR_NOW)
