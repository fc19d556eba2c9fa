"""The small files of a home, as observers, clients and the next start read them: none of them is a reason to fail.

An input is a file's name, a line end, and what is in it; the others are as a daemon left them. No daemon is up.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import orjson

import memory
from fuzz.mutation import bytes_mutated, json_mutated, written
from fuzz.seat import lived
from torpor import cli, presence, wire
from torpor.cli import service_manager
from torpor.doctor import subject
from torpor.service import markers, record
from torpord.host import lock
from torpord.shell import safe_mode, starting, starts, statefile

_NOW_S = 1_795_000_000.0
_TIME = "2026-11-21T16:00:00.000+00:00"
_START = {"ts": 1.79e9, "pid": 4711, "boot_id": "b", "version": "0.2.0", "interpreter": "/usr/bin/python3"}
_WORDS = (
    *wire.STATES, *wire.MANAGERS, *wire.WAYS, _TIME, "stop", "hibernate", "torpord", "torpord-x", "../../x",
    "completed", "failed", "current_state", "reason", "pid", "end", "suspect", "good", "starts", "home",
    "manager", "unit",
    1e300, -1e300,
)  # fmt: skip
_CYCLE = {
    "flow": "housekeeping", "outcome": "failed", "run_id": "r1", "started_ts": _TIME, "ended_ts": _TIME,
    "duration_s": 1.5,    "step": "trim", "error": {"type": "OSError", "message": "no space",
    "state": "trim", "branch": ""}, "result": None,
}  # fmt: skip
_UNIT, _UNIT_TEXT = "torpord.socket", "[Socket]\nListenStream=%h/torpor.sock\n"
_ASKED = (("status",), ("status", "--json"))


def files(home: Path) -> dict[str, Any]:
    """Return what a daemon that went down has left there, as objects; texts are no JSON."""
    life = lived()
    told = {
        "last_cycle": _CYCLE,
        "quarantine": {"flow": "housekeeping", "run_id": "r1", "step": "trim", "until_ts": _TIME, "failures": 3},
        "recovering": {"count": 2, "next_ts": _TIME},
        "resumes_ts": _TIME,
        "next_wake_ts": _TIME,
        "wake_armed": _TIME,
        "ways_back": {"connect": {"ts": _TIME, "took_s": 0.5, "how": "wake-test", "version": "0.1.0"}},
        "sleep_cycle_progress": {"phase": "running", "run_id": "r1", "step": "trim", "done": 1, "of": 5},
        "manager": "systemd-user",
        "unit": "torpord",
    }
    good = {"version": "0.1.0", "interpreter": "/opt/pipx/venvs/torpor/bin/python", "ts": 1.79e9}
    dead = [{**_START, "phase": "store", "suspect": "request event", "end": None} for _ in range(4)]
    return {
        wire.STATE_NAME: {**orjson.loads(orjson.dumps(statefile.document(life.world, None))), **told},
        starts.NAME: {"schema_version": 1, "good": good, "starts": dead},
        record.NAME: {
            "schema_version": 1, "manager": "systemd-user", "unit": "torpord", "home": f"{home}-was",
            "socket": f"{home}/torpor.sock", "interpreter": "/usr/bin/python3", "version": "0.1.0",
            "files": {"/a": "0" * 64}, "installed_ts": _TIME,
        },
        wire.LOCK_NAME: {"pid": 4711, "boot_id": "b", "version": "0.1.0", "supervisor": "systemd"},
        wire.WAKE_AT_NAME: f"{_TIME}\n",
        wire.STOPPED_NAME: "stopped\n",
        _UNIT: f"{markers.line('0.1.0', str(home), 'torpord', _UNIT_TEXT)}\n{_UNIT_TEXT}",
    }  # fmt: skip


class HomeFiles:
    """Every reader of each file."""

    name = "home"

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="tp-", dir=memory.folder()))
        (self.home / wire.SPOOL_TMP_NAME).mkdir()
        self._left = {
            name: each.encode() if isinstance(each, str) else json.dumps(each).encode()
            for name, each in files(self.home).items()
        }

    def close(self) -> None:
        """Remove the home."""
        shutil.rmtree(self.home)

    def seeds(self) -> Sequence[bytes]:
        """Each file as it is."""
        return [f"{name}\n".encode() + text for name, text in self._left.items()]

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Change what is in the file."""
        name, _, text = data.partition(b"\n")
        if dice.random() < 0.85:
            with contextlib.suppress(orjson.JSONDecodeError):
                return name + b"\n" + written(json_mutated(orjson.loads(text), dice, _WORDS), dice)
        return name + b"\n" + bytes_mutated(text, dice)

    def put(self, data: bytes) -> str:
        """Leave the input's file among the others as they were; returns its name."""
        raw, _, text = data.partition(b"\n")
        name = raw.decode(errors="replace")
        if name not in self._left:
            name = wire.STATE_NAME
        for each, whole in {**self._left, name: text}.items():
            if each != wire.STOPPED_NAME or name == each:
                (self.home / each).write_bytes(whole)
        return name

    def one(self, data: bytes) -> Sequence[str]:
        """Read all of it, in every way there is."""
        name = self.put(data)
        answers = [f"{name}: {self._client(str(self.home))}", f"{name}: {self._daemon()}"]
        (self.home / wire.STOPPED_NAME).unlink(missing_ok=True)
        return answers + [f"status: {self._asked(words)}" for words in _ASKED]

    def _client(self, home: str) -> str:
        known = presence.last_known(home)
        stopped = presence.was_stopped(home, known)
        leaving = presence.is_leaving(known, 4711)
        assert presence.told_down(home, known)
        state = presence.state_when_down(home)
        record.moved_from(home)
        assert isinstance(subject.holder(home), dict)
        markers.read(f"{home}/{_UNIT}")
        units = service_manager.units(home)
        assert units is None or not units.unit.startswith("-")
        return f"{known is None} {stopped} {leaving} {state in wire.STATES} {units is None}"

    def _daemon(self) -> str:
        found = starts.Starts.begin(self.home, "0.2.0", "/usr/bin/python3", "b", 4712, _NOW_S)
        verdict = found.verdict()
        said = "" if verdict is None else str(verdict)
        starting.planned_at(self.home)
        lock._told_holder(self.home / wire.LOCK_NAME)
        unfinished = statefile.unfinished_stop(self.home)
        known = safe_mode._last_known(self.home / wire.STATE_NAME)
        orjson.dumps(known)
        assert known["current_state"] in wire.STATES
        return f"{found.deaths} {bool(said)} {unfinished}"

    def _asked(self, words: Sequence[str]) -> int:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(["--home", os.fspath(self.home), *words])
        assert status == wire.EX_DOWN, (status, err.getvalue())
        assert not err.getvalue()
        assert out.getvalue().endswith("\n")
        if "--json" in words:
            assert json.loads(out.getvalue())["up"] is False
        return status
