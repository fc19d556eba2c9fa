"""`doctor`: what only the daemon knows of how well it is. A look: nothing is checked for it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torpor import wire
from torpord.core import report

if TYPE_CHECKING:
    from torpord.control.desk import Desk

# Whole, and no others: a report is shown around, and what else is in an environment may be a secret.
SHOWN = ("PATH", "HOME", "TZ", "LANG", "XDG_RUNTIME_DIR", "TORPOR_HOME", "TORPOR_SOCKET")
_MOST_CHILDREN = 100


async def examined(desk: Desk) -> dict[str, Any]:
    """Answer the method for a daemon that serves."""
    try:
        (version,) = await desk.runner.run(lambda: desk.store.connection.execute("PRAGMA user_version").fetchone())
        problem = None
    except sqlite3.Error as error:
        version, problem = None, str(error)
    store = {"version": version, "problem": problem, "integrity": integrity(report.last_upkeep(desk.world))}
    return {
        "store": {**store, **sizes(desk.identity.home)},
        "settings": dict(desk.look_at_settings()),
        "stuck": dict(desk.stuck()),
        "environ": environ(),
        "children": children(_workers(desk)),
    }


def examined_unopened(home: str, last_cycle: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Answer it in safe mode: the store is not open, and its version is what its file begins with."""
    return {
        "store": {"version": _version(home), "problem": None, "integrity": integrity(last_cycle), **sizes(home)},
        "settings": dict(settings),
        "stuck": {},
        "environ": environ(),
        "children": children({}),
    }


def _version(home: str) -> int | None:
    """Read `user_version` where the database file format has it: 4 bytes, the high one first, from byte 60 on."""
    try:
        with (Path(home) / wire.STORE_NAME).open("rb") as file:
            header = file.read(64)
    except OSError:
        return None
    return int.from_bytes(header[60:]) if header.startswith(b"SQLite format 3\0") and len(header) == 64 else None


def integrity(last_cycle: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what the last sleep cycle that looked found in the store, and when; None where it did not look."""
    cycle = last_cycle or {}
    result = cycle.get("result")
    check = result.get("integrity_check") if isinstance(result, dict) else None
    if isinstance(check, dict):
        return {"found": check.get("found"), "ts": cycle.get("ended_ts")}
    if cycle.get("outcome") == "failed" and cycle.get("step") == "integrity_check":
        return {"found": cycle.get("error"), "ts": cycle.get("ended_ts")}
    return None


def sizes(home: str) -> dict[str, Any]:
    """Return the bytes that the store and its log take, and those that are free; None where that cannot be seen."""
    store = Path(home) / wire.STORE_NAME
    try:
        disk = os.statvfs(home)
        free: int | None = disk.f_bavail * disk.f_frsize
    except OSError:
        free = None
    return {"bytes": _size(store), "wal_bytes": _size(store.with_name(f"{store.name}-wal")), "free_bytes": free}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def environ() -> dict[str, str]:
    """Return what of its environment decides which programs and places this daemon finds."""
    return {name: os.environ[name] for name in SHOWN if name in os.environ}


def _workers(desk: Desk) -> dict[int, str]:
    if desk.workers is None:
        return {}
    pids = {run_id: desk.workers.pid(run_id) for run_id in desk.world.runs.live}
    return {pid: f"the worker of run {run_id}" for run_id, pid in pids.items() if pid is not None}


def children(known: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return this process's own children: what is known of each, else its program, where the system tells (Linux)."""
    found = dict(known)
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            pids = [int(pid) for pid in path.read_text().split()]
        except OSError:  # a thread that has just ended
            continue
        for pid in pids:
            found.setdefault(pid, _program(pid))
    return [{"pid": pid, "what": found[pid]} for pid in sorted(found)[:_MOST_CHILDREN]]


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "it has just ended"
