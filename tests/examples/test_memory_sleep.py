"""examples/memory_sleep.py on a real store of some thousand notes, by a real daemon; looked at with SQLite alone."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon_process import RunningDaemon
from examples.rest import EXAMPLES, cycle, done_states, ended, memory_sleep_settings
from waiting import until


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("sample") / "notes.db"
    script("--make-sample", str(store))
    return store


@pytest.fixture
def user(sample: Path, tmp_path: Path) -> Path:
    """Somebody's home, with the store where the example looks for one."""
    place = tmp_path / ".local/share/memory"
    place.mkdir(parents=True)
    shutil.copy(sample, place / "notes.db")
    return tmp_path


def script(*words: str, status: int = 0) -> str:
    command = [sys.executable, str(EXAMPLES / "memory_sleep.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout or done.stderr


def store_of(user: Path) -> Path:
    return user / ".local/share/memory/notes.db"


@contextmanager
def reading(store: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=rw", uri=True, isolation_level=None)) as db:
        yield db


def texts(store: Path) -> list[str]:
    with reading(store) as db:
        return [text for (text,) in db.execute("SELECT text FROM notes ORDER BY id")]


def plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def assert_in_order(store: Path, before: list[str], result: dict[str, Any]) -> None:
    """Each note that said something first is there, the others are set aside; index and copy have what is there."""
    first = {plain(text): text for text in reversed(before)}
    assert texts(store) == [text for text in dict.fromkeys(before) if first[plain(text)] == text]
    with reading(store) as db:
        aside = db.execute("SELECT text, how, kept_id FROM duplicates").fetchall()
        kept = dict(db.execute("SELECT id, text FROM notes"))
        assert len(aside) + len(kept) == len(before)
        assert all((how == "same") == (kept[kept_id] == text) for text, how, kept_id in aside)
        assert {plain(kept[kept_id]) for _, _, kept_id in aside} == {plain(text) for text, _, _ in aside}
        assert db.execute("SELECT rowid, text FROM notes_index ORDER BY rowid").fetchall() == sorted(kept.items())
        found = db.execute("SELECT count(*) FROM notes_index WHERE notes_index MATCH 'zürich'").fetchone()[0]
        assert found == sum("zürich" in plain(text) for text in kept.values()) > 0
        assert not db.execute("SELECT name FROM sqlite_master WHERE name IN ('seen', 'new_index')").fetchall()
    copy = Path(result["copy"])
    assert (copy.parent, list(copy.parent.iterdir())) == (store.parent / "copies", [copy])
    with reading(copy) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert texts(copy) == texts(store)
    how_many = {how: [each for _, each, _ in aside].count(how) for how in ("alike", "same")}
    assert result == {"notes": len(kept), "set_aside": how_many, "copy": str(copy)}


def test_the_script_does_it_without_a_daemon_and_the_next_time_there_is_nothing_to_set_aside(user: Path) -> None:
    store = store_of(user)
    before = texts(store)
    assert_in_order(store, before, json.loads(script(str(store))))
    assert json.loads(script(str(store)))["set_aside"] == {}
    assert len(list((store.parent / "copies").iterdir())) == 2
    assert "--make-sample" in script(str(user / "none.db"), status=1)


def test_as_a_run_of_its_own_it_takes_the_store_that_is_named_and_outlives_a_kill(user: Path, home: Path) -> None:
    store = user / "elsewhere" / "notes.db"
    store.parent.mkdir()
    store_of(user).rename(store)
    before = texts(store)
    daemon = RunningDaemon.start(home, memory_sleep_settings(), env={"HOME": str(user)})
    run_id = daemon.call("run.start", flow="memory_sleep", data={"store": str(store)})["run_id"]
    with reading(store) as db:
        until(lambda: has_begun(db), what="the first duplicate")
    daemon.kill()  # and its worker with it, wherever that is
    daemon = daemon.again()
    page = ended(daemon, run_id)
    assert_in_order(store, before, page["run"]["result"])
    assert sorted(done_states(page)) == sorted(["look", "dedupe", "reindex", "settle", "check", "copy", "keep"])
    assert any(step["outcome"] == "interrupted" for step in page["steps"])
    (call,) = page["calls"]
    assert (call["tool"], call["status"], call["result"]) == ("keep_copy", "done", page["run"]["result"]["copy"])
    again = daemon.call("run.start", flow="memory_sleep")["run_id"]
    assert "nothing to do" in ended(daemon, again)["run"]["result"]


def test_as_the_sleep_cycle_it_gives_way_in_the_middle_and_goes_on_there_through_a_kill(user: Path, home: Path) -> None:
    store = store_of(user)
    before = texts(store)
    daemon = RunningDaemon.start(home, memory_sleep_settings(), env={"HOME": str(user)})
    daemon.call("event", event="force_sleep")
    with reading(store) as db:
        set_aside = locked_at_the_first_duplicate(db)  # somebody writes: both branches wait in the middle of their work
        assert daemon.call("event", event="request_arrived")["state"] == "WAKE"  # and not when the lock is free
        db.execute("COMMIT")
    run_id = daemon.call("status")["sleep"]["progress"]["run_id"]
    until(lambda: daemon.call("run.get", run_id=run_id)["run"]["worker_pid"] is None, what="the worker's end")
    waiting = daemon.call("run.get", run_id=run_id)["run"]
    assert waiting["status"] == "pending"
    # On a busy machine one of the two may have been through before this test got the lock, and not both.
    assert {"dedupe", "reindex"} & {place["state"] for place in waiting["places"]}
    assert set_aside > 0

    daemon.kill()
    daemon = daemon.again()
    daemon.call("event", event="force_sleep")
    assert_in_order(store, before, cycle(daemon, "memory_sleep")["result"])
    page = daemon.call("run.get", run_id=run_id)
    states = done_states(page)
    assert (states.count("look"), states.count("dedupe"), states.count("settle")) == (1, 2, 1)
    assert not [step for step in page["steps"] if step["outcome"] in ("failed", "interrupted")]


def has_begun(db: sqlite3.Connection) -> bool:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'duplicates'").fetchone():
        return False
    return bool(db.execute("SELECT 1 FROM duplicates LIMIT 1").fetchone())


def locked_at_the_first_duplicate(db: sqlite3.Connection) -> int:
    """Take the store's lock as soon as there is a duplicate; returns how many there are.

    Without a rest: the branches let go of it for some milliseconds at a time, and SQLite's own patience sleeps longer.
    """
    db.execute("PRAGMA busy_timeout = 0")
    end_at = time.monotonic() + 30
    while time.monotonic() < end_at:
        with contextlib.suppress(sqlite3.OperationalError):  # somebody else has it
            if has_begun(db):
                db.execute("BEGIN IMMEDIATE")
                return int(db.execute("SELECT count(*) FROM duplicates").fetchone()[0])
    raise AssertionError("no duplicate, or never the lock")
