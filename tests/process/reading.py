"""What lies in a home, read while no daemon has it: the store whole, the ledger gapless and folding to the store."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import memory
from core.folding import fold, in_the_ledger
from torpord.core import records as r
from torpord.core import run_records as rr
from torpord.core.kinds import parse
from torpord.core.run_history import evolve_run
from torpord.core.runs import Run
from torpord.core.world import World
from torpord.store import runs as rows
from torpord.store.store import Store


def ledger(home: Path) -> list[r.Entry]:
    """Return all lines of the ledger as records. Works on a copy: the files stay as the last daemon left them."""
    with tempfile.TemporaryDirectory(prefix="tp-read-", dir=memory.folder()) as folder:
        _, entries, _ = _read(home, Path(folder))
    return entries


def kinds(home: Path) -> list[str]:
    return [entry.record.kind for entry in ledger(home)]


def transitions(home: Path, after: int = 0) -> list[tuple[str, str]]:
    """Return the transitions behind a line, each as (from, to)."""
    lines = [e.record for e in ledger(home) if e.seq is not None and e.seq > after]
    return [(each.from_, each.to) for each in lines if isinstance(each, r.StateTransition)]


def stored_world(home: Path) -> World:
    with tempfile.TemporaryDirectory(prefix="tp-read-", dir=memory.folder()) as folder:
        world, _, _ = _read(home, Path(folder))
    return world


def assert_whole(home: Path) -> World:
    """Check that store and ledger tell one story, and return the world."""
    with tempfile.TemporaryDirectory(prefix="tp-read-", dir=memory.folder()) as folder:
        world, entries, kept = _read(home, Path(folder))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1)), "the ledger has a gap"
    assert world.ledger_seq == len(entries)
    assert in_the_ledger(fold(entries)) == in_the_ledger(world)
    assert kept == _told(entries, kept)
    return world


@dataclass(slots=True)
class KeptRun:
    """A run as its rows have it, ended or not: its places, its attempts in their order, its calls by key."""

    run: Run | None = None
    steps: list[tuple[str, str, int, int, str]] = field(default_factory=list)
    calls: dict[str, str] = field(default_factory=dict)


def _told(entries: Iterable[r.Entry], kept: Mapping[str, KeptRun]) -> dict[str, KeptRun]:
    """Return the runs as the ledger tells of them. What an imported one brought is told nowhere: as it is kept."""
    told: dict[str, KeptRun] = {}
    for entry in entries:
        record = entry.record
        if isinstance(record, rr.RunRemoved):
            del told[record.run_id]
        elif isinstance(record, rr.RunRecord):
            run = told.setdefault(record.run_id, KeptRun())
            run.run = evolve_run(run.run, entry, record)
            _tell(run, record)
            if isinstance(record, rr.RunImported) and record.run_id in kept:
                run.steps, run.calls = kept[record.run_id].steps, kept[record.run_id].calls
    return told


def _tell(run: KeptRun, record: rr.RunRecord) -> None:
    match record:
        case rr.StepEnded(outcome=outcome) | rr.StepFailed(how=outcome):
            run.steps.append((record.branch, record.state, record.visit, record.attempt, outcome))
        case rr.StepInterrupted(why=why):
            outcome = "cancelled" if why == "cancelled" else "interrupted"
            run.steps.append((record.branch, record.state, record.visit, record.attempt, outcome))
        case rr.CallBegun(key=key):
            run.calls[key] = "begun"
        case rr.CallEnded(key=key, ok=ok):
            run.calls[key] = "done" if ok else "failed"
        case _:
            pass


def _kept(db: sqlite3.Connection) -> dict[str, KeptRun]:
    kept = {}
    for (run_id,) in db.execute("SELECT run_id FROM runs"):
        steps = rows.steps(db, run_id, 0, 1_000_000)
        names = ("branch", "state", "visit", "attempt", "outcome")
        calls = {call["key"]: call["status"] for _, call in rows.calls(db, run_id, 0, 1_000_000)}
        kept[run_id] = KeptRun(rows.find(db, run_id), [tuple(step[n] for n in names) for step in steps], calls)
    return kept


def state_file(home: Path) -> dict[str, Any]:
    body = json.loads((home / "lifecycle_state.json").read_text())
    assert isinstance(body, dict)
    return body


def _read(home: Path, folder: Path) -> tuple[World, list[r.Entry], dict[str, KeptRun]]:
    for name in ("torpor.db", "torpor.db-wal", "torpor.db-journal"):
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
        return store.load(), entries, _kept(store.connection)
    finally:
        store.close()
