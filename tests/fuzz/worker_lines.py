"""What a worker may say on its pipe: its code is not torpor's, and may have done anything to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import orjson

from fuzz.mutation import bytes_mutated, json_mutated, written
from fuzz.seat import lived
from torpord.core.decide import decide
from torpord.core.draft import Refusal
from torpord.shell import reports
from torpord.store.store import line

_AT: dict[str, Any] = {"branch": "", "state": "a", "visit": 1, "attempt": 1}
_FIGURES: dict[str, Any] = {"duration_s": 0.5, "cpu_s": 0.1, "peak_rss_bytes": 1 << 20}
_ERROR = {"type": "OSError", "message": "no", "traceback": "Traceback"}
_SEEDS: tuple[dict[str, Any], ...] = (
    {"t": "loaded", "version": 1, "initial": "a",
     "states": {"a": {"retries": 3, "timeout_s": 5.0}, "b": {"retries": 0, "timeout_s": None}}},
    {"t": "unloadable", "error": _ERROR},
    {"t": "outdated", "version": "0.1.0"},
    {"t": "ended", "n": 1, **_AT, **_FIGURES, "outcome": {"next": "b", "visit": 1}, "set": {"k": [1]},
     "removed": ["r"]},
    {"t": "ended", "n": 2, **_AT, **_FIGURES, "outcome": {"complete": {"a": 1}}},
    {"t": "ended", "n": 3, **_AT, **_FIGURES, "outcome": {"failed": _ERROR, "retries": 2}},
    {"t": "ended", "n": 4, **_AT, **_FIGURES, "outcome": {"retry_after_s": 3600}},
    {
        "t": "ended", "n": 5, **_AT, **_FIGURES,
        "outcome": {"parallel": [{"branch": "a:1/x", "state": "x"}, {"branch": "a:1/y", "state": "y"}], "join": "end"},
    },
    {"t": "joined", "n": 6, "visit": 1, "set": {"k": 1}, "removed": []},
    {"t": "joined", "n": 7, "conflict": {"branches": ["a:1/x", "a:1/y"], "key": "k"}},
    {"t": "call", "n": 8, **_AT, "key": "k" * 40, "tool": "fetch", "args": {"url": "x"}},
    {"t": "called", "n": 9, **_AT, "key": "k" * 40, "ok": True, "result": {"text": "found"}},
    {"t": "called", "n": 10, **_AT, "key": "k" * 40, "ok": False, "error": _ERROR},
    {"t": "progress", "branch": "", "done": 1, "of": 3, "note": "on the way"},
    {"t": "cached", "n": 11, "key": "k"},
)  # fmt: skip
_WORDS = ("a", "b", "", "t", "n", "a:1/x", "next", "complete", "failed", "parallel", "join", "set", "removed", "ended")


class WorkerLines:
    """A line of a worker whose run is at work, read, decided and written as it would be stored."""

    name = "worker"

    def __init__(self) -> None:
        life = lived()
        self._world, self._now = life.world, life.now
        self._run = self._world.runs.live["run-live"]

    def close(self) -> None:
        """Nothing was made."""

    def seeds(self) -> Sequence[bytes]:
        """One of each message."""
        return [json.dumps(each).encode() for each in _SEEDS]

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Change a message."""
        if dice.random() < 0.15:
            return bytes_mutated(data, dice)
        try:
            return written(json_mutated(orjson.loads(data), dice, _WORDS), dice)
        except orjson.JSONDecodeError:
            return dice.choice(self.seeds())

    def one(self, data: bytes) -> Sequence[str]:
        """Take it as `shell/dialogue.py` does."""
        try:
            return [self._decided(reports.parsed(data))]
        except reports.NonsenseError as nonsense:
            return [f"nonsense: {nonsense}"]

    def _decided(self, message: Any) -> str:
        match message["t"]:
            case "progress":
                orjson.dumps(reports.progress(message))
                return "progress"
            case "cached" | "upkeep":
                return "question"
            case "outdated":
                return f"outdated: {reports.version(message)}"
            case "loaded":
                reports.limits(message)
        event = reports.event(message, self._run.run_id, self._run.worker, "output", 0.5)
        decision = decide(self._world, event, self._now)
        for each in decision.entries:
            line(each)
        if isinstance(decision.reply, Refusal):
            return f"refused: {decision.reply.message}"
        orjson.dumps(decision.reply)
        return f"taken: {[entry.record.kind for entry in decision.entries]}"
