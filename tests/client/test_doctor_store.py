"""`torpor doctor` on the store: what it reads of one that nobody uses, and how a damaged one is replaced."""

from __future__ import annotations

import errno
import os
import pathlib
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest

from client.doctored import killed_while_writing, mend, report, store
from client.fake_daemon import RESULTS, FakeDaemon, Visitor

if TYPE_CHECKING:
    from client.conftest import Torpor


pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="listeners are read from /proc: Linux alone"),
    pytest.mark.usefixtures("content_installation"),
]


@pytest.mark.parametrize(
    "mend_store", [lambda _h, _t, row: mend(row), lambda _h, t, _r: t("doctor", "--fix")], ids=["line", "fix"]
)
def test_a_damaged_store_is_serious_and_both_ways_put_the_backup_there(
    home: pathlib.Path, torpor: Torpor, mend_store: Any
) -> None:
    store(home / "torpor.db", 3)
    assert report(torpor)[2]["store"]["severity"] == "ok"
    (home / "backups").mkdir()
    (home / "backups" / "torpor-20260101T000000Z.db").write_bytes((home / "torpor.db").read_bytes())
    with (home / "torpor.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 60_000)
    status, _, rows = report(torpor)
    assert (status, rows["store"]["severity"], rows["store"]["fix"]) == (1, "serious", "would")
    mend_store(home, torpor, rows["store"])
    assert report(torpor)[2]["store"]["severity"] == "ok"
    assert (home / "torpor.db").read_bytes() == (home / "backups" / "torpor-20260101T000000Z.db").read_bytes()
    assert b"\xff" * 60_000 in (home / "unreadable.1" / "torpor.db").read_bytes()
    assert not (home / "torpor.db.draft").exists()


def test_the_newest_backup_that_is_good_is_taken(home: pathlib.Path, torpor: Torpor) -> None:
    (home / "backups").mkdir()
    for number, version in (1, 3), (2, 3), (3, 99):
        store(home / "backups" / f"torpor-2026010{number}T000000Z.db", version)
        os.utime(home / "backups" / f"torpor-2026010{number}T000000Z.db", (number, number))
    (home / "backups" / "torpor-20260104T000000Z.db").write_bytes(b"cut short")
    (home / "torpor.db").write_bytes(b"this is no store, and was never one")
    status, told, rows = report(torpor, "--fix")
    assert (told["fixed"], rows["store"]["severity"]) == (["store"], "ok")
    assert "torpor-20260102T000000Z.db in its place: what came after" in rows["store"]["found"]
    assert status == 0


def test_a_pipe_among_the_backups_is_none_and_is_not_waited_for(home: pathlib.Path, torpor: Torpor) -> None:
    (home / "backups").mkdir()
    store(home / "backups" / "torpor-20260101T000000Z.db", 3)
    os.utime(home / "backups" / "torpor-20260101T000000Z.db", (1, 1))
    os.mkfifo(home / "backups" / "torpor-20260102T000000Z.db")
    (home / "torpor.db").write_bytes(b"this is no store, and was never one")
    _, told, rows = report(torpor, "--fix")
    assert (told["fixed"], rows["store"]["severity"]) == (["store"], "ok")
    assert "torpor-20260101T000000Z.db in its place" in rows["store"]["found"]


def test_without_a_backup_a_damaged_store_is_put_aside_and_nothing_of_it_is_lost(
    home: pathlib.Path, torpor: Torpor
) -> None:
    (home / "torpor.db").write_bytes(b"this is no store, and was never one")
    status, told, _ = report(torpor, "--fix")
    assert (status, told["fixed"]) == (0, ["store"])
    assert not (home / "torpor.db").exists()
    assert (home / "unreadable.1" / "torpor.db").read_bytes() == b"this is no store, and was never one"


def test_a_newer_store_is_never_touched(home: pathlib.Path, torpor: Torpor) -> None:
    store(home / "torpor.db", 99)
    before = (home / "torpor.db").read_bytes()
    assert report(torpor, "--fix")[1]["fixed"] == []
    assert (home / "torpor.db").read_bytes() == before


@pytest.mark.parametrize(("version", "severity"), [(99, "serious"), (2, "note"), (3, "ok")])
def test_a_stores_version_is_told(home: pathlib.Path, torpor: Torpor, version: int, severity: str) -> None:
    store(home / "torpor.db", version)
    row = report(torpor)[2]["store"]
    assert row["severity"] == severity
    assert f"version {version}" in row["found"]


@pytest.mark.parametrize("content", [b"", b"this is no store, and was never one"])
def test_a_store_that_is_none_is_serious(home: pathlib.Path, torpor: Torpor, content: bytes) -> None:
    (home / "torpor.db").write_bytes(content)
    row = report(torpor)[2]["store"]
    assert row["severity"] == "serious"
    assert row["mend"] == f"torpord run --new-store --home {shlex.quote(str(home))}"


def test_a_store_in_use_is_not_opened(home: pathlib.Path, torpor: Torpor) -> None:
    (home / "torpor.db").write_bytes(b"not looked at")
    with FakeDaemon(home):
        assert report(torpor)[2]["store"]["severity"] == "note"
    assert sorted(path.name for path in home.glob("torpor.db*")) == ["torpor.db"]


def test_of_a_store_that_was_not_closed_a_copy_is_read(home: pathlib.Path, torpor: Torpor) -> None:
    killed_while_writing(home)
    before = {path.name: path.read_bytes() for path in home.glob("torpor.db*")}
    row = report(torpor)[2]["store"]
    assert row["severity"] == "note"
    assert "whole, version 3; the last daemon did not close it" in row["found"]
    assert {path.name: path.read_bytes() for path in home.glob("torpor.db*")} == before
    assert list((home / "tmp").iterdir()) == []


def test_one_that_is_damaged_and_was_not_closed_is_put_aside_with_its_log(home: pathlib.Path, torpor: Torpor) -> None:
    """As after a power cut: a start is refused, and says that `torpor doctor --fix` is the way."""
    killed_while_writing(home)
    store(home / "good.db", 3)
    (home / "backups").mkdir()
    (home / "good.db").rename(home / "backups" / "torpor-20260101T000000Z.db")
    with (home / "torpor.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 60_000)
    row = report(torpor)[2]["store"]
    assert (row["severity"], row["fix"]) == ("serious", "would")
    status, told, rows = report(torpor, "--fix")
    assert (status, told["fixed"], rows["store"]["severity"]) == (0, ["store"], "ok")
    assert {path.name for path in (home / "unreadable.1").iterdir()} == {"torpor.db", "torpor.db-wal"}
    assert sorted(path.name for path in home.glob("torpor.db*")) == ["torpor.db"]
    assert list((home / "tmp").iterdir()) == []


@pytest.mark.parametrize("backup", [True, False])
def test_broken_off_while_it_is_put_aside_what_is_left_is_no_store_and_is_mended(
    backup: bool, home: pathlib.Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its log a damaged store may open all the same, and what the log had be lost untold."""
    killed_while_writing(home)
    with (home / "torpor.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 60_000)
    rename, renamed = os.rename, list[str]()

    def breaks_off(path: str, to: str) -> None:
        if renamed:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        renamed.append(path)
        rename(path, to)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", breaks_off)
        torpor("doctor", "--fix")
    assert renamed == [str(home / "torpor.db")]
    assert sorted(path.name for path in home.glob("torpor.db*")) == ["torpor.db-wal"]
    if backup:  # one that has come since
        (home / "backups").mkdir()
        store(home / "backups" / "torpor-20260101T000000Z.db", 3)
    row = report(torpor)[2]["store"]
    assert (row["severity"], row["fix"]) == ("serious", "would")
    assert "it is gone, but torpor.db-wal with its newest changes is there" in row["found"]
    assert report(torpor, "--fix")[1]["fixed"] == ["store"]
    assert [path.name for path in (home / "unreadable.2").iterdir()] == ["torpor.db-wal"]
    assert report(torpor)[2]["store"]["severity"] == ("ok" if backup else "note")


@pytest.mark.parametrize("made", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path.name)])
def test_a_log_that_is_no_file_is_named_and_not_waited_for(home: pathlib.Path, torpor: Torpor, made: Any) -> None:
    killed_while_writing(home)
    (home / "torpor.db-wal").unlink()
    made(home / "torpor.db-wal")
    row = report(torpor)[2]["store"]
    assert row["severity"] == "note"
    assert "not looked at: the last daemon did not close it, and no copy can be made" in row["found"]
    assert "torpor.db-wal: " in row["found"]
    assert list((home / "tmp").iterdir()) == []


@pytest.mark.parametrize("tmp", ["not there", "a link"])
def test_where_no_copy_can_be_made_it_is_not_read(home: pathlib.Path, torpor: Torpor, tmp: str) -> None:
    killed_while_writing(home)
    (home / "tmp").rmdir()
    if tmp == "a link":
        (home / "tmp").symlink_to(home)
    row = report(torpor)[2]["store"]
    assert (row["severity"], row["fix"]) == ("note", None)
    assert "not looked at: the last daemon did not close it, and there is no " in row["found"]
    assert sorted(path.name for path in home.glob("torpor.db*")) == ["torpor.db", "torpor.db-wal"]


def test_a_damaged_store_in_safe_mode_without_a_backup_is_begun_anew_by_that_daemon(
    home: pathlib.Path, torpor: Torpor
) -> None:
    (home / "torpor.db").write_bytes(b"this is no store, and was never one")

    def safely(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            more = {"home": str(home), "safe_mode": {"reason": "torpor.db", "suspect": None, "since_ts": "x"}}
            visitor.answer(request, {**RESULTS[request["method"]], **(more if request["method"] == "status" else {})})

    with FakeDaemon(home, safely):
        line = report(torpor)[2]["store"]["mend"]
    assert line.endswith(f"&& torpor reload --home {shlex.quote(str(home))}")
    mend({"mend": line.rpartition(" && ")[0]})
    assert not (home / "torpor.db").exists()
