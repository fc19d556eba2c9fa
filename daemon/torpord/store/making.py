"""A store that is not there yet: made beside its place, and put there whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from torpord.store.syncing import sync


def fill(path: Path, version: int) -> None:
    """Make the tables. Raises sqlite3.Error."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a trimmed ledger gives its space back
        # One transaction: a table alone would be one, and wait for the disk four times.
        schema = Path(__file__).with_name("schema.sql").read_text()
        db.executescript(f"BEGIN; {schema} PRAGMA user_version = {version}; COMMIT")
    finally:
        db.close()


def place(fresh: Path, path: Path) -> None:
    """Give a whole store its name, durably. Raises OSError."""
    fresh.chmod(0o600)
    fresh.rename(path)
    sync(path.parent)
