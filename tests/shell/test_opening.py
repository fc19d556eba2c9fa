"""Opening the store where the disk does not do what is to be done, or to be told: words, and no traceback."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from shell.virtual_time import run
from torpord.host.faults import SetupError
from torpord.shell import opening


async def opened(path: Path, *, new_store: bool) -> None:
    async with opening.opened(path, new_store=new_store):
        raise AssertionError("it cannot be opened")


def test_one_that_cannot_be_put_aside_is_left_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "torpor.db"
    path.write_bytes(b"this is no database at all " * 4000)

    def full(self: Path, target: Path) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self), None, str(target))

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(SetupError, match=r"cannot be put aside: .*Read-only file system") as told:
        run(lambda: opened(path, new_store=True))
    assert told.value.exit_code == 75


def test_backups_that_cannot_be_seen_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "torpor.db"
    path.write_bytes(b"this is no database at all " * 4000)

    def failing(*_: Any) -> Path:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "backups")

    monkeypatch.setattr(opening, "newest_backup", failing)
    with pytest.raises(SetupError, match=r"cannot be seen now .*Input/output error") as told:
        run(lambda: opened(path, new_store=False))
    assert told.value.exit_code == 65


def test_without_a_backup_the_doctor_of_this_home_begins_afresh(tmp_path: Path) -> None:
    path = tmp_path / "torpor.db"
    path.write_bytes(b"this is no database at all " * 4000)
    with pytest.raises(SetupError, match=f"start afresh with `torpor doctor --fix --home {tmp_path}`"):
        run(lambda: opened(path, new_store=False))
