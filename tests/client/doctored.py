"""What the tests of `torpor doctor` share: its report, and homes with something left in them."""

from __future__ import annotations

import json
import os
import pathlib
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
