"""What torpor has promised by some moment of a recording, and whether a home that is left keeps it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from power.recorded import Said
from process.reading import assert_whole
from torpord.core.runs import RunStatus
from torpord.store.store import VERSION, Store


@dataclass(slots=True)
class Promises:
    """Grows with what was said. A promise counts from the instant its bytes were handed to the socket."""

    asked: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)  # method and params, by key
    answered: dict[str, dict[str, Any]] = field(default_factory=dict)  # results, by key
    left: dict[str, str] = field(default_factory=dict)  # file names, by key
    completed: set[str] = field(default_factory=set)  # runs
    backed_up: bool = False
    stopped: bool = False

    def hear(self, said: Said) -> None:
        """Take what was said on a socket, or to the marks: lines of JSON, and what else goes through sockets."""
        for line in said.data.splitlines():
            with contextlib.suppress(ValueError):  # a byte that wakes an event loop
                message = json.loads(line)
                if isinstance(message, dict):
                    self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"id": "stop", "result": _}:
                self.stopped = True
            case {"id": str(key), "result": dict(result)}:
                self.answered[key] = result
            case {"id": str(key), "method": str(method), "params": dict(params)}:
                self.asked[key] = method, params
            case {"left": str(name), "key": str(key)}:
                self.left[key] = name
            case {"leaving": str(key)}:
                self.asked[key] = "", {}
            case {"completed": str(run_id)}:
                self.completed.add(run_id)
            case {"backed_up": True}:
                self.backed_up = True
            case _:
                pass

    def size(self) -> tuple[int, ...]:
        """Return how much was promised: it only grows."""
        return len(self.asked), len(self.answered), len(self.left), len(self.completed), self.backed_up, self.stopped

    def check(self, home: Path) -> None:
        """Look at what is left of a home. Raises AssertionError."""
        store = home / "torpor.db"
        kept: dict[str, dict[str, Any]] = {}
        if store.exists():
            kept = self._check_store(home)
        else:
            assert not self.answered, "the store is gone, with all that was promised"
            assert not store.with_name("torpor.db-wal").exists(), "a log without its store: no start gets past it"
        spool = home / "wake.d"
        files = {path.name: json.loads(path.read_bytes()) for path in spool.iterdir()} if spool.exists() else {}
        lost = [name for key, name in self.left.items() if name not in files and key not in kept]
        assert not lost, f"files are lost: {lost}"
        assert (home / "stopped").exists() or not self.stopped, "nobody knows that it was told to stay away"
        self._check_backups(home)

    def _check_store(self, home: Path) -> dict[str, dict[str, Any]]:
        world = assert_whole(home)
        kept = self._kept(home / "torpor.db")
        assert set(kept) <= set(self.asked), "somebody was answered who had not asked"
        for key, result in self.answered.items():
            assert kept.get(key) == result, f"{key} was answered {result}; kept is {kept.get(key)}"
        shown = home / "lifecycle_state.json"
        if shown.exists():
            body = json.loads(shown.read_bytes())
            said = (body["generation"], body["wrapper_event_seq"])
            assert said <= (world.process.generation, world.activity.event_seq), "it was shown before it was durable"
        return kept

    def _kept(self, path: Path) -> dict[str, dict[str, Any]]:
        store = Store(path)
        try:
            replies = store.kept_replies([key for (key,) in store.connection.execute("SELECT key FROM replies")])
            ended = store.found_runs(self.completed)
            assert {run.status for run in ended.values()} <= {RunStatus.COMPLETED}
            assert set(ended) == self.completed
        finally:
            store.close()
        return {key: json.loads(reply.result) for key, reply in replies.items()}

    def _check_backups(self, home: Path) -> None:
        found = sorted((home / "backups").glob("torpor-*.db"))
        assert found or not self.backed_up, "the backup that was told of is not there"
        for path in found:
            with contextlib.closing(sqlite3.connect(path)) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",), f"{path} is damaged"
                assert db.execute("PRAGMA user_version").fetchone() == (VERSION,), f"{path} is not a database of ours"
