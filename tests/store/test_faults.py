"""A disk that fails in the middle of reading a store: the machine's fault, whichever statement it was."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from torpord.store.store import Store, StoreError


class FailingAt:
    """A connection whose statement of this number, from 0, meets an error of the disk's."""

    def __init__(self, db: sqlite3.Connection, number: int | None = None) -> None:
        self._db = db
        self._number = number
        self.count = 0

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        self.count += 1
        if self.count - 1 == self._number:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
            raise error
        return self._db.execute(statement, *values)


def test_a_world_that_cannot_be_read_now_is_the_disks_fault(tmp_path: Path) -> None:
    store = Store(tmp_path / "torpor.db")
    whole = store.connection
    # Agents are read only where there is one.
    ann = ("ann", 0, "idle", 0, "", 0)
    whole.execute(
        "INSERT INTO agents (agent_id, online, doing, since_ts, source, quiet) VALUES (?, ?, ?, ?, ?, ?)", ann
    )
    whole.execute("INSERT INTO presence VALUES ('ann', 0)")
    counted = FailingAt(whole)
    store._db = counted  # type: ignore[assignment]
    assert list(store.load().agents.by_id) == ["ann"]
    assert counted.count > 5
    for number in range(counted.count):
        store._db = FailingAt(whole, number)  # type: ignore[assignment]
        with pytest.raises(StoreError, match="disk I/O error"):
            store.load()
    store._db = whole
    store.close()
