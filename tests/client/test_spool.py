"""What `send` leaves in wake.d/: whole, durable, in order."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import sys
import time

import pytest

from torpor import spool
from torpor.errors import BadHome, Unreachable

PARAMS = {"event": "wake_signal", "key": "k"}


def test_the_file_is_the_contracts(home: pathlib.Path) -> None:
    path = pathlib.Path(spool.drop(str(home), "event", PARAMS))
    assert path.parent == home / "wake.d"
    assert path.suffix == ".json"
    assert json.loads(path.read_text()) == {"method": "event", "params": PARAMS}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list((home / "tmp").iterdir()) == []


def test_names_sort_by_time(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = []
    for now_ns in (5, 10**18, 10**18 + 1, 2 * 10**18, 10**19):  # also by a clock that is far off
        monkeypatch.setattr(time, "time_ns", lambda now_ns=now_ns: now_ns)
        dropped.append(spool.drop(str(home), "event", PARAMS))
    assert sorted(dropped) == dropped
    assert len(set(dropped)) == len(dropped)


@pytest.mark.skipif(sys.platform != "linux", reason="what a descriptor leads to is read from /proc")
def test_it_is_durable_before_it_can_be_seen_and_told(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def synced(fd: int) -> None:
        steps.append(("fsync", pathlib.Path(f"/proc/self/fd/{fd}").readlink().name))
        fsync(fd)

    def renamed(source: str, target: str) -> None:
        steps.append(("rename", pathlib.Path(target).parent.name))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    name = pathlib.Path(spool.drop(str(home), "event", PARAMS)).name
    assert steps == [("fsync", name), ("rename", "wake.d"), ("fsync", "wake.d"), ("fsync", home.name)]


def test_a_disk_that_does_not_take_it_leaves_nothing_half(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unreachable, match="does not take the event: No space left"):
        spool.drop(str(home), "event", PARAMS)
    assert list((home / "wake.d").iterdir()) == []
    assert list((home / "tmp").iterdir()) == []


def test_nothing_is_left_in_somebody_elses_directory(home: pathlib.Path) -> None:
    home.chmod(0o777)
    with pytest.raises(BadHome, match="must be its owner's alone"):
        spool.drop(str(home), "event", PARAMS)
    assert list(home.iterdir()) == []
