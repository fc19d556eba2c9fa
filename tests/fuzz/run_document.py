"""Imported runs: a document is refused in words, or is a run like any other: stored, shown, exported, and taken again.

What `run.import` takes is written into a real store, read as `run.get`, a worker's greeting and `run.export` read it,
and what the export gives is imported once more: it must be the same run. Then all of it is rolled back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import orjson

from fuzz.mutation import bytes_mutated, json_mutated, written
from fuzz.seat import lived, refused
from store.living import a_store, store_of
from torpor import wire
from torpord.control import run_pages
from torpord.control.params import RefusedError
from torpord.control.run_documents import Cursor, piece
from torpord.control.run_imports import read
from torpord.core import run_events as re
from torpord.core.decide import decide
from torpord.core.draft import Refusal
from torpord.core.report import run_brief
from torpord.core.runs import Run
from torpord.store import runs as rows
from torpord.store.store import Batch, line

_SEEDS = Path(__file__).parent / "seeds" / "document"
_CLIENT = {"source": "client"}
_WORDS = (
    "pending", "running", "paused", "completed", "failed", "cancelled", "ready", "waiting", "forked", "at_join", "",
    "a",    "split", "left", "split:1/left", "split:1/right", "merge", "begun", "done", "next", "complete",
    "torpor run", 1, 2,
    "current_node", "node_states", "completed_nodes", "legacy", "metadata", "places", "branch", "2024-05-01T10:00:00",
)  # fmt: skip
_CALL = {"branch": "", "state": "a", "visit": 1, "attempt": 1, "tool": "fetch", "args": {"u": [1]}, "begun_ts": 1e9}
_CALLS = [
    {**_CALL, "key": "k1", "status": "done", "result": {"text": "found"}, "ended_ts": 1.7e9},
    {**_CALL, "key": "k2", "status": "begun", "result": None, "ended_ts": None},
    {**_CALL, "key": "k3", "status": "failed", "result": {"type": "OSError", "message": "no"}, "ended_ts": 1.7e9},
]
# Of a copy: its own id, and that nothing of it is at work here.
_DIFFERS = ("run_id", "worker", "loaded", "reason", "ended_ts")


class RunDocument:
    """A whole document, as `run.import` has it when its pieces are together."""

    name = "document"

    def __init__(self) -> None:
        self._open = ExitStack()
        life = lived()
        self._world, self._now = life.world, life.now
        self._store = store_of(self._open.enter_context(a_store()), life)
        self._store.connection.execute("PRAGMA journal_mode = MEMORY")
        self._own = [self._exported(run) for run in life.stored.values()]

    def close(self) -> None:
        """Close the store."""
        self._open.close()

    def seeds(self) -> Sequence[bytes]:
        """Documents of runs that were made here, of one within its branches, and of version 1."""
        own = [json.dumps(each).encode() for each in self._own]
        called = json.dumps({**self._own[0], "calls": _CALLS}).encode()
        return [*own, called, *(path.read_bytes() for path in sorted(_SEEDS.iterdir()))]

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Change values anywhere in it."""
        if dice.random() < 0.05:
            return bytes_mutated(data, dice)
        try:
            return written(json_mutated(orjson.loads(data), dice, _WORDS), dice)
        except orjson.JSONDecodeError:
            return dice.choice(self.seeds())

    def one(self, data: bytes) -> Sequence[str]:
        """Import it, and the export of what it has become."""
        text = data.decode(errors="replace")
        try:
            run, found = read(text, "copy-1", self._now.wall_s)
        except RefusedError as error:
            return [refused(1, error.refusal)]
        first = self._stored(run, found)
        again, found = read(json.dumps(first), "copy-2", self._now.wall_s)
        second = self._stored(again, found)
        assert _same(second) == _same(first), "what was exported came back as another run"
        return [f"taken: {run.status} {len(run.places)} {run.legacy}"]

    def _stored(self, run: Run, found: rows.Rows) -> dict[str, Any]:
        """Store a run, look at it as its readers do, and return its export. Nothing of it is left."""
        db = self._store.connection
        decision = decide(self._world, re.RunImportWanted(_CLIENT, run, found), self._now)
        assert not isinstance(decision.reply, Refusal), decision.reply
        lines = [each for each in map(line, decision.entries) if each is not None]
        db.execute("BEGIN")
        try:
            self._store._write(Batch(1, self._world, decision.world, lines, (), decision.entries))
            stored = rows.find(db, run.run_id)
            assert stored == decision.world.runs.live.get(run.run_id, stored)
            assert stored is not None
            self._shown(db, stored)
            return self._exported(stored)
        finally:
            db.execute("ROLLBACK")

    def _shown(self, db: sqlite3.Connection, run: Run) -> None:
        orjson.dumps(run_brief(run, self._now, {}, None))
        orjson.dumps(run_pages._details(run, rows.detail(db, run.run_id), rows.data(db, run.run_id)))
        orjson.dumps([run_pages._step(step) for step in rows.steps(db, run.run_id, 0, 200)])
        for number, call in rows.calls(db, run.run_id, 0, 200):
            orjson.dumps([number, run_pages._call(call)])
            rows.recorded_calls(db, run.run_id, call["branch"], call["state"], call["visit"])
        if not run.legacy:
            rows.resumption(db, run)

    def _exported(self, run: Run) -> dict[str, Any]:
        text, cursor = "", Cursor()
        while True:
            part, more = piece(self._store.connection, run, cursor, wire.MAX_PAGE_BYTES // 8)
            text += part
            if more is None:
                found = json.loads(text)
                assert isinstance(found, dict)
                return found
            cursor = Cursor.of(str(more))


def _same(document: dict[str, Any]) -> dict[str, Any]:
    run = {name: value for name, value in document["run"].items() if name not in _DIFFERS}
    steps = [{name: value for name, value in step.items() if name != "id"} for step in document["steps"]]
    return {**document, "run": run, "steps": steps}
