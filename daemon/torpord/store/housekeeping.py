"""The built-in maintenance of the store: the steps of the sleep cycle, each one call on the store's thread.

Each works in slices and lets whoever wants the store go first in between; it stops within a slice, by raising
`GaveWayError`, when it is no longer wanted, and can simply be called again: what it had done is done, and what it had
not is not half done.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torpord.core.value import value
from torpord.store.existence import is_there
from torpord.store.store import KEEP_REPLIES, KEEP_REPLIES_LEAST_S, Store, StoreError
from torpord.store.syncing import sync
from torpord.store.thread import Runner

ROWS_A_SLICE = 1000
PAGES_A_SLICE = 256
KEEP_BACKUPS = 2
KEEP_REPLIES_MOST_S = 86_400.0
# Virtual machine instructions of SQLite between two looks: about a tenth of a millisecond.
_INSTRUCTIONS_A_LOOK = 5000
# A statement cannot be left and entered again, only broken off and begun anew. One that was broken off so often is let
# run for so many looks (about a second) before the next time, or a client that comes often enough would starve it.
_BREAKS = 8
_LOOKS_BEFORE_A_BREAK = 10_000


class GaveWayError(Exception):
    """The step stopped because it is no longer wanted. No failure: call it again when it is."""


@value
class Upkeep:
    """What a step works on, and whom it gives way to: the jobs behind it, and whoever calls it off."""

    store: Store
    runner: Runner
    wall_s: float
    ledger_keep_s: float
    called_off: Callable[[], bool]

    def look(self) -> None:
        """Let the others go first; give up if it is called off."""
        self.runner.serve()
        if self.called_off():
            raise GaveWayError

    def query(self, connection: sqlite3.Connection, statement: str) -> list[Any]:
        """Run one long statement that reads, beginning it anew where others went first."""
        for number in itertools.count():
            looks = itertools.count()
            least = _LOOKS_BEFORE_A_BREAK if number >= _BREAKS else 0

            def wanted(looks: Iterator[int] = looks, least: int = least) -> bool:
                return self.called_off() or (next(looks) >= least and self.runner.waiting())

            self.look()
            connection.set_progress_handler(wanted, _INSTRUCTIONS_A_LOOK)
            try:
                return connection.execute(statement).fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                    raise
            finally:
                connection.set_progress_handler(None, 0)
        raise AssertionError("a count does not end")


def run(step: str, upkeep: Upkeep) -> dict[str, Any]:
    """Do one step and return what it found. Raises GaveWayError, or StoreError where it failed."""
    try:
        upkeep.look()
        return STEPS[step](upkeep)
    except sqlite3.Error as error:
        raise StoreError(f"{step}: {error}") from error
    except OSError as error:
        raise StoreError(f"{step}: {error}") from error


def _trim(upkeep: Upkeep) -> dict[str, Any]:
    """Drop the ledger's lines and the kept replies that are over their age. The newest line always stays."""
    db = upkeep.store.connection
    before = _size(upkeep)
    cutoff = upkeep.wall_s - upkeep.ledger_keep_s
    # Lines go in order: one young line keeps all behind it, whatever the wall clock did in between.
    young = db.execute("SELECT seq FROM ledger WHERE ts >= ? ORDER BY seq LIMIT 1", (cutoff,)).fetchone()
    (end,) = young or db.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()
    lines = _delete(upkeep, "ledger", "seq", "seq < ?", (end,))
    (newest,) = db.execute("SELECT coalesce(max(id), 0) FROM replies").fetchone()
    old = "ts < ? AND (ts < ? OR id <= ?)"
    limits = (upkeep.wall_s - KEEP_REPLIES_LEAST_S, upkeep.wall_s - KEEP_REPLIES_MOST_S, newest - KEEP_REPLIES)
    keys = _delete(upkeep, "replies", "id", old, limits)
    while db.execute("PRAGMA freelist_count").fetchone()[0]:
        upkeep.look()
        db.execute(f"PRAGMA incremental_vacuum({PAGES_A_SLICE})").fetchall()
    return {"lines": lines, "keys": keys, "bytes_before": before, "bytes_after": _size(upkeep)}


def _delete(upkeep: Upkeep, table: str, column: str, where: str, values: tuple[Any, ...]) -> int:
    db, count = upkeep.store.connection, 0
    some = f"SELECT {column} FROM {table} WHERE {where} ORDER BY {column} LIMIT {ROWS_A_SLICE}"  # noqa: S608 - ours
    while True:
        upkeep.look()
        gone = db.execute(f"DELETE FROM {table} WHERE {column} IN ({some})", values).rowcount  # noqa: S608 - ours
        count += gone
        if gone < ROWS_A_SLICE:
            return count


def _checkpoint(upkeep: Upkeep) -> dict[str, Any]:
    """Bring the WAL into the file, and give its space back."""
    wal = upkeep.store.path.with_name(f"{upkeep.store.path.name}-wal")
    before = wal.stat().st_size if is_there(wal) else 0
    busy, _, _ = upkeep.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreError("checkpoint: another program has the store open; close it, nobody else may while we run")
    return {"wal_bytes_before": before, "wal_bytes_after": wal.stat().st_size if is_there(wal) else 0}


def _optimize(upkeep: Upkeep) -> dict[str, Any]:
    """Let SQLite refresh what it knows for its query plans."""
    upkeep.query(upkeep.store.connection, "PRAGMA optimize")
    return {}


def _integrity_check(upkeep: Upkeep) -> dict[str, Any]:
    """Read all of the store and compare it with itself."""
    _check(upkeep, upkeep.store.connection, "the store")
    return {"found": "ok", "bytes": _size(upkeep)}


def _check(upkeep: Upkeep, connection: sqlite3.Connection, what: str) -> None:
    found = [row[0] for row in upkeep.query(connection, "PRAGMA integrity_check(20)")]
    if found != ["ok"]:
        raise StoreError(f"{what} is damaged: {'; '.join(found)[:2000]}")


def _backup(upkeep: Upkeep) -> dict[str, Any]:
    """Copy the store, verify the copy, and only then give it the name of a backup. Keeps the newest two."""
    folder = backups(upkeep.store.path)
    folder.mkdir(mode=0o700, exist_ok=True)
    draft = folder / "draft"
    draft.unlink(missing_ok=True)  # of a step that gave way, or died
    copy = sqlite3.connect(draft, isolation_level=None)
    try:
        upkeep.store.connection.backup(copy, pages=PAGES_A_SLICE, progress=_between(upkeep), sleep=0)
        want = upkeep.store.connection.execute("SELECT count(*), max(seq) FROM ledger").fetchone()
        _check(upkeep, copy, "the copy")
        have = copy.execute("SELECT count(*), max(seq) FROM ledger").fetchone()
    finally:
        copy.close()
    if want != have:
        raise StoreError(
            f"the copy differs from the store: {have[0]} lines up to {have[1]}, not {want[0]} to {want[1]}"
        )
    stamp = datetime.fromtimestamp(upkeep.wall_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    final = folder / f"torpor-{stamp}.db"
    draft.chmod(0o600)
    sync(draft)
    draft.rename(final)
    # Before an older one goes, and before anybody is told: a name is durable with its folder, and that with its own.
    sync(folder)
    sync(folder.parent)
    others = [path for path in _by_age(folder, upkeep.wall_s) if path != final]
    for old in others[: 1 - KEEP_BACKUPS]:
        old.unlink()
    return {"file": str(final), "bytes": final.stat().st_size, "lines": have[0], "verified": True}


def _between(upkeep: Upkeep) -> Callable[[int, int, int], None]:
    """Let the others go first between two slices: what they commit, by the same connection, goes into the copy, too.

    See sqlite3_backup_step on https://www.sqlite.org/c3ref/backup_finish.html. Not after the last slice: it is made.
    """
    openings = upkeep.store.openings

    def between(_status: int, left: int, _all: int) -> None:
        if left:
            upkeep.look()
            if upkeep.store.openings != openings:
                # The connection that is copied from would live on, and its lock would keep everybody from a new one.
                raise StoreError("the store was opened anew while it was copied")

    return between


def backups(store: Path) -> Path:
    """Return the folder of a store's backups."""
    return store.with_name("backups")


def newest_backup(store: Path, wall_s: float) -> Path | None:
    """Return the newest verified backup at the time `wall_s`, for whoever must mend an unreadable store."""
    return next(reversed(_by_age(backups(store), wall_s)), None)


def _by_age(folder: Path, wall_s: float) -> list[Path]:
    """Order backups by when they were written, the oldest first.

    One from the future was made while the clock was wrong, and nobody knows when that was: it counts as the oldest.
    """

    def age(path: Path) -> tuple[bool, float, str]:
        written_at = path.stat().st_mtime
        return written_at <= wall_s, written_at, path.name

    return sorted(folder.glob("torpor-*.db"), key=age)


def _size(upkeep: Upkeep) -> int:
    return upkeep.store.path.stat().st_size


STEPS: Mapping[str, Callable[[Upkeep], dict[str, Any]]] = {
    "trim": _trim,
    "checkpoint": _checkpoint,
    "optimize": _optimize,
    "integrity_check": _integrity_check,
    "backup": _backup,
}
