"""A disk that fails for one read of a store, or for all of them, is not taken for a damaged store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from power import recorded
from torpord.shell import opening
from torpord.store.store import Store

pytestmark = pytest.mark.skipif(bool(recorded.missing()), reason=recorded.missing())

# `new_store`: told so, a start puts aside what cannot be read.
PROGRAM = """
import sys
from pathlib import Path
import anyio
from torpord.host.faults import SetupError
from torpord.shell.opening import opened
async def main():
    async with opened(Path(sys.argv[1]), new_store=True) as (store, world, runner):
        print("opened")
try:
    anyio.run(main)
except SetupError as error:
    print(error.exit_code, error)
"""


def opened(path: Path, when: str, calls: str) -> str:
    """Open a store with some of the reads of it failing; returns what was said of it."""
    inject = f"inject={calls}:error=EIO:when={when}"
    command = [
        "strace",
        "-f",
        "-P",
        str(path),
        "-e",
        inject,
        "-o",
        os.devnull,
        sys.executable,
        "-c",
        PROGRAM,
        str(path),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole store."""
    path = tmp_path / "torpor.db"
    Store(path).close()
    return path


@pytest.mark.parametrize("number", range(1, 6))
def test_one_read_that_failed_is_made_once_more(number: int, path: Path) -> None:
    said = opened(path, str(number), "pread64")
    assert said == "opened" or said.startswith("75 "), said
    assert not list(path.parent.glob("*.unreadable.*"))
    assert opening.problem(path) == ""


def test_a_disk_that_reads_nothing_is_named_and_the_store_left_alone(path: Path) -> None:
    said = opened(path, "2+", "pread64,read")
    assert said.startswith("75 "), said
    assert "Input/output error" in said or "disk I/O error" in said
    assert not list(path.parent.glob("*.unreadable.*"))
    assert opening.problem(path) == ""


def test_a_store_that_cannot_be_looked_at_is_not_made_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(path)
    store.connection.execute("INSERT INTO world VALUES ('probe', 'kept')")
    store.close()
    # From Python 3.14 on it says so of a file that the disk does not let be looked at.
    monkeypatch.setattr(Path, "exists", lambda _: False)
    store = Store(path)
    assert store.connection.execute("SELECT body FROM world WHERE part = 'probe'").fetchone() == ("kept",)
    store.close()
