"""A store of version 2 comes up as it was, with its steps numbered by run, and room for agents; or not at all."""

from __future__ import annotations

import pathlib
import sqlite3
import subprocess
import sys

import pytest

from core.life import Life
from store.earlier import dumped, store_of_version
from store.living import commit
from torpord.core.agents import Agents
from torpord.core.moment import Now
from torpord.core.runs import PlaceStatus, RunStatus
from torpord.store import migrations, runs
from torpord.store.store import Store

STEPS = {"r1": [("", "a", 1), ("", "b", 1), ("", "b", 2)], "r2": [("", "split", 1), ("split:1/right", "right", 1)]}


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """A store of version 2."""
    path = tmp_path / "torpor.db"
    store_of_version(2, path)
    return path


def test_the_world_is_as_it_was(path: pathlib.Path) -> None:
    store = Store(path)
    world = store.load()
    assert (world.ledger_seq, store.number) == (23, 16)
    assert set(world.holds.by_id) == {"kept"}
    assert {run.run_id: run.at for run in world.runs.live.values()} == {"r1": "c", "r2": "right2"}
    assert [place.status for place in world.runs.live["r2"].places] == [
        PlaceStatus.FORKED,
        PlaceStatus.AT_JOIN,
        PlaceStatus.RUNNING,
    ]
    assert dict(world.runs.ended) == {RunStatus.COMPLETED: 1}
    assert world.agents == Agents()
    assert store.kept_replies(["key-4"])["key-4"].result == '{"state":"WAKE"}'
    store.close()


def test_each_run_has_its_steps_in_their_order(path: pathlib.Path) -> None:
    """They had one number for all runs, which took turns."""
    store = Store(path)
    found = {run_id: runs.steps(store.connection, run_id, 0, 100) for run_id in ("r1", "r2", "r3")}
    store.close()
    assert [(s["branch"], s["state"], s["attempt"]) for s in found["r1"]] == STEPS["r1"]
    assert [(s["branch"], s["state"], s["attempt"]) for s in found["r2"]] == [*STEPS["r2"], ("split:1/left", "left", 1)]
    assert [s["outcome"] for s in found["r1"]] == ["next", "failed", "next"]
    assert {run_id: [s["id"] for s in steps] for run_id, steps in found.items()} == {
        "r1": [1, 2, 3],
        "r2": [1, 2, 3],
        "r3": [1],
    }


def test_its_runs_go_on_in_it(path: pathlib.Path) -> None:
    store = Store(path)
    life = Life()
    life.world = store.load()
    life.stored = dict(life.world.runs.live)
    life.now = Now(life.world.lifecycle.since_awake_s + 60.0, life.world.lifecycle.since_ts + 60.0)
    life.start(cause="manual")
    life.load("r1")
    life.ends("r1")
    assert life.of("r1").status is RunStatus.COMPLETED
    commit(store, life.turns)
    assert store.load() == life.world
    assert [step["id"] for step in runs.steps(store.connection, "r1", 3, 100)] == [4, 5], "interrupted, and its end"
    store.close()


def test_it_is_the_store_that_a_new_one_is(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    Store(path).close()
    fresh = tmp_path / "fresh.db"
    Store(fresh).close()
    tables = [{row for row in dumped(each)[1] if row.startswith("CREATE")} for each in (path, fresh)]
    assert tables[0] == tables[1]
    once = dumped(path)
    Store(path).close()
    assert dumped(path) == once, "a second opening changes nothing"


@pytest.mark.parametrize("moment", ["tables", "end"])
def test_an_error_in_the_middle_changes_nothing(path: pathlib.Path, moment: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    if moment == "tables":
        db.execute("CREATE TABLE slots (id)")  # the last of those that are to be made
    else:
        db.set_authorizer(lambda what, *_: sqlite3.SQLITE_DENY if what == sqlite3.SQLITE_PRAGMA else sqlite3.SQLITE_OK)
    before = dumped(path)
    with pytest.raises(sqlite3.Error):
        migrations.bring_up(db, 2)
    assert not db.in_transaction
    db.close()
    assert dumped(path) == before


def test_a_kill_in_the_middle_changes_nothing(path: pathlib.Path) -> None:
    before = dumped(path)
    script = (
        "import os, sqlite3, sys\n"
        "from torpord.store import migrations\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "migrations._number_the_steps = lambda *_: os.kill(os.getpid(), 9)\n"
        "migrations.bring_up(db, 2)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], timeout=30, check=False)
    assert done.returncode == -9
    assert dumped(path) == before
    store = Store(path)
    assert store.load().ledger_seq == 23
    store.close()
