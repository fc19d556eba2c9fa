"""Ledgers with a past: many lines, some of them old, put into the store of a daemon that is down."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

DAY_S = 86_400.0


def age(home: Path, *, old: int, young: int, old_days: float = 60.0) -> int:
    """Make what is there old, add old and young lines of text, and return the newest seq."""
    db = sqlite3.connect(home / "torpor.db")
    try:
        with db:
            db.execute("UPDATE ledger SET ts = ts - ?", ((old_days + 1) * DAY_S if old else 0,))
            (seq,) = db.execute("SELECT max(seq) FROM ledger").fetchone()
            now = time.time()
            rows = [
                (
                    seq + 1 + n,
                    now - (old_days * DAY_S if n < old else 60),
                    0.0,
                    "wake_rejected",
                    _line(seq + 1 + n),
                    "{}",
                )
                for n in range(old + young)
            ]
            db.executemany("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", rows)
            newest = int(seq) + len(rows)
    finally:
        db.close()
    return newest


def _line(seq: int) -> str:
    return json.dumps({"name": f"line-{seq:07d}", "why": "a line of the past, as long as most of them are"})


def damage(home: Path, seq: int) -> None:
    """Overwrite the page that holds a line: the tables that are read at the start stay as they are."""
    store = home / "torpor.db"
    body = bytearray(store.read_bytes())
    page = body.index(f"line-{seq:07d}".encode()) // 4096 * 4096
    body[page : page + 64] = b"\xff" * 64
    store.write_bytes(body)
