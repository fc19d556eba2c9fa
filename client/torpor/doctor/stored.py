"""The settings, the store, the space it has, and its backups."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from torpor import wire
from torpor.doctor.places import is_down, size
from torpor.doctor.reading import CHECK_S, read, read_unclosed
from torpor.doctor.rows import Check, Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torpor.doctor.subject import Subject

LEAST_FREE_BYTES = 64 * 1024 * 1024
_OLD_BACKUP_S = 8 * 86_400.0


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
    is_the_files = status != wire.EX_TEMPFAIL and os.path.exists(path)  # else nothing in it is to be mended
    mend = f"{os.environ.get('EDITOR', 'vi')} {shlex.quote(path)}" if is_the_files else None
    return Row("settings", looked_at, said, "finding", "the next start fails, and `torpor reload` is refused", mend)


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The store. `checked`: "ok", what is wrong, or None where it was not read, and then `unread` says why.

    `for_now`: it was not read, which says nothing about it. `unclosed`: there is a write-ahead log of a daemon that
    died, or was killed.
    """

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
    for_now: bool = False
    in_safe_mode: bool = False
    unclosed: bool = False


def look_at_store(subject: Subject) -> StoreFacts:
    """Read a store that nobody uses; of one in use its daemon's last sleep cycle tells."""
    path = subject.path(wire.STORE_NAME)
    backup = next(iter(backups(path)), "")
    is_safe = bool(subject.status and subject.status.get("safe_mode"))  # then it has the store not open
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        # The log first: a daemon that comes up makes its store before.
        if (not subject.up or is_safe) and os.path.lexists(f"{path}-wal") and not os.path.lexists(path):
            why = f"it is gone, but {wire.STORE_NAME}-wal with its newest changes is there"
            return StoreFacts(path, there=True, checked=why, backup=backup, damaged=True, in_safe_mode=is_safe)
        return StoreFacts(path, there=False, backup=backup)
    reads, size_bytes = subject.installed.store, found.st_size
    facts = StoreFacts(path, there=True, size_bytes=size_bytes, reads=reads, backup=backup, in_safe_mode=is_safe)
    if subject.up and not is_safe:
        sleep = subject.status["sleep"] if subject.status else {}
        cycle = sleep.get("last_upkeep") or sleep.get("last_cycle")
        said: Mapping[str, Any] = {**subject.examined["store"]} if subject.examined else {}
        why = said.get("problem") or "a daemon has it open, and nobody else may read it meanwhile"
        return replace(facts, version=said.get("version"), unread=why, cycle=cycle)
    if not size_bytes:  # SQLite takes it for a new database; a store is never empty
        return replace(facts, checked="it is empty: something truncated it", damaged=True)
    return _look_inside(subject, facts)


def _look_inside(subject: Subject, facts: StoreFacts) -> StoreFacts:
    """Read a store that nobody has open, and make sure that nobody had it meanwhile."""
    path, before = facts.path, _identities(facts.path)
    facts = replace(facts, unclosed=before[1] is not None)
    if facts.unclosed and (why := _no_copy(subject, path)):
        return replace(facts, unread=f"the last daemon did not close it, and {why}")
    draft = subject.path(os.path.join(wire.SPOOL_TMP_NAME, f"doctor-{os.getpid()}.db"))
    try:
        found = read_unclosed(path, draft) if facts.unclosed else read(path)
    except OSError as error:
        why = f"no copy can be made to look into: {error.filename or draft}: {error.strerror}"
        return replace(facts, unread=f"the last daemon did not close it, and {why}")
    if _identities(path) != before or not (facts.in_safe_mode or is_down(subject.home)):
        return replace(facts, unread="a daemon came up meanwhile")
    unread = "" if found.checked is not None else f"reading all of it takes longer than {CHECK_S:g} s"
    return replace(facts, unread=unread, **found._asdict())


def _identities(path: str) -> list[tuple[int, int, int] | None]:
    """Return what changes when somebody writes: of the store, and of its write-ahead log, None where there is none."""
    told: list[tuple[int, int, int] | None] = []
    for each in (path, f"{path}-wal"):
        try:
            found = os.lstat(each)
        except FileNotFoundError:
            told.append(None)
        else:
            told.append((found.st_ino, found.st_size, found.st_mtime_ns))
    return told


def _no_copy(subject: Subject, path: str) -> str:
    """Say why no copy can be made in tmp/ to look into; "" where one can."""
    folder = subject.path(wire.SPOOL_TMP_NAME)
    if not subject.is_ours:
        return "in another user's home no copy is made to look into"
    if os.path.islink(folder) or not os.path.isdir(folder):
        return f"there is no {folder} for a copy to look into"
    disk = os.statvfs(folder)
    wants = 2 * (_size_of(path) + _size_of(f"{path}-wal")) + LEAST_FREE_BYTES
    return "" if disk.f_bavail * disk.f_frsize > wants else "there is no room for a copy to look into"


def judge_store(facts: StoreFacts) -> Row:
    """Judge what the next start makes of the store. Nothing is ever replaced without being told."""
    looked_at, told = "the store", f"{facts.path}, {size(facts.size_bytes)}"
    if not facts.there:
        return Row("store", looked_at, f"{facts.path} is not there yet", "note", "the first start makes it")
    if facts.checked is None:
        told += f", version {facts.version}" if facts.version is not None else ""
        row = _judge_cycle(facts, told)
        return row or Row("store", looked_at, f"{told}, not looked at: {facts.unread}", "note")
    if facts.for_now:
        found = f"{told}, cannot be read now: {facts.checked}"
        whose = "the disk fails, or the machine is short of something, which says nothing against the store: keep it"
        means = f"{whose}; no daemon can start before it can be read: see the kernel's log (`dmesg`), then look again"
        return Row("store", looked_at, found, "serious", means)
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
    if facts.unclosed:
        found = f"{told}, whole, version {facts.version}; the last daemon did not close it"
        return Row("store", looked_at, found, "note", "the next one brings it in order")
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
        good = _good_backup(path, reads)
        draft = subject.path(f"{wire.STORE_NAME}.draft")
        if good:
            shutil.copyfile(good, draft)
            os.chmod(draft, 0o600)
            with open(draft, "rb") as file:
                os.fsync(file.fileno())
        aside = _aside(subject.home)
        os.mkdir(aside, 0o700)
        # Where nothing comes in its place the store goes first: broken off behind it, what is left is no store to any
        # opening. Where a backup does, never: broken off behind the last, a start would find nothing, and begin anew.
        for suffix in ("-wal", "-shm") if good else ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):  # mostly they are not there
                os.rename(f"{path}{suffix}", os.path.join(aside, f"{wire.STORE_NAME}{suffix}"))
        if not good:
            return f"put the store aside in {aside}: there is no good backup, the next start begins a new one"
        with contextlib.suppress(FileNotFoundError):  # gone, and its log is all there was
            os.link(path, os.path.join(aside, wire.STORE_NAME))
        os.replace(draft, path)
    made = datetime.fromtimestamp(os.stat(good).st_mtime).astimezone().isoformat(timespec="seconds")
    return f"put the store aside in {aside}, and {good} in its place: what came after {made} is lost"


def _good_backup(store: str, reads: int | None) -> str:
    """Return the newest backup that is whole, and of no newer version; "" where there is none.

    Raises OSError where there may be one that cannot be read now: a new store is nothing to begin with then.
    """
    unread = ""
    for each in backups(store):
        found = read(each)
        if found.checked == "ok" and found.version is not None and (reads is None or found.version <= reads):
            return each
        if found.for_now or found.checked is None:
            unread = unread or f"backup {each} cannot be read now ({found.checked or 'it takes too long'})"
    if unread:
        raise OSError(errno.EIO, f"{unread}, and no other is good: nothing was put aside, mend that first")
    return ""


def backups(store: str) -> list[str]:
    """Return the backups of a store, the newest first; `draft` is none."""
    folder = os.path.join(os.path.dirname(store), "backups")
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    paths = [os.path.join(folder, name) for name in names if name.startswith("torpor-") and name.endswith(".db")]
    dated = [(at_s, path) for path in paths if (at_s := _written_s(path)) is not None]
    return [path for _, path in sorted(dated, reverse=True)]


def _written_s(path: str) -> float | None:
    """Return when a file was written last; None where it is gone: a daemon that is up removes what it needs no more."""
    try:
        return os.stat(path).st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None


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
        return os.lstat(path).st_size  # of a link, what it leads to may be another disk's
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
    written = [at_s for each in (store, f"{store}-wal") if (at_s := _written_s(each)) is not None]
    newest = next(iter(backups(store)), "")
    made_s = _written_s(newest)
    if made_s is None or not written:
        return BackupFacts(store_there=bool(written))
    return BackupFacts(newest, subject.wall_s - made_s, max(written) - made_s, store_there=True)


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
