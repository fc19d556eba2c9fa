"""What lies in a home, read while no daemon has it: the store whole, the ledger gapless and folding to the store."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from core.folding import fold, in_the_ledger
from torpord.core import records as r
from torpord.core.kinds import parse
from torpord.core.world import World
from torpord.store.store import Store


def ledger(home: Path) -> list[r.Entry]:
    """Return all lines of the ledger as records. Works on a copy: the files stay as the last daemon left them."""
    with tempfile.TemporaryDirectory(prefix="tp-read-") as folder:
        _, entries = _read(home, Path(folder))
    return entries


def kinds(home: Path) -> list[str]:
    return [entry.record.kind for entry in ledger(home)]


def transitions(home: Path, after: int = 0) -> list[tuple[str, str]]:
    """Return the transitions behind a line, each as (from, to)."""
    lines = [e.record for e in ledger(home) if e.seq is not None and e.seq > after]
    return [(each.from_, each.to) for each in lines if isinstance(each, r.StateTransition)]


def stored_world(home: Path) -> World:
    with tempfile.TemporaryDirectory(prefix="tp-read-") as folder:
        world, _ = _read(home, Path(folder))
    return world


def assert_whole(home: Path) -> World:
    """Check that store and ledger tell one story, and return the world."""
    with tempfile.TemporaryDirectory(prefix="tp-read-") as folder:
        world, entries = _read(home, Path(folder))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1)), "the ledger has a gap"
    assert world.ledger_seq == len(entries)
    assert in_the_ledger(fold(entries)) == in_the_ledger(world)
    return world


def state_file(home: Path) -> dict[str, Any]:
    body = json.loads((home / "lifecycle_state.json").read_text())
    assert isinstance(body, dict)
    return body


def _read(home: Path, folder: Path) -> tuple[World, list[r.Entry]]:
    for name in ("torpor.db", "torpor.db-wal"):
        if (home / name).exists():
            shutil.copy(home / name, folder / name)
    store = Store(folder / "torpor.db")
    try:
        assert store.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = store.connection.execute("SELECT seq, ts, awake_s, kind, data, cause FROM ledger ORDER BY seq")
        entries = [
            r.Entry(seq, ts, awake_s, parse(kind, json.loads(data)), json.loads(cause))
            for seq, ts, awake_s, kind, data, cause in rows
        ]
        return store.load(), entries
    finally:
        store.close()
