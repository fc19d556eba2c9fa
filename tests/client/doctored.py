"""What the tests of `torpor doctor` share: its report, and homes with something left in them."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.conftest import Torpor


def report(torpor: Torpor, *more: str) -> tuple[int, dict[str, Any], dict[str, dict[str, Any]]]:
    status, out, err = torpor("doctor", "--json", *more)
    assert err == ""
    told = json.loads(out)
    return status, told, {row["id"]: row for row in told["rows"]}


def mend(row: dict[str, Any]) -> None:
    """Run the command that a row names, as somebody would who believes it."""
    assert row["mend"], row
    subprocess.run(["/bin/sh", "-c", row["mend"]], check=True, timeout=10, stdin=subprocess.DEVNULL)


def leave_draft(home: pathlib.Path) -> None:
    (home / "tmp").mkdir(0o700)
    for name in ("draft.json", "young.json"):
        (home / "tmp" / name).touch()
    (home / "tmp" / "run-77").mkdir()
    (home / "tmp" / "run-77" / "inner").touch()
    old = time.time() - 100_000
    for name in ("draft.json", "run-77"):
        os.utime(home / "tmp" / name, (old, old))


def die(home: pathlib.Path, times: int = 5, version: str = "9.9", good: dict[str, Any] | None = None) -> None:
    (home / "tmp").mkdir(0o700)
    (home / "torpor.lock").touch()
    dead = {
        "ts": 1.0,
        "pid": 4,
        "version": version,
        "interpreter": "/v/python",
        "suspect": "wake.d/x.json",
        "end": None,
    }
    told = {**dead, "end": "failed: bad settings"}
    (home / "starts.json").write_text(
        json.dumps({"schema_version": 1, "good": good, "starts": [told, *[dead] * times]})
    )


def store(path: pathlib.Path, version: int) -> None:
    """Make what `torpor doctor` takes for a store of a version."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
        db.executemany("INSERT INTO t VALUES (?)", [("y" * 500,) for _ in range(500)])
        db.execute(f"PRAGMA user_version = {version}")
    db.close()


def killed_while_writing(home: pathlib.Path) -> None:
    """Leave a store as a daemon that was killed does: what it wrote last is in the write-ahead log alone."""
    store(home / "drafted.db", 2)
    with contextlib.closing(sqlite3.connect(home / "drafted.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA user_version = 3")
        for suffix in ("", "-wal"):
            shutil.copy(home / f"drafted.db{suffix}", home / f"torpor.db{suffix}")
    for left in home.glob("drafted.db*"):
        left.unlink()
    (home / "tmp").mkdir(exist_ok=True)
