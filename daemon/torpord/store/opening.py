"""Opening the store's file: to write, as the daemon does, or to look without a change. What is none is refused."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from pathlib import Path
from typing import Any

from torpord.store import making, migrations
from torpord.store.existence import is_there
from torpord.store.faults import StoreError, StoreTooNewError, StoreUnreadableError, fault


def to_write(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Open a store, made where there is none, brought up where an earlier version made it.

    Returns the connection, and the copy of what the store was, where it was brought up. Raises StoreError, or
    StoreUnreadableError for what is no store of torpor's.
    """
    try:
        if not is_there(path):
            _create(path)
        _refuse_empty(path)
        _refuse_newer(path)
    except OSError as error:
        raise StoreError(f"{path}: {error}") from error
    db = _connect(path, path, cached_statements=64)
    kept = None
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version in migrations.FROM:
            kept = migrations.keep(db, path, version)
            migrations.bring_up(db, version)
            version = migrations.TO
        if version == migrations.TO:  # before that nothing is set: the journal's mode is written into the file
            _set_up(db)
    except sqlite3.Error as error:
        db.close()
        raise fault(path, error) from error
    except (migrations.NoRoomError, OSError) as error:
        db.close()
        raise StoreError(str(error)) from error
    if version != migrations.TO:
        db.close()
        raise _wrong_version(path, version)
    return db, kept


def to_look(path: Path) -> sqlite3.Connection:
    """Open a store without a change to its files. Raises StoreError, or StoreUnreadableError for what is none."""
    _refuse_empty(path)
    # Reading a write-ahead log takes a file of shared memory, which the next opening ignores. Without a log: no file.
    mode = "ro" if _log_size(path) else "ro&immutable=1"
    place = f"{path.absolute().as_uri()}?mode={mode}"
    db = _connect(path, place, uri=True)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        db.close()
        raise fault(path, error) from error
    if version != migrations.TO and version not in migrations.FROM:
        db.close()
        raise _wrong_version(path, version)
    return db


def _refuse_newer(path: Path) -> None:
    # What opens a store to write brings its log into the file at the close. Without a log, it leaves the file alone.
    if not _log_size(path):
        return
    with contextlib.suppress(StoreError):  # the disk has no room for the look: what it has to say, the opening says
        to_look(path).close()
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)


def _log_size(path: Path) -> int:
    wal = path.with_name(f"{path.name}-wal")
    return wal.stat().st_size if is_there(wal) else 0


def _connect(path: Path, place: Path | str, **more: Any) -> sqlite3.Connection:
    try:
        connection: sqlite3.Connection = sqlite3.connect(place, isolation_level=None, check_same_thread=False, **more)
    except sqlite3.Error as error:  # it may not be opened, or something in the way of its log
        raise fault(path, error) from error
    return connection


def _refuse_empty(path: Path) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        found = None
    if found is None or not stat.S_ISREG(found.st_mode):  # SQLite would wait for the other end of a named pipe
        raise StoreUnreadableError(f"{path} is not a file")
    # SQLite would take it for a new database. A store is made beside its place and renamed: it is never empty.
    if found.st_size == 0:
        raise StoreUnreadableError(f"{path} is empty: something truncated it")


def _wrong_version(path: Path, version: int) -> StoreUnreadableError:
    told = f"{path} is a store of version {version}, this torpor reads {migrations.TO}"
    if version > migrations.TO:
        return StoreTooNewError(f"{told}: a newer torpor made it: upgrade this one; nothing was touched")
    return StoreUnreadableError(f"{told}: it is none of torpor's")


def _set_up(db: sqlite3.Connection) -> None:
    # Nobody else opens the file while the daemon lives: SQLite before 3.51.3 may lose what several connections write
    # (https://www.sqlite.org/wal.html#walresetbug). Said before the journal's mode, it also spares the shared memory
    # and its locks, a tenth of a small commit.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA temp_store = MEMORY")
    # Half a megabyte instead of two: the hot pages are a handful, and the whole daemon is to stay under 32 MB.
    db.execute("PRAGMA cache_size = -512")
    # A file that cannot be opened to write, SQLite opens to read, and says nothing (unixOpen in its os_unix.c). After a
    # disk that failed in just that moment every commit would be refused from then on, for as long as this is open. A
    # write that changes nothing tells; it touches no page.
    db.execute("DELETE FROM world WHERE 0")


def _create(path: Path) -> None:
    """Make an empty store beside its place, and put it there whole. Raises StoreError where the disk would not."""
    wal = path.with_name(f"{path.name}-wal")
    if is_there(wal):
        raise StoreUnreadableError(f"{path} is gone, but {wal.name} with its newest changes is there")
    fresh = path.with_name(f"{path.name}.new")
    try:
        for leftover in (fresh, fresh.with_name(f"{fresh.name}-journal")):
            leftover.unlink(missing_ok=True)
        making.fill(fresh, migrations.TO)
        making.place(fresh, path)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path} cannot be made: {error}") from error
