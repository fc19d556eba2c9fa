"""Opening the store for a life, or saying in words why that cannot be."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import anyio
import structlog

from torpor import wire
from torpord.core.report import iso
from torpord.core.world import World
from torpord.host.clock import SystemClock
from torpord.host.faults import SetupError
from torpord.host.home import command
from torpord.store import migrations
from torpord.store.existence import is_there
from torpord.store.housekeeping import newest_backup
from torpord.store.store import Store, StoreError, StoreTooNewError, StoreUnreadableError
from torpord.store.thread import StoreThread

T = TypeVar("T")

log = structlog.get_logger("torpord.store")


@contextlib.asynccontextmanager
async def opened(path: Path, *, new_store: bool) -> AsyncIterator[tuple[Store, World, StoreThread]]:
    """Open the store on a thread of its own, and close both at the end.

    `new_store`: one that cannot be read may be put aside, under a name that is told; nothing is ever deleted. Raises
    SetupError: 65 for a store that cannot be read, naming the newest backup; 75 where the disk would not have it.
    """
    runner = StoreThread(SystemClock().awake_s)
    try:
        try:
            store, world = await runner.run(lambda: _open(path, new_store=new_store))
        except StoreUnreadableError as error:
            raise SetupError(wire.EX_DATAERR, _told(path, error)) from error
        except StoreError as error:
            message = f"{error} (is the disk full?): make room, or mend the disk, and start again"
            raise SetupError(wire.EX_TEMPFAIL, message) from error
        try:
            yield store, world, runner
        finally:
            with anyio.CancelScope(shield=True):
                await runner.run(store.close)
    finally:
        runner.close()


def _open(path: Path, *, new_store: bool) -> tuple[Store, World]:
    try:
        return _loaded(path)
    except StoreTooNewError:
        raise  # it is whole, and some torpor reads it
    except StoreUnreadableError as error:
        if not new_store:
            raise
        try:
            aside = _put_aside(path)
        except OSError as refused:
            raise StoreError(f"{path} cannot be put aside: {refused}") from refused
        log.warning("store_put_aside", found=str(error), aside=str(aside))
        return _loaded(path)


def _surely(path: Path, look: Callable[[], T]) -> T:
    """Look into a store; where it seems damaged, make sure that the disk reads it, and look once more.

    What the disk would not read SQLite calls malformed (SQLITE_IOERR_CORRUPTFS in its vdbe.c): a disk that failed for a
    moment would have a whole store put aside. Raises StoreError where it is the disk, else what `look` raises.
    """
    try:
        return look()
    except StoreTooNewError:
        raise  # that it is newer was read
    except StoreUnreadableError:
        from torpord.store import readable  # noqa: PLC0415 - rare

        readable.read_through(path)
        return look()


def _loaded(path: Path) -> tuple[Store, World]:
    return _surely(path, lambda: _loaded_once(path))


def _loaded_once(path: Path) -> tuple[Store, World]:
    store = Store(path)
    if store.brought_up is not None:
        log.warning("store_brought_up", path=str(path), backup=str(store.brought_up))
    try:
        return store, store.load()
    except BaseException:
        store.close()
        raise


def _put_aside(path: Path) -> Path:
    """Keep an unreadable store under another name: somebody may yet get something out of it."""
    number = 1
    while is_there(aside := path.with_name(f"{path.name}.unreadable.{number}")):
        number += 1
    for suffix in ("", "-wal", "-shm"):  # broken off behind the first, what is left is no store to any opening
        with contextlib.suppress(FileNotFoundError):
            path.with_name(f"{path.name}{suffix}").rename(aside.with_name(f"{aside.name}{suffix}"))
    return aside


def problem(path: Path) -> str:
    """Look whether a store could be opened, and change nothing. Returns what is in the way, "" where nothing is.

    Raises OSError where it cannot be seen now whether there is one.
    """
    if not is_there(path):
        left = path.with_name(f"{path.name}-wal")
        return f"{path} is gone, but {left.name} with its newest changes is there" if is_there(left) else ""
    try:
        _surely(path, lambda: _look(path))
    except StoreUnreadableError as error:
        return _told(path, error)
    except (StoreError, OSError) as error:
        return str(error)
    return ""


def _look(path: Path) -> None:
    store = Store(path, read_only=True)
    try:
        if store.is_of_this_version():
            store.load()
    finally:
        store.close()


def _told(path: Path, error: StoreUnreadableError) -> str:
    try:
        way_out = _way_back(path) if isinstance(error, StoreTooNewError) else _way_out(path)
    except OSError as unseen:
        way_out = f"; what backups there are cannot be seen now ({unseen})"
    return f"{error}{way_out}"


def _way_back(path: Path) -> str:
    kept = _kept_before(path)
    if kept is None:
        return ""
    # From a version that does not run: without this, each of the two would ask for the other.
    made = iso(kept.stat().st_mtime)
    return f"; or go back to what it was at {made}, without what came since, with `{_mend(path, kept)}`"


def _way_out(path: Path) -> str:
    backup = newest_backup(path, SystemClock().now().wall_s)
    if backup is None:
        # A daemon in safe mode holds the lock, and is told of a new store by a reload: the doctor does either.
        fix = command("torpor doctor --fix", path.parent)
        return f": there is no backup yet; start afresh with `{fix}`, which keeps the old files"
    return f": go back to the newest backup with `{_mend(path, backup)}`"


def _kept_before(path: Path) -> Path | None:
    """Return the newest copy of a store that this version reads, made by a newer one before it brought it up."""
    kept = [
        copy
        for version in (*migrations.FROM, migrations.TO)
        for copy in path.with_name("backups").glob(f"before-{version}-*.db")
    ]
    return max(kept, key=lambda copy: copy.stat().st_mtime, default=None)


def _mend(path: Path, backup: Path) -> str:
    """Return the command that puts a backup in the place of a store, for a shell.

    All files of the store go aside together, its write-ahead log above all: SQLite would play it onto the backup.
    """
    number = 1
    while is_there(aside := path.with_name(f"unreadable.{number}")):
        number += 1
    store, kept = shlex.quote(str(path)), shlex.quote(str(aside))
    return f"mkdir {kept} && mv {store}* {kept} && cp {shlex.quote(str(backup))} {store}"
