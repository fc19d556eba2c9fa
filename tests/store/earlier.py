"""Stores as the code of an earlier version left them, and all that is in one."""

from __future__ import annotations

import pathlib
import sqlite3


def store_of_version(version: int, path: pathlib.Path) -> None:
    """Make one: closed, in WAL mode."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(pathlib.Path(__file__).with_name(f"version_{version}.sql").read_text())
    db.execute(f"PRAGMA user_version = {version}")
    db.close()


def dumped(path: pathlib.Path) -> tuple[int, list[str]]:
    """Return a store's version and the statements that would make it."""
    db = sqlite3.connect(path)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        return version, list(db.iterdump())
    finally:
        db.close()
