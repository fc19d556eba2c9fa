"""How the store of an earlier version becomes one of this version: behind a copy, in one transaction, or not at all."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from torpord.store import codec
from torpord.store.existence import is_there
from torpord.store.syncing import sync

FROM = (1, 2)
TO = 3
# Beyond the copy itself, for what the new tables take until the old ones are gone.
ROOM_BYTES = 16 * 1024 * 1024


class NoRoomError(Exception):
    """The disk has no room for the backup: the machine's fault, and nothing has changed."""


def keep(db: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy a store of an earlier version as it is, verified and durable; returns the copy. It is never thrown away.

    Its write-ahead log is in the copy. Raises NoRoomError, sqlite3.Error or OSError; then the store is as it was.
    """
    folder = path.with_name("backups")
    folder.mkdir(mode=0o700, exist_ok=True)
    pages, size = (db.execute(f"PRAGMA {each}").fetchone()[0] for each in ("page_count", "page_size"))
    disk = os.statvfs(folder)
    needed = pages * size + ROOM_BYTES
    if disk.f_bavail * disk.f_frsize < needed:
        told = f"{-(-needed // 2**20)} MiB needed at {folder}"
        raise NoRoomError(f"no room for the backup before the store {path} is brought up: {told}")
    draft = folder / "draft"
    draft.unlink(missing_ok=True)
    copy = sqlite3.connect(draft, isolation_level=None)
    try:
        db.backup(copy)
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        copy.close()
    if found != "ok":
        raise sqlite3.DatabaseError(f"it is damaged, and not brought up: {found}")
    draft.chmod(0o600)
    sync(draft)
    final = draft.rename(_free_name(folder, version))
    sync(folder)
    sync(folder.parent)  # the folder itself may be new
    return final


def _free_name(folder: Path, version: int) -> Path:
    number = 1
    while is_there(final := folder / f"before-{version}-{number}.db"):
        number += 1
    return final


def bring_up(db: sqlite3.Connection, version: int) -> None:
    """Bring a store of an earlier version up. Raises sqlite3.Error; then nothing has changed."""
    if version not in FROM:
        raise AssertionError(f"there is no way from version {version}")
    schema = Path(__file__).with_name("schema.sql").read_text()
    try:
        # `executescript` commits what is open before it begins, and leaves open what it began itself.
        db.executescript(f"BEGIN IMMEDIATE; {_FIRST[version](schema)}")
        if version == 1:
            _make_the_cycle_a_run(db)
        else:
            _number_the_steps(db)
        db.execute(f"PRAGMA user_version = {TO}")
        db.execute("COMMIT")
    except (sqlite3.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise
        raise sqlite3.DatabaseError(f"its sleep cycle does not parse: {error!r}") from error


def _make_the_cycle_a_run(db: sqlite3.Connection) -> None:
    """Leave out what version 1 knew of its cycle's steps. One that had not ended begins anew: it does no harm twice."""
    row = db.execute("SELECT body FROM world WHERE part = 'cycle'").fetchone()
    if row is None:
        return
    old = orjson.loads(row[0])
    results = old.pop("results", {})
    for name in ("next_step", "done", "started_ts", "worked_s"):
        old.pop(name, None)
    if old.get("last") is not None:
        old["last"] |= {"run_id": "", "result": results or None}
    db.execute("UPDATE world SET body = ? WHERE part = 'cycle'", (codec.dump(old),))


def _new_steps_and_agents(schema: str) -> str:
    first = schema.index("CREATE TABLE steps")
    steps = schema[first : schema.index(";", first) + 1]
    return f"ALTER TABLE steps RENAME TO old_steps; {steps} {schema[schema.index('CREATE TABLE agents') :]}"


def _number_the_steps(db: sqlite3.Connection) -> None:
    """Give the steps of version 2 their numbers by run: they had one number for all runs, and an index beside it."""
    columns = "branch, state, visit, attempt, body"
    number = "row_number() OVER (PARTITION BY run_id ORDER BY id)"
    db.execute(f"INSERT INTO steps SELECT run_id, {number}, {columns} FROM old_steps")  # noqa: S608 - ours
    db.execute("DROP TABLE old_steps")


# By version: from the schema, the tables that it lacks.
_FIRST: Mapping[int, Callable[[str], str]] = {
    1: lambda schema: schema[schema.index("CREATE TABLE runs") :],
    2: _new_steps_and_agents,
}
