"""A store that fails for a moment, and one that cannot be read: neither loses or replaces anything in silence."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest

from daemon_process import RunningDaemon
from process.reading import assert_whole
from process.timers import settings
from process.trap import Trap


@pytest.mark.parametrize("point", ["store.begun", "store.written", "store.committed"])
def test_a_commit_that_reports_an_error_is_counted_once(point: str, home: Path, short_dir: Path) -> None:
    """Also where the error came after the batch was durable: then it is no error for the client."""
    trap = Trap(short_dir / "trap", {point: "raise"}, armed=False)
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    with daemon.connect() as client:
        client.call("event", event="request_arrived", key="before")
        trap.arm()
        reply = client.ask("event", event="request_arrived", key="during")
        assert trap.was_reached(point)
        if point == "store.committed":
            assert reply["result"]["wrapper_event_seq"] == 2
        else:
            assert reply["error"]["data"]["name"] == "storage_unavailable"
        again = client.call("event", event="request_arrived", key="during")
        assert ("replayed" in again) == (point == "store.committed")
        assert client.call("status")["wrapper_event_seq"] == 2
    assert daemon.stop() == 0
    assert assert_whole(home).activity.event_seq == 2


def lived_in(home: Path, *, backup: bool = False) -> None:
    """Make a home with a store that something is in, and with a backup, if wanted."""
    daemon = RunningDaemon.start(home, settings())
    for number in range(50):
        daemon.call("hold.acquire", who="test", why=f"hold {number} " + "x" * 200, ttl_s=3600)
    daemon.stop()
    if backup:
        folder = home / "backups"
        folder.mkdir()
        for stamp in ("20260101T000000Z", "20260201T000000Z"):
            (folder / f"torpor-{stamp}.db").write_bytes((home / "torpor.db").read_bytes())


def garbage(store: Path) -> None:
    store.write_bytes(b"this is no database at all " * 4000)


def garbage_in_the_middle(store: Path) -> None:
    """Leave the header and damage what the world is read from."""
    body = store.read_bytes()
    store.write_bytes(body[:4096] + b"\xff" * (len(body) - 4096))


def truncated(store: Path) -> None:
    store.write_bytes(store.read_bytes()[:5000])


def zero_length(store: Path) -> None:
    store.write_bytes(b"")


def newer_version(store: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def of_another_program(store: Path) -> None:
    store.unlink()
    with sqlite3.connect(store) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()


def missing_with_its_wal_left(store: Path) -> None:
    store.with_name("torpor.db-wal").write_bytes(b"not empty")
    store.unlink()


def a_world_that_does_not_parse(store: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("""UPDATE world SET body = '{"state": "NAPPING"}' WHERE part = 'lifecycle'""")
    db.close()


def a_part_that_is_no_json(store: Path) -> None:
    with sqlite3.connect(store) as db:
        db.execute("UPDATE world SET body = '{' WHERE part = 'process'")
    db.close()


DAMAGES = [
    garbage,
    garbage_in_the_middle,
    truncated,
    zero_length,
    of_another_program,
    missing_with_its_wal_left,
    a_world_that_does_not_parse,
    a_part_that_is_no_json,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_unreadable_store_is_named_and_kept_until_told_otherwise(damage, home: Path) -> None:  # noqa: ANN001 - one of the list above
    lived_in(home, backup=True)
    store = home / "torpor.db"
    damage(store)
    names = ("torpor.db", "torpor.db-wal")
    before = {name: (home / name).read_bytes() for name in names if (home / name).exists()}
    daemon = RunningDaemon.start(home, wait=False)
    assert daemon.wait_gone() == 65
    said = daemon.log_lines()[-1]["text"]
    assert str(store) in said
    assert str(home / "backups" / "torpor-20260201T000000Z.db") in said
    assert f"/torpor-20260201T000000Z.db {store}`" in said  # the line that puts it there
    assert {name: (home / name).read_bytes() for name in names if (home / name).exists()} == before

    fresh = RunningDaemon.start(home, args=["--new-store"])
    assert fresh.call("status")["generation"] == 1
    told = next(line for line in fresh.log_lines() if line.get("event") == "store_put_aside")
    for name, body in before.items():
        assert Path(told["aside"] + name.removeprefix("torpor.db")).read_bytes() == body
    assert fresh.stop() == 0
    assert_whole(home)


@pytest.mark.parametrize("args", [[], ["--new-store"]])
def test_a_newer_store_is_whole_and_is_left_alone_whatever_it_is_told(home: Path, args: list[str]) -> None:
    lived_in(home, backup=True)
    store = home / "torpor.db"
    newer_version(store)
    before = store.read_bytes()
    daemon = RunningDaemon.start(home, args=args, wait=False)
    assert daemon.wait_gone() == 65
    said = daemon.log_lines()[-1]["text"]
    assert f"{store} is a store of version 99" in said
    assert "upgrade this one" in said
    assert "--new-store" not in said
    assert store.read_bytes() == before
    assert not list(home.glob("*.unreadable.*"))


def test_without_a_backup_it_says_so(home: Path) -> None:
    lived_in(home)
    zero_length(home / "torpor.db")
    daemon = RunningDaemon.start(home, wait=False)
    assert daemon.wait_gone() == 65
    assert "no backup" in daemon.log_lines()[-1]["text"]


def test_a_good_store_is_no_matter_for_new_store(home: Path) -> None:
    lived_in(home)
    daemon = RunningDaemon.start(home, args=["--new-store"])
    assert daemon.call("status")["generation"] == 2
    assert not list(home.glob("*.unreadable.*"))


def later_lines_in_its_wal(store: Path) -> None:
    """Damage a store that was killed: its write-ahead log belongs to no backup."""
    daemon = RunningDaemon.start(store.parent, settings())
    daemon.call("hold.acquire", who="test", why="after the backup", ttl_s=3600)
    daemon.kill()
    assert store.with_name("torpor.db-wal").stat().st_size > 0
    garbage(store)


@pytest.mark.parametrize("damage", [garbage, missing_with_its_wal_left, later_lines_in_its_wal])
@pytest.mark.parametrize("name", ["home", "a home; with 'all'"])
def test_the_mend_that_the_error_names_is_one(damage, name: str, home: Path) -> None:  # noqa: ANN001 - as above
    home = home.with_name(name)
    lived_in(home, backup=True)
    store = home / "torpor.db"
    damage(store)
    for _ in range(2):  # also where somebody tried in vain in between
        daemon = RunningDaemon.start(home, wait=False)
        assert daemon.wait_gone() == 65
    command = daemon.log_lines()[-1]["text"].split("`")[1]
    before = {path.name: path.read_bytes() for path in home.glob("torpor.db*")}
    subprocess.run(["sh", "-c", command], check=True, cwd="/")
    assert {path.name: path.read_bytes() for path in (home / "unreadable.1").iterdir()} == before
    with RunningDaemon.start(home) as mended:
        assert len(mended.call("hold.list")["holds"]) == 50
        mended.stop()
    assert_whole(home)
