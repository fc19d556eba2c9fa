"""A store that is not there yet: made beside its place, and put there whole."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def fill(path: Path, version: int) -> None:
    """Make the tables. Raises sqlite3.Error."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a trimmed ledger gives its space back
        db.executescript(Path(__file__).with_name("schema.sql").read_text())
        db.execute(f"PRAGMA user_version = {version}")
    finally:
        db.close()


def place(fresh: Path, path: Path) -> None:
    """Give a whole store its name, durably. Raises OSError."""
    fresh.chmod(0o600)
    fresh.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
