"""`torpor doctor`, with and without `--fix`, on a home in which anything may be damaged.

An input is a line a damage: what it is done to, and how. The doctor looks at all of it, says of each thing what it
found, and ends; it never follows a link out of the home to write there.
"""

from __future__ import annotations

import builtins
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import memory
from fuzz.home_files import HomeFiles
from fuzz.mutation import bytes_mutated
from torpor import errors, wire
from torpor.cli.doctor import lines
from torpor.doctor import report, subject
from torpor.service import running
from torpord.store import making, migrations

_PLACES = (
    ".", wire.SETTINGS_NAME, wire.SOCKET_NAME, wire.LOCK_NAME, wire.SPAWN_LOCK_NAME, wire.STORE_NAME,
    f"{wire.STORE_NAME}-wal", f"{wire.STORE_NAME}-shm", wire.STATE_NAME, "starts.json", "service.json",
    wire.WAKE_SIGNAL_NAME, wire.WAKE_AT_NAME, wire.STOPPED_NAME, "wake.d", "wake.d/1.json", "wake.rejected",
    "wake.rejected/1.json", "wake.rejected/1.json.why", "tmp", "tmp/old.json", "tmp/run-1", "backups",
    "backups/torpor-1.db", "backups/draft", wire.LOG_NAME, "unreadable.1",
)  # fmt: skip
_OLD_S = 3 * 86_400.0


def _garbage(path: Path, dice: Random) -> None:
    _write(path, dice.randbytes(dice.choice((0, 1, 100, 5_000))))


def _flipped(path: Path, dice: Random) -> None:
    _write(path, bytes_mutated(path.read_bytes() if path.is_file() else b"{}", dice))


def _cut(path: Path, dice: Random) -> None:
    whole = path.read_bytes() if path.is_file() else b""
    _write(path, whole[: dice.randint(0, len(whole))])


def _odd(path: Path, dice: Random) -> None:
    _write(
        path,
        dice.choice((b"[" * 40_000, b"9" * 5_000, b"\xff" * 100, b"\x1b[2J\n" * 3, b"null", b'{"pid": true}', b"[]")),
    )


def _write(path: Path, data: bytes) -> None:
    _gone(path)
    path.write_bytes(data)


def _gone(path: Path, _dice: Random | None = None) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _linked(path: Path, dice: Random) -> None:
    _gone(path)
    outside = next(above for above in path.parents if above.name.startswith("tp-")) / "outside"
    path.symlink_to(dice.choice((outside, outside / "file", Path("nowhere"), Path(path.name), Path("/dev/null"))))


def _folder(path: Path, _dice: Random) -> None:
    _gone(path)
    path.mkdir()
    (path / "inside").write_text("x")


def _pipe(path: Path, _dice: Random) -> None:
    _gone(path)
    os.mkfifo(path)


def _socket(path: Path, _dice: Random) -> None:
    _gone(path)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(path))


def _mode(path: Path, dice: Random) -> None:
    if path.exists():
        path.chmod(dice.choice((0, 0o777, 0o400)))


def _dated(path: Path, dice: Random) -> None:
    if path.exists():
        at_s = time.time() + dice.choice((-_OLD_S, -1e9, 1e9, -2e9))
        os.utime(path, (at_s, at_s))


_DAMAGES: dict[str, Callable[[Path, Random], None]] = {
    "garbage": _garbage, "flipped": _flipped, "cut": _cut, "odd": _odd, "gone": _gone, "linked": _linked,
    "folder": _folder, "pipe": _pipe, "socket": _socket, "mode": _mode, "dated": _dated,
}  # fmt: skip


class DamagedHome:
    """A home as a daemon leaves it, damaged; nobody is up. What other programs would say is made up."""

    name = "doctor"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tp-", dir=memory.folder()))
        self._outside = self._folder / "outside"
        self._files = HomeFiles()
        self._seed = self._files.seeds()[0]
        self._store = self._folder / "store"
        making.fill(self._store, migrations.TO)
        self._before: Any = (subject.run, running.run)
        subject.run = lambda _command, _limit_s: (0, str(migrations.TO))
        running.run = lambda _argv, _environ, _limit_s=0.0: running.Ran(127, "", "there is none")

    def close(self) -> None:
        """Remove the home, and let other programs be asked again."""
        subject.run, running.run = self._before
        self._files.close()
        shutil.rmtree(self._folder)

    def seeds(self) -> Sequence[bytes]:
        """Each damage once, to the store, with `--fix`."""
        return [f"fix\n{wire.STORE_NAME} {damage} 1".encode() for damage in _DAMAGES]

    def mutated(self, data: bytes, dice: Random) -> bytes:
        """Draw some damages anew."""
        del data
        count = dice.choice((1, 1, 2, 3, 5, 8))
        drawn = [f"{dice.choice(_PLACES)} {dice.choice(list(_DAMAGES))} {dice.randrange(10**6)}" for _ in range(count)]
        return "\n".join([dice.choice(("fix", "look")), *drawn]).encode()

    def one(self, data: bytes) -> Sequence[str]:
        """Damage a home and have it looked at."""
        fix, *damages = data.decode(errors="replace").splitlines()
        home = self._whole()
        for each in damages:
            self._damage(home, *each.split(" "))
        try:
            found = report.examine(os.fspath(home), fix=fix == "fix", ask_s=0.2)
        finally:
            if home.is_dir():
                home.chmod(0o700)
        self._check(found)
        return [f"{row.id}: {row.severity} {row.found}" for row in found.rows if row.severity != "ok"]

    def _whole(self) -> Path:
        home = self._folder / "h"
        _gone(home)
        shutil.copytree(self._files.home, home)
        self._files.put(self._seed)
        for name in ("wake.d", "wake.rejected", "backups", "tmp/run-1"):
            (home / name).mkdir(exist_ok=True)
        home.chmod(0o700)
        for name in (wire.STORE_NAME, "backups/torpor-1.db"):
            shutil.copy(self._store, home / name)
        for name in (wire.SETTINGS_NAME, wire.SPAWN_LOCK_NAME, "wake.d/1.json", "wake.rejected/1.json", "tmp/old.json"):
            (home / name).write_text("")
        (home / "wake.rejected/1.json.why").write_text("it is not JSON\n")
        _gone(self._outside)
        self._outside.mkdir()
        (self._outside / "file").write_text("untouched")
        return home

    def _damage(self, home: Path, place: str, damage: str, number: str) -> None:
        path = home if place == "." else home / place
        # What was damaged before may be in the way: a folder that is a file now, a link that leads nowhere.
        if damage in _DAMAGES and path.parent.is_dir() and not path.parent.is_symlink():
            _DAMAGES[damage](path, Random(number))  # noqa: S311 - no secret

    def _check(self, found: report.Report) -> None:
        assert len(found.rows) == len(report.CHECKS)
        for row in found.rows:
            assert row.found
            assert all(line.isprintable() for line in lines(row, found.subject.home)), row
            if "cannot be looked at: " in row.found:  # an error that nobody had thought of: of the file system, or ours
                kind = row.found.partition("cannot be looked at: ")[2].partition(":")[0]
                assert issubclass(getattr(builtins, kind, getattr(errors, kind, Exception)), OSError | errors.Error), (
                    row
                )
        assert (self._outside / "file").read_text() == "untouched"
        assert os.listdir(self._outside) == ["file"]  # noqa: PTH208 - quicker
