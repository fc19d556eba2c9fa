"""Opening the store for a life, or saying in words why that cannot be."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import structlog

from torpor import wire
from torpord.core.world import World
from torpord.host.faults import SetupError
from torpord.store.housekeeping import newest_backup
from torpord.store.store import Store, StoreError, StoreUnreadableError
from torpord.store.thread import StoreThread

log = structlog.get_logger("torpord.store")


@contextlib.asynccontextmanager
async def opened(path: Path, *, new_store: bool) -> AsyncIterator[tuple[Store, World, StoreThread]]:
    """Open the store on a thread of its own, and close both at the end.

    `new_store`: one that cannot be read may be put aside, under a name that is told; nothing is ever deleted. Raises
    SetupError: 65 for a store that cannot be read, naming the newest backup; 75 where the disk would not have it.
    """
    runner = StoreThread()
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
    except StoreUnreadableError as error:
        if not new_store:
            raise
        aside = _put_aside(path)
        log.warning("store_put_aside", found=str(error), aside=str(aside))
        return _loaded(path)


def _loaded(path: Path) -> tuple[Store, World]:
    store = Store(path)
    try:
        return store, store.load()
    except BaseException:
        store.close()
        raise


def _put_aside(path: Path) -> Path:
    """Keep an unreadable store under another name: somebody may yet get something out of it."""
    number = 1
    while (aside := path.with_name(f"{path.name}.unreadable.{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(f"{path.name}{suffix}").rename(aside.with_name(f"{aside.name}{suffix}"))
    return aside


def _told(path: Path, error: StoreUnreadableError) -> str:
    backup = newest_backup(path)
    mend = f"copy the newest backup {backup} over it" if backup else "there is no backup yet"
    return f"{error}: {mend}, or start afresh with `torpord run --new-store`, which keeps the old file"
