"""Arming: the next planned wake is written down in `wake.at`, and the service manager is given a timer for it.

The file first, and away last: where there is a timer there is the file. The manager's timers are gone with a reboot or
the last logout, and then the file's being there is what starts a daemon (torpord-boot.timer), which arms anew.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from math import ceil
from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskGroup

from torpor import wire
from torpord.core.effects import ArmWake
from torpord.core.events import Event, WakeArmed
from torpord.core.report import iso
from torpord.host.draft import open_draft
from torpord.host.timers import Timer
from torpord.shell.starting import planned_at
from torpord.store.thread import Runner

log = structlog.get_logger("torpord.arming")

CAUSE = {"source": "timer"}
# What the end of the process waits for it at most; asking takes a tenth of a second.
SETTLE_S = 3.0


class Arming:
    """Carries out one wish at a time; of those that come meanwhile the newest alone, and only it is answered."""

    def __init__(
        self, timer: Timer, home: Path, runner: Runner, tasks: TaskGroup, owe: Callable[[Event], None]
    ) -> None:
        self._timer = timer
        self._home = home
        self._runner = runner
        self._tasks = tasks
        self._owe = owe
        self._wish: ArmWake | None = None
        self._stands: ArmWake | None = None  # what was carried out last, without a problem
        self._idle = anyio.Event()
        self._idle.set()

    def want(self, effect: ArmWake) -> None:
        """Take a wish; `WakeArmed` tells what became of it."""
        self._wish = effect
        if self._idle.is_set():
            self._idle = anyio.Event()
            self._tasks.start_soon(self._work)

    async def settle(self, at_ts: float | None, *, now_s: float, stopped: bool) -> None:
        """Let the process end with this timer set, as far as can be in `SETTLE_S`. There is nobody left to answer.

        `stopped`: by a signal, maybe the manager's. Where it is, the timer is its business, and the file alone tells.
        """
        problem = f"the service manager took over {SETTLE_S:g} s"
        with anyio.move_on_after(SETTLE_S):
            self._wish = None
            await self._idle.wait()
            if self._stands == ArmWake(at_ts):
                problem = ""
            elif stopped and await self._timer.is_kept():
                problem = await self._runner.run(lambda: self._leave(at_ts, now_s))
            else:
                problem = await self._done(at_ts)
        if problem:
            log.warning("wake_not_armed", at=iso(at_ts), why=problem)

    async def _work(self) -> None:
        try:
            while (wish := self._wish) is not None:
                self._wish = None
                problem = await self._done(wish.at_ts)
                if self._wish is None:
                    self._owe(WakeArmed(CAUSE, wish.at_ts, problem))
        finally:
            self._idle.set()

    async def _done(self, at_ts: float | None) -> str:
        """Let file and timer say this time; returns the problem."""
        self._stands = None
        try:
            problem = await (self._disarm() if at_ts is None else self._arm(at_ts))
        except Exception as error:  # it must be answered: the core waits for it before it goes down
            log.exception("internal_error", on="arming", at=iso(at_ts))
            return f"a mistake of the daemon's: {error!r}"
        if not problem:
            self._stands = ArmWake(at_ts)
        return problem

    async def _arm(self, at_ts: float) -> str:
        # A timer that rings a moment too soon would start a daemon that has nothing to do yet.
        return await self._runner.run(lambda: self._write(at_ts)) or await self._timer.set(ceil(at_ts))

    async def _disarm(self) -> str:
        return await self._timer.clear() or await self._runner.run(self._remove)

    def _leave(self, at_ts: float | None, now_s: float) -> str:
        """Leave the file to the next start. One of a time to come stays: it says that there may be a timer."""
        if at_ts is not None:
            return self._write(at_ts)
        rings_ts = planned_at(self._home)
        return self._remove() if rings_ts is not None and rings_ts <= now_s else ""

    def _write(self, at_ts: float) -> str:
        """Replace the file, durably."""
        draft = self._home / wire.SPOOL_TMP_NAME / wire.WAKE_AT_NAME
        try:
            draft.parent.mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(open_draft(draft), "w") as file:
                file.write(f"{iso(at_ts)}\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._home / wire.WAKE_AT_NAME)
            self._sync()
        except OSError as error:
            return f"{self._home / wire.WAKE_AT_NAME} cannot be written ({error.strerror or error})"
        return ""

    def _remove(self) -> str:
        """Remove the file; one that comes back with a power cut costs one start too many."""
        try:
            with contextlib.suppress(FileNotFoundError):
                (self._home / wire.WAKE_AT_NAME).unlink()
        except OSError as error:
            return f"{self._home / wire.WAKE_AT_NAME} cannot be removed ({error.strerror or error})"
        return ""

    def _sync(self) -> None:
        directory = os.open(self._home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
