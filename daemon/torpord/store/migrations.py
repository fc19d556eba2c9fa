"""How the store of an earlier version becomes one of this version: in one transaction, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from torpord.store import codec

FROM = (1, 2)
TO = 3


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
