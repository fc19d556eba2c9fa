"""examples/maintenance.toml on real repositories, databases and logs; looked at with git, SQLite and gzip."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from daemon_process import RunningDaemon
from examples.rest import EXAMPLES, cycle, done_states
from process.timers import settings
from torpord import config
from torpord.flows.loader import load
from torpord.flows.memory import Result
from waiting import until

EXAMPLE = EXAMPLES / "maintenance.toml"
DAY_S = 86400
needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
needs_sqlite3 = pytest.mark.skipif(not shutil.which("sqlite3"), reason="the command sqlite3 is not installed")


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody's home, with nothing in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


async def run_here() -> Result:
    return await load(config.load(EXAMPLE).flows["maintenance"]).run_here()


def report_of(user: Path) -> dict[str, int]:
    found = json.loads((user / ".local/state/maintenance/last.json").read_text())
    assert isinstance(found, dict)
    return found


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def git(repository: Path, *words: str) -> str:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "maintenance.auto=false")
    command = ["git", "-C", str(repository), *who, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def make_repository(repository: Path) -> None:
    repository.mkdir(parents=True)
    git(repository, "init", "--quiet")
    for number in range(3):
        (repository / "file").write_text(f"{number}\n")
        git(repository, "add", "file")
        git(repository, "commit", "--quiet", "--message", str(number))


def make_database(database: Path) -> None:
    """Make one with holes in it, that a compact copy is without."""
    database.parent.mkdir(parents=True)
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
        db.executemany("INSERT INTO notes (text) VALUES (?)", [(f"note {number} " * 50,) for number in range(2000)])
        db.execute("DELETE FROM notes WHERE id > 500")


def make_log(log: Path, text: str, days: int) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    log.chmod(0o600)
    at_s = time.time() - days * DAY_S
    os.utime(log, (at_s, at_s))


def test_torpord_takes_it_as_its_settings(home: Path) -> None:
    command = [sys.executable, "-m", "torpord", "check", "--home", str(home), "--config", str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.asyncio
async def test_where_there_is_nothing_it_does_nothing_and_says_so(user: Path) -> None:
    assert (await run_here()).status == "completed"
    assert report_of(user) == {"repositories": 0, "databases": 0}
    assert files_in(user) == [user / ".local/state/maintenance/last.json"]


@needs_git
@needs_sqlite3
def test_a_daemon_does_it_in_its_sleep(user: Path, home: Path) -> None:
    repositories = [user / "src/one", user / "src/two and a half"]
    for repository in repositories:
        make_repository(repository)
    database = user / ".local/share/memory/some notes.db"
    make_database(database)
    make_log(user / "logs/app/old.log", "old\n" * 1000, days=8)
    make_log(user / "logs/app/its own.log", "half done\n", days=9)
    (user / "logs/app/its own.log.gz").write_bytes(gzip.compress(b"half done\n"))
    make_log(user / "logs/app/young.log", "young\n", days=1)
    copies = user / ".local/state/maintenance/databases"
    make_log(copies / "some notes-20200101.db", "long ago", days=31)

    # As it stands, but for the timers.
    daemon = RunningDaemon.start(home, EXAMPLE.read_text() + settings(min_up="1h"))
    daemon.call("event", event="force_sleep")
    page = daemon.call("run.get", run_id=cycle(daemon, "maintenance")["run_id"])
    states = done_states(page)
    assert sorted(states[1:-1]) == ["databases", "logs", "old_copies", "repositories"]
    assert (states[0], states[-1]) == ("begin", "report")
    assert report_of(user) == {"repositories": 2, "databases": 1}

    for repository in repositories:
        assert list((repository / ".git/objects/pack").glob("loose-*.pack"))
        assert list((repository / ".git/objects/info").glob("commit-graph*"))
        assert git(repository, "rev-list", "--count", "HEAD") == "3"
        git(repository, "fsck", "--strict")
    (copy,) = copies.iterdir()
    assert copy.name == f"some notes-{time.strftime('%Y%m%d')}.db"
    assert copy.stat().st_size < database.stat().st_size / 2
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT count(*) FROM notes").fetchone() == (500,)
    assert sorted(path.name for path in (user / "logs/app").iterdir()) == ["its own.log.gz", "old.log.gz", "young.log"]
    packed = user / "logs/app/old.log.gz"
    assert gzip.decompress(packed.read_bytes()) == b"old\n" * 1000
    assert packed.stat().st_mode & 0o777 == 0o600
    assert packed.stat().st_mtime < time.time() - 7 * DAY_S


@needs_sqlite3
def test_a_database_in_use_is_tried_again_later_and_is_no_failure(user: Path, home: Path) -> None:
    database = user / ".local/share/memory/notes.db"
    make_database(database)
    daemon = RunningDaemon.start(home, EXAMPLE.read_text() + settings(min_up="1h"))
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        run_id = daemon.call("run.start", flow="maintenance")["run_id"]
        page = until(
            lambda: next((page for page in [daemon.call("run.get", run_id=run_id)] if retried(page)), None),
            what="the second try of the copy to be waited for",
        )
    assert "repositories" in done_states(page)
    assert page["run"]["status"] == "running"
    assert daemon.call("run.cancel", run_id=run_id)["status"] == "cancelled"


def retried(page: dict[str, Any]) -> bool:
    """Whether a page shows the retry, and its run the wait for it: the run is looked at before its steps are read."""
    waits = [place["status"] for place in page["run"]["places"] if place["state"] == "databases"] == ["waiting"]
    return waits and any(step["outcome"] == "retry" for step in page["steps"])


@pytest.mark.asyncio
async def test_without_sqlite3_it_fails_and_says_what_to_install(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_database(user / ".local/share/memory/notes.db")
    tools = user / "bin"
    tools.mkdir()
    for tool in ("find", "cp", "mkdir", "rm", "git"):
        found = shutil.which(tool)
        if found:
            (tools / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    ended = await run_here()
    assert ended.status == "failed"
    assert ended.error is not None
    assert "install it (apt install sqlite3" in ended.error["message"]
