"""The settings, the store, the space it has, and its backups."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import sqlite3
import time
import urllib.parse
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from torpor import wire
from torpor.doctor.places import is_down, size
from torpor.doctor.rows import Check, Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torpor.doctor.subject import Subject

LEAST_FREE_BYTES = 64 * 1024 * 1024
_CHECK_S = 5.0
_OLD_BACKUP_S = 8 * 86_400.0
_INSTRUCTIONS_A_LOOK = 10_000


def judge_settings(path: str, checked: tuple[int, str], own: Mapping[str, Any] | None = None) -> Row:
    """Take the word of `torpord check`, which reads settings and flows as the next start does.

    `own`: `file` and `problem` by the daemon that is up, which may have been given another file.
    """
    looked_at, (status, words) = "`torpord check`: settings and flows", checked
    if own and own.get("problem") and own.get("file") != path:
        edit = f"{os.environ.get('EDITOR', 'vi')} {shlex.quote(str(own.get('file')))}"
        means = "the next start fails, and `torpor reload` is refused"
        return Row("settings", "the daemon's own look at its settings", str(own["problem"]), "finding", means, edit)
    if status == 0:
        return Row("settings", looked_at, words.replace("\n", ", "))
    if status < 0:
        return Row("settings", looked_at, f"not looked at: {words}", "note")
    if words.startswith("torpord: home"):
        return Row("settings", looked_at, "not looked at: the home is not fit for it", "note")
    said = " ".join(words.removeprefix("torpord: ").split())
    mend = f"{os.environ.get('EDITOR', 'vi')} {shlex.quote(path)}" if os.path.exists(path) else None
    return Row("settings", looked_at, said, "finding", "the next start fails, and `torpor reload` is refused", mend)


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The store. `checked`: "ok", what is wrong, or None where it was not read, and then `unread` says why."""

    path: str
    there: bool
    size_bytes: int = 0
    version: int | None = None
    reads: int | None = None
    checked: str | None = None
    unread: str = ""
    cycle: dict[str, Any] | None = None
    backup: str = ""
    damaged: bool = False
    in_safe_mode: bool = False


def look_at_store(subject: Subject) -> StoreFacts:
    """Read a store that nobody uses; of one in use its daemon's last sleep cycle tells."""
    path = subject.path(wire.STORE_NAME)
    backup = next(iter(backups(path)), "")
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return StoreFacts(path, there=False, backup=backup)
    reads = subject.installed.store
    is_safe = bool(subject.status and subject.status.get("safe_mode"))  # then it has the store not open
    if subject.up and not is_safe:
        sleep = subject.status["sleep"] if subject.status else {}
        cycle = sleep.get("last_upkeep") or sleep.get("last_cycle")
        said: Mapping[str, Any] = {**subject.examined["store"]} if subject.examined else {}
        why = said.get("problem") or "a daemon has it open, and nobody else may read it meanwhile"
        return StoreFacts(path, True, found.st_size, said.get("version"), reads, None, why, cycle, backup)  # noqa: FBT003 - the field says it
    if os.path.exists(f"{path}-wal"):
        why = "the last daemon did not close it, the next one brings it in order"
        return StoreFacts(path, True, found.st_size, None, reads, None, why, None, backup)  # noqa: FBT003 - likewise
    if found.st_size == 0:  # SQLite takes it for a new database; a store is never empty
        why = "it is empty: something truncated it"
        return StoreFacts(path, True, 0, None, reads, why, "", None, backup, True, is_safe)  # noqa: FBT003 - likewise
    version, checked, damaged = read(path)
    now = os.lstat(path)
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (found.st_ino, found.st_size, found.st_mtime_ns) or not (
        is_safe or is_down(subject.home)
    ):
        why = "a daemon came up meanwhile"
        return StoreFacts(path, True, found.st_size, None, reads, None, why, None, backup)  # noqa: FBT003 - likewise
    unread = "" if checked is not None else f"reading all of it takes longer than {_CHECK_S:g} s"
    return StoreFacts(path, True, found.st_size, version, reads, checked, unread, None, backup, damaged, is_safe)  # noqa: FBT003 - likewise


def read(path: str) -> tuple[int | None, str | None, bool]:
    """Return a store's version, what SQLite says of it ("ok", what is wrong, None: no time), and whether it is damaged.

    What may not be opened or read is not damaged.

    Opened as immutable: no lock is taken and no file made, so it is for a store that nobody uses.
    """
    end_s = time.monotonic() + _CHECK_S
    try:
        db = sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error as error:
        return None, str(error), False
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.set_progress_handler(lambda: time.monotonic() > end_s, _INSTRUCTIONS_A_LOOK)
        found = [row[0] for row in db.execute("PRAGMA quick_check(5)")]
    except sqlite3.OperationalError as error:
        return None, None if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT else str(error), False
    except sqlite3.Error as error:
        return None, str(error), True
    finally:
        db.close()
    return version, "; ".join(found), found != ["ok"]


def judge_store(facts: StoreFacts) -> Row:
    """Judge what the next start makes of the store. Nothing is ever replaced without being told."""
    looked_at, told = "the store", f"{facts.path}, {size(facts.size_bytes)}"
    if not facts.there:
        return Row("store", looked_at, f"{facts.path} is not there yet", "note", "the first start makes it")
    if facts.checked is None:
        told += f", version {facts.version}" if facts.version is not None else ""
        row = _judge_cycle(facts, told)
        return row or Row("store", looked_at, f"{told}, not looked at: {facts.unread}", "note")
    if facts.checked != "ok":
        found = f"{told}, cannot be read: {facts.checked}"
        fix: Literal["would"] | None = "would" if facts.damaged else None
        return Row("store", looked_at, found, "serious", "no daemon can start with it", _way_back(facts), fix)
    if facts.reads is not None and facts.version is not None and facts.version > facts.reads:
        found = f"{told}, has version {facts.version}; this installation reads up to {facts.reads}"
        means = "a newer torpor made it, and this one does not start with it"
        return Row("store", looked_at, found, "serious", means, "pip install --upgrade torpor")
    if facts.reads is not None and facts.version != facts.reads:
        found = f"{told}, whole, version {facts.version}"
        return Row("store", looked_at, found, "note", f"the next start brings it to version {facts.reads}")
    return Row("store", looked_at, f"{told}, whole, version {facts.version}")


def _judge_cycle(facts: StoreFacts, told: str) -> Row | None:
    """Judge by the last sleep cycle, which reads all of the store; None where it says nothing of it."""
    looked_at, cycle = "the store, by the daemon's last sleep cycle", facts.cycle
    if cycle is None:
        return None
    if cycle.get("outcome") == "failed" and "integrity" in str(cycle.get("step")):
        found = f"{told}, {cycle.get('error')} (at {cycle.get('ended_ts')})"
        return Row("store", looked_at, found, "serious", "it may be lost with the next start", _way_back(facts))
    check = (cycle.get("result") or {}).get("integrity_check")
    whole = isinstance(check, dict) and check.get("found") == "ok"
    return Row("store", looked_at, f"{told}, whole at {cycle.get('ended_ts')}") if whole else None


def _way_back(facts: StoreFacts) -> str:
    """Return the line that puts the newest backup in the store's place, all old files aside; without one, afresh."""
    home = os.path.dirname(facts.path)
    store, kept = shlex.quote(facts.path), shlex.quote(_aside(home))
    if not facts.backup and facts.in_safe_mode:  # it holds the lock: no other start can be told of a new one
        return f"mkdir {kept} && mv {store}* {kept} && torpor reload"
    if not facts.backup:
        return f"torpord run --new-store --home {shlex.quote(home)}"
    return f"mkdir {kept} && mv {store}* {kept} && cp {shlex.quote(facts.backup)} {store}"


def _aside(home: str) -> str:
    """Return a name under which nothing was kept yet."""
    number = 1
    while os.path.lexists(aside := os.path.join(home, f"unreadable.{number}")):
        number += 1
    return aside


def _mend_store(subject: Subject) -> str:
    """Keep the damaged store aside, all files of it, and put the newest good backup in its place.

    Without one the next start begins a new store. The backup comes by one rename: a daemon in safe mode, which looks
    whenever something changes here, sees the old file or the new one.
    """
    path = subject.path(wire.STORE_NAME)
    with contextlib.ExitStack() as held:
        if is_down(subject.home):
            flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            lock = os.open(subject.path(wire.LOCK_NAME), flags, 0o600)
            held.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        reads = subject.installed.store
        good = next((each for each in backups(path) if _is_good(each, reads)), "")
        draft = subject.path(f"{wire.STORE_NAME}.draft")
        if good:
            shutil.copyfile(good, draft)
            os.chmod(draft, 0o600)
            with open(draft, "rb") as file:
                os.fsync(file.fileno())
        aside = _aside(subject.home)
        os.mkdir(aside, 0o700)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):  # mostly they are not there
                os.rename(f"{path}{suffix}", os.path.join(aside, f"{wire.STORE_NAME}{suffix}"))
        if not good:
            os.rename(path, os.path.join(aside, wire.STORE_NAME))
            return f"put the store aside in {aside}: there is no good backup, the next start begins a new one"
        os.link(path, os.path.join(aside, wire.STORE_NAME))
        os.replace(draft, path)
    made = datetime.fromtimestamp(os.stat(good).st_mtime).astimezone().isoformat(timespec="seconds")
    return f"put the store aside in {aside}, and {good} in its place: what came after {made} is lost"


def _is_good(backup: str, reads: int | None) -> bool:
    version, checked, _ = read(backup)
    return checked == "ok" and version is not None and (reads is None or version <= reads)


def backups(store: str) -> list[str]:
    """Return the backups of a store, the newest first; `draft` is none."""
    folder = os.path.join(os.path.dirname(store), "backups")
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    paths = [os.path.join(folder, name) for name in names if name.startswith("torpor-") and name.endswith(".db")]
    return sorted(paths, key=lambda path: (os.stat(path).st_mtime, path), reverse=True)


@dataclass(frozen=True, slots=True)
class SpaceFacts:
    """Bytes: what is free, and what the store, its write-ahead log and its backups take."""

    home: str
    free: int
    store: int
    wal: int
    backups: int


def look_at_space(subject: Subject) -> SpaceFacts | None:
    """Ask the file system; None where there is no home."""
    path = subject.path(wire.STORE_NAME)
    try:
        disk = os.statvfs(subject.home)
    except (FileNotFoundError, NotADirectoryError):
        return None
    kept = sum(_size_of(each) for each in backups(path))
    free = disk.f_bavail * disk.f_frsize
    return SpaceFacts(subject.home, free, _size_of(path), _size_of(f"{path}-wal"), kept)


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def judge_space(facts: SpaceFacts | None) -> Row:
    """Want room for two more copies: a sleep cycle writes one, and a write-ahead log may grow as large."""
    looked_at = "the disk that holds the home"
    if facts is None:
        return Row("space", looked_at, "not looked at: there is no home", "note")
    takes = f"the store takes {size(facts.store)}, its log {size(facts.wal)}, its backups {size(facts.backups)}"
    found = f"{size(facts.free)} free; {takes}"
    if facts.free >= max(LEAST_FREE_BYTES, 3 * facts.store):
        return Row("space", looked_at, found)
    return Row("space", looked_at, found, "finding", "soon nothing can be remembered: make room on that disk")


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """The newest backup; `behind_s`: how much of the store's life is not in it; None where there is none."""

    path: str = ""
    age_s: float = 0.0
    behind_s: float | None = None
    store_there: bool = False


def look_at_backup(subject: Subject) -> BackupFacts:
    """Compare the newest backup with the store."""
    store = subject.path(wire.STORE_NAME)
    files = [each for each in (store, f"{store}-wal") if os.path.exists(each)]
    newest = next(iter(backups(store)), "")
    if not newest or not files:
        return BackupFacts(store_there=bool(files))
    made = os.stat(newest).st_mtime
    written = max(os.stat(each).st_mtime for each in files)
    return BackupFacts(newest, subject.wall_s - made, written - made, store_there=True)


def judge_backup(facts: BackupFacts) -> Row:
    """Each completed sleep cycle makes one: a store that has been written for long without is one that never sleeps."""
    looked_at = "the newest backup"
    if facts.behind_s is None:
        found = "there is none yet" if facts.store_there else "nothing to back up yet"
        return Row("backup", looked_at, found, "note", "the sleep cycle makes one" if facts.store_there else "")
    found = f"{facts.path}, {max(facts.age_s, 0) / 86_400:.1f} days old"
    if facts.behind_s > _OLD_BACKUP_S:
        return Row(
            "backup", looked_at, found, "finding", "the sleep cycle that makes them did not complete", "torpor sleep"
        )
    return Row("backup", looked_at, found)


def _settings(subject: Subject) -> Row:
    own = subject.examined["settings"] if subject.examined else None
    return judge_settings(subject.path(wire.SETTINGS_NAME), subject.checked, own)


CHECKS = (
    Check("settings", _settings),
    Check("store", lambda subject: judge_store(look_at_store(subject)), _mend_store),
    Check("space", lambda subject: judge_space(look_at_space(subject))),
    Check("backup", lambda subject: judge_backup(look_at_backup(subject))),
)
