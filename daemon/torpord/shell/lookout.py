"""Two duties that wait for the machine to say something: the files in the home, and the wall clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import structlog

from torpor import wire
from torpord.control.desk import Desk
from torpord.host.alarm import WallAlarm
from torpord.host.watch import LOOK_AGAIN, DirectoryWatch
from torpord.shell.spool import Spool
from torpord.shell.statefile import StateKeeper

log = structlog.get_logger("torpord.lookout")

RETRY_S = 5.0


class Lookout:
    """Looks when something changes in the home; and again, where the disk would not take what was found."""

    def __init__(
        self, home: Path, desk: Desk, spool: Spool, keeper: StateKeeper, check_places: Callable[[], Awaitable[None]]
    ) -> None:
        self._home = home
        self._check_places = check_places
        self._desk = desk
        self._spool = spool
        self._keeper = keeper

    async def run(self) -> None:
        """Look until cancelled."""
        told = ""
        while True:
            try:
                watch = DirectoryWatch([self._home, self._home / wire.SPOOL_NAME])
            except OSError as error:
                # Other programs have used up the system's watches, say: slower, and with wake-ups, but nothing is
                # overlooked, and it ends when there is one again.
                if told != str(error):
                    told = str(error)
                    log.error("cannot_watch", error=told, otherwise=f"looking every {RETRY_S:g} s")  # noqa: TRY400
                await self._look_at_all()
                await anyio.sleep(RETRY_S)
                continue
            told = ""
            try:
                await self._look_at_all()  # what came between the last look and the watch
                await self._follow(watch)
            finally:
                watch.close()

    async def _follow(self, watch: DirectoryWatch) -> None:
        """Look when something changes, as long as the folders can be watched."""
        while True:
            try:
                changes = await anext(watch.changes())
            except OSError as error:  # a folder came back, and cannot be watched
                log.warning("watch_lost", error=str(error))
                return
            await self._seen(changes)

    async def _seen(self, changes: set[tuple[Path, str]]) -> None:
        names = {name for folder, name in changes if folder == self._home}
        if names & {wire.STATE_NAME, LOOK_AGAIN}:
            self._keeper.replaced()
        elsewhere = any(folder != self._home for folder, _ in changes)
        if elsewhere or names & {wire.WAKE_SIGNAL_NAME, wire.SPOOL_NAME, LOOK_AGAIN}:
            await self._looked()
        # Whenever something moves here: a socket outside the home is watched by nobody.
        await self._check_places()

    async def _look_at_all(self) -> None:
        await self._looked()
        self._keeper.replaced()
        await self._check_places()

    async def _looked(self) -> None:
        await self._spool.take()
        while self._spool.postponed and not self._desk.draining:
            await anyio.sleep(RETRY_S)
            await self._spool.take()
            # That may be for days, in which nobody else would look at these.
            self._keeper.replaced()
            await self._check_places()


class WallDeadline:
    """Rings at the next deadline of the wall clock, and whenever that clock is set."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._at_s: float | None = None
        self._moved = anyio.Event()

    def set(self, at_s: float | None) -> None:
        """Ring at that time, seconds since the epoch; None: only when the clock is set."""
        self._at_s = at_s
        self._moved.set()

    async def run(self) -> None:
        """Ring until cancelled."""
        alarm = WallAlarm()
        try:
            while True:
                self._moved = anyio.Event()
                async with anyio.create_task_group() as either:
                    either.start_soon(self._cancel_when_moved, either.cancel_scope)
                    await alarm.wait(self._at_s)
                    either.cancel_scope.cancel()
                self._ring()
        finally:
            alarm.close()

    async def _cancel_when_moved(self, scope: anyio.CancelScope) -> None:
        await self._moved.wait()
        scope.cancel()
