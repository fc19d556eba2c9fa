"""The power goes while a store of an earlier version is brought up: it is of one version or the other, and was kept."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from power import recorded
from power.cuts import Recording
from power.surviving import Disk, Image, lay_out
from torpord.store.store import VERSION, Store

pytestmark = pytest.mark.skipif(bool(recorded.missing()), reason=recorded.missing())

OLD = 2
MADE = b"an old store is there"
SCRIPT = f"""
import os, pathlib, sys
sys.path[:0] = [{str(Path(__file__).parents[1])!r}]
from store.earlier import store_of_version
from torpord.store.store import Store
from torpord.store.syncing import sync
home = pathlib.Path(sys.argv[1])
home.mkdir()
sync(home.parent)
store_of_version({OLD}, home / "torpor.db")
sync(home)
os.write(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT, 0o600), {MADE!r})
Store(home / "torpor.db").close()
"""


def version_of(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def look(image: Image, root: str, place: Path) -> int:
    """Look at what is left, and bring it up; returns the version that it had."""
    lay_out(image, root, place)
    store = place / "home" / "torpor.db"
    version = version_of(store)
    assert version == OLD or version_of(store.with_name("backups") / f"before-{OLD}-1.db") == OLD
    opened = Store(store)
    assert opened.load().ledger_seq
    opened.close()
    return version


@pytest.fixture
def recording(short_dir: Path) -> Recording:
    root = short_dir / "in"
    root.mkdir()
    home, marks = root / "home", short_dir / "marks"
    command = [sys.executable, "-c", SCRIPT, str(home), str(marks)]
    return Recording(str(root), recorded.record(command, home, marks, short_dir / "trace", limit_s=60))


def some_left(recording: Recording, left_out: str = "nothing") -> Iterator[Image]:
    """Yield what may be left from the moment when the old store is there, without syncs of the paths that end so."""
    disk = Disk(recording.root, lambda path: path.endswith(left_out))
    dice, there = Random(1), False  # noqa: S311 - what is left is no secret
    for op in recording.ops:
        disk.do(op)
        there = there or op == recorded.Said(MADE)
        if there:
            yield disk.kept_what_was_synced()
            yield disk.kept_some(dice)


def test_it_is_of_one_version_or_the_other_and_what_it_was_is_kept(recording: Recording, short_dir: Path) -> None:
    places = (short_dir / str(number) for number in itertools.count())

    def versions(left_out: str = "nothing") -> set[int]:
        return {look(image, recording.root, next(places)) for image in some_left(recording, left_out)}

    assert versions() == {OLD, VERSION}
    for needed in ("/backups", "/backups/draft"):
        with pytest.raises((AssertionError, sqlite3.Error)):
            versions(needed)
