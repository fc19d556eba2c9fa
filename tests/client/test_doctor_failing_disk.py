"""`torpor doctor` on a store that the disk does not read: that is no damaged store, and nothing is put aside."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from client.doctored import killed_while_writing, store
from power import recorded
from torpor.doctor.stored import judge_settings

pytestmark = pytest.mark.skipif(bool(recorded.missing()), reason=recorded.missing())


def fixed(home: pathlib.Path, names: list[str], calls: str, when: str) -> dict[str, Any]:
    """Have `torpor doctor --fix` run with some reads of these files failing; returns the row of the store."""
    paths = [word for name in names for word in ("-P", str(home / name))]
    inject = f"inject={calls}:error=EIO:when={when}"
    strace = ["strace", *paths, "-e", inject, "-o", os.devnull]
    command = [*strace, sys.executable, "-m", "torpor", "--home", str(home), "doctor", "--fix", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    told = json.loads(ran.stdout)
    rows: dict[str, dict[str, Any]] = {row["id"]: row for row in told["rows"]}
    return rows["store"]


def assert_untouched(home: pathlib.Path, before: dict[str, bytes]) -> None:
    assert whole(home) == before
    assert not list(home.glob("unreadable.*"))


def whole(home: pathlib.Path) -> dict[str, bytes]:
    """Return the bytes of all files of the store, by name."""
    return {path.name: path.read_bytes() for path in home.glob("torpor.db*")}


@pytest.mark.parametrize("number", [2, 3, 4, 30])
def test_one_read_that_failed_is_made_once_more(number: int, home: pathlib.Path) -> None:
    store(home / "torpor.db", 3)
    before = whole(home)
    row = fixed(home, ["torpor.db"], "pread64", str(number))
    assert (row["fix"], row["severity"]) == (None, "ok"), row
    assert_untouched(home, before)


@pytest.mark.parametrize("name", ["torpor.db", "torpor.db-wal"])
def test_so_is_one_of_a_store_that_was_not_closed(name: str, home: pathlib.Path) -> None:
    killed_while_writing(home)
    before = whole(home)
    row = fixed(home, [name], "read", "1")
    assert (row["fix"], "whole, version 3" in row["found"]) == (None, True), row
    assert_untouched(home, before)


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "not closed"])
def test_a_disk_that_reads_nothing_is_named_and_the_store_left_alone(is_closed: bool, home: pathlib.Path) -> None:
    (store(home / "torpor.db", 3) if is_closed else killed_while_writing(home))
    before = whole(home)
    row = fixed(home, ["torpor.db"], "pread64,read", "2+" if is_closed else "1+")
    assert (row["severity"], row["mend"], row["fix"]) == ("serious", None, None)
    assert f"cannot be read now: {home}/torpor.db: Input/output error" in row["found"]
    assert "the disk fails" in row["means"]
    assert_untouched(home, before)


def test_a_backup_that_the_disk_does_not_read_now_is_no_reason_to_begin_anew(home: pathlib.Path) -> None:
    (home / "torpor.db").write_bytes(b"this is no store, and was never one")
    (home / "backups").mkdir()
    backup = "backups/torpor-20260101T000000Z.db"
    store(home / backup, 3)
    before = whole(home)
    row = fixed(home, [backup], "pread64,read", "2+")
    assert (row["severity"], row["fix"]) == ("serious", None)
    assert f"--fix failed: [Errno 5] backup {home}/{backup} cannot be read now" in row["found"]
    assert_untouched(home, before)


def test_settings_that_cannot_be_read_now_are_not_to_be_edited(home: pathlib.Path) -> None:
    path = home / "torpor.toml"
    path.touch()
    said = f"torpord: settings {path} cannot be read now (Input/output error): the disk fails"
    row = judge_settings(str(path), (75, said))
    assert (row.severity, row.mend) == ("finding", None)
    assert judge_settings(str(path), (78, said)).mend == f"{os.environ.get('EDITOR', 'vi')} {path}"
