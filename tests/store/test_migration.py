"""A store of version 1 comes up as it was: its world, holds, ledger and kept replies; or not at all."""

from __future__ import annotations

import pathlib
import sqlite3
import subprocess
import sys

import orjson
import pytest

from core.life import SHELL, Life
from store.earlier import dumped, store_of_version
from torpord.core import events as ev
from torpord.core.lifecycle import State, Trigger
from torpord.core.moment import Now
from torpord.core.policy import Policy
from torpord.core.world import Hold, World
from torpord.store import codec, migrations
from torpord.store import store as module
from torpord.store.housekeeping import newest_backup
from torpord.store.store import Batch, Store, StoreError, StoreTooNewError, StoreUnreadableError, line


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """A store of version 1."""
    path = tmp_path / "torpor.db"
    store_of_version(1, path)
    return path


def test_the_world_is_as_it_was(path: pathlib.Path) -> None:
    store = Store(path)
    world = store.load()
    store.close()
    assert world.lifecycle.state is State.WAKE
    assert world.lifecycle.since_ts == 1_700_020_700.0
    assert (world.activity.event_seq, world.activity.last_ts) == (8, 1_700_020_700.0)
    assert (world.process.generation, world.process.boot_id, world.process.ended) == (1, "boot-1", False)
    assert world.policy == Policy(drowsy_after_s=60.0), "what the settings have had no word for is the default"
    hold = Hold("kept", "who-kept", "why-kept", 1_700_020_700.0, until_awake_s=130_700.0)
    assert dict(world.holds.by_id) == {"kept": hold}
    assert world.holds.next_expiry_awake_s == 130_700.0
    assert (world.ledger_seq, store.number) == (28, 21)
    assert dict(world.runs.live) == {}
    assert dict(world.runs.ended) == {}


def test_of_the_cycle_is_kept_when_it_may_run_again_and_how_the_last_one_ended(path: pathlib.Path) -> None:
    store = Store(path)
    cycle = store.load().cycle
    store.close()
    assert (cycle.phase, cycle.run_id) == ("none", "")
    assert (cycle.completed_ts, cycle.retry_ts) == (1_700_000_000.0, 1_700_020_600.0)
    assert (cycle.failures, cycle.failed_step, cycle.quarantine_until_ts) == (0, "checkpoint", None)
    assert cycle.last is not None
    assert cycle.last["outcome"] == "failed"
    assert cycle.last["run_id"] == ""
    assert cycle.last["result"] == {"trim": {"freed": 1}, "checkpoint": {"pages": 4}}


def test_ledger_and_replies_are_as_they_were(path: pathlib.Path) -> None:
    _, before = dumped(path)
    store = Store(path)
    lines = store.page(0, 100, 1 << 20).lines
    assert [each.seq for each in lines] == list(range(1, 29))
    assert orjson.loads(lines[18].data)["result"] == {"freed": 1}, "kinds that are no more are kept as they are"
    kept = store.kept_replies(["key-3", "key-9", "never"])
    assert {key: reply.result for key, reply in kept.items()} == dict.fromkeys(
        ("key-3", "key-9"), '{"state":"WAKE","seq":1,"changed":false}'
    )
    store.close()
    version, after = dumped(path)
    assert version == module.VERSION
    untouched = ('INSERT INTO "ledger"', 'INSERT INTO "replies"', 'INSERT INTO "holds"')
    assert [row for row in after if row.startswith(untouched)] == [row for row in before if row.startswith(untouched)]


def test_it_is_the_store_that_a_new_one_is(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    Store(path).close()
    fresh = tmp_path / "fresh.db"
    Store(fresh).close()
    tables = [{row for row in dumped(each)[1] if row.startswith("CREATE")} for each in (path, fresh)]
    assert tables[0] == tables[1]


def test_a_second_opening_changes_nothing(path: pathlib.Path) -> None:
    Store(path).close()
    once = dumped(path)
    Store(path).close()
    assert dumped(path) == once


def test_a_life_goes_on_in_it(path: pathlib.Path) -> None:
    store = Store(path)
    life = Life()
    life.world = store.load()
    life.now = later(life.world)
    life.start(Policy(), cause="manual")
    life.release("kept")
    life.trigger(Trigger.FORCE_SLEEP)
    life.cycle_completes()
    number = store.number
    for turn in life.turns:
        number += 1
        lines = [found for found in map(line, turn.decision.entries) if found is not None]
        store.commit(Batch(number, turn.before, turn.decision.world, lines, (), turn.decision.entries))
    assert store.load() == life.world
    assert life.world.runs.counts()["completed"] == 1
    store.close()


def later(world: World) -> Now:
    return Now(world.lifecycle.since_awake_s + 10.0, world.lifecycle.since_ts + 10.0)


@pytest.mark.parametrize("moment", ["tables", "cycle", "end"])
def test_an_error_in_the_middle_changes_nothing(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    before = dumped(path)
    db = sqlite3.connect(path, isolation_level=None)
    if moment == "tables":
        db.execute("CREATE TABLE calls (id)")  # the last but one of those that are to be made
        before = dumped(path)
    elif moment == "cycle":
        monkeypatch.setattr(codec, "dump", fails)
    else:
        db.set_authorizer(lambda what, *_: sqlite3.SQLITE_DENY if what == sqlite3.SQLITE_PRAGMA else sqlite3.SQLITE_OK)
    with pytest.raises(sqlite3.Error):
        migrations.bring_up(db, 1)
    assert not db.in_transaction
    db.close()
    assert dumped(path) == before


def fails(_: object) -> str:
    raise sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize("after", ["codec.dump", "begin"])
def test_a_kill_in_the_middle_changes_nothing(path: pathlib.Path, after: str) -> None:
    before = dumped(path)
    script = (
        "import os, sqlite3, sys\n"
        "from torpord.store import codec, migrations\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "def die(*_): os.kill(os.getpid(), 9)\n"
        "if sys.argv[2] == 'begin':\n"
        "    migrations._make_the_cycle_a_run = die\n"
        "codec.dump = die\n"
        "migrations.bring_up(db, 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path), after], timeout=30, check=False)
    assert done.returncode == -9
    assert dumped(path) == before
    store = Store(path)
    assert store.load().ledger_seq == 28
    store.close()


def test_before_it_is_brought_up_it_is_kept_as_it_was(path: pathlib.Path) -> None:
    before = dumped(path)
    store = Store(path)
    kept = path.with_name("backups") / "before-1-1.db"
    assert store.brought_up == kept
    store.close()
    assert dumped(kept) == before
    assert kept.stat().st_mode & 0o777 == 0o600
    assert newest_backup(path, 2e9) is None, "of this version it is no backup"
    again = Store(path)
    assert again.brought_up is None
    again.close()
    assert [each.name for each in kept.parent.iterdir()] == [kept.name]


def test_what_is_in_the_log_is_in_the_copy_and_an_older_copy_stays(path: pathlib.Path) -> None:
    script = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "db.execute('DELETE FROM replies')\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], timeout=30, check=True)
    folder = path.with_name("backups")
    folder.mkdir()
    (folder / "before-1-1.db").write_text("older")
    Store(path).close()
    version, rows = dumped(folder / "before-1-2.db")
    assert version == 1
    assert not [row for row in rows if row.startswith('INSERT INTO "replies"')]
    assert (folder / "before-1-1.db").read_text() == "older"


def test_without_room_for_the_copy_nothing_is_done(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dumped(path)
    monkeypatch.setattr(migrations, "ROOM_BYTES", 1 << 60)
    with pytest.raises(StoreError, match=r"no room for the backup before the store .* MiB needed at .*backups"):
        Store(path)
    assert dumped(path) == before


@pytest.mark.parametrize("moment", ["backup", "rename"])
def test_killed_while_it_is_kept_it_is_as_it_was(path: pathlib.Path, moment: str) -> None:
    before = dumped(path)
    script = (
        "import os, pathlib, sys\n"
        "from torpord.store import migrations, store\n"
        "def die(*_): os.kill(os.getpid(), 9)\n"
        "if sys.argv[2] == 'backup':\n"
        "    migrations.sync = die\n"
        "else:\n"
        "    migrations.bring_up = die\n"
        "store.Store(pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path), moment], timeout=30, check=False)
    assert done.returncode == -9
    assert dumped(path) == before
    store = Store(path)
    assert store.load().ledger_seq == 28
    assert store.brought_up is not None
    store.close()


def test_a_newer_store_is_not_touched_not_even_its_log(path: pathlib.Path) -> None:
    Store(path).close()
    script = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA user_version = 99')\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], timeout=30, check=True)
    wal = path.with_name(f"{path.name}-wal")
    before = path.read_bytes(), wal.read_bytes()
    with pytest.raises(StoreTooNewError, match="nothing was touched"):
        Store(path)
    assert before == (path.read_bytes(), wal.read_bytes())


def test_a_cycle_that_does_not_parse_is_told_and_left_as_it_is(path: pathlib.Path) -> None:
    db = sqlite3.connect(path)
    db.execute("UPDATE world SET body = '{' WHERE part = 'cycle'")
    db.commit()
    db.close()
    before = dumped(path)
    with pytest.raises(StoreUnreadableError, match="its sleep cycle does not parse"):
        Store(path)
    assert dumped(path) == before


def test_there_is_no_way_from_a_version_that_never_was() -> None:
    with pytest.raises(AssertionError, match="no way from version 0"):
        migrations.bring_up(sqlite3.connect(":memory:"), 0)


@pytest.mark.parametrize(("version", "said"), [(module.VERSION + 1, "upgrade this one"), (0, "none of torpor's")])
def test_a_store_of_another_version_is_refused(path: pathlib.Path, version: int, said: str) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
    with pytest.raises(StoreUnreadableError, match=said):
        Store(path)


def test_a_deadline_of_the_old_cycle_is_still_kept(path: pathlib.Path) -> None:
    """It had failed; what the old store knew of when to try again holds."""
    store = Store(path)
    life = Life()
    life.world = store.load()
    store.close()
    life.now = later(life.world)
    life.start(Policy(), cause="manual")
    life.release("kept")
    assert life.world.cycle.retry_ts == 1_700_020_600.0
    life.do(ev.HibernateWanted(SHELL, now=False))
    assert life.world.cycle.phase == "running"
