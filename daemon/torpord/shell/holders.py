"""The processes that holds hang on: each is watched until it ends, or its hold does."""

from __future__ import annotations

import anyio
import structlog
from anyio.abc import TaskGroup

from torpord.core.effects import WatchProcess
from torpord.core.events import HolderEnded
from torpord.host import processes
from torpord.writer import Writer

log = structlog.get_logger("torpord.holders")

RETRY_S = 5.0


class Holders:
    """One task a watched process; it costs nothing until the process ends."""

    def __init__(self, writer: Writer, tasks: TaskGroup) -> None:
        self._writer = writer
        self._tasks = tasks
        self._scopes: dict[str, anyio.CancelScope] = {}

    def watch(self, effect: WatchProcess) -> None:
        """Begin to watch."""
        if effect.hold_id not in self._scopes:
            self._scopes[effect.hold_id] = anyio.CancelScope()
            self._tasks.start_soon(self._watch, effect, self._scopes[effect.hold_id])

    def forget(self, hold_id: str) -> None:
        """Stop watching: the hold is gone."""
        scope = self._scopes.pop(hold_id, None)
        if scope is not None:
            scope.cancel()

    async def _watch(self, effect: WatchProcess, scope: anyio.CancelScope) -> None:
        identity = processes.ProcessIdentity(effect.pid, effect.start)
        with scope:
            while True:
                try:
                    await processes.ended(identity)
                    break
                except OSError as error:  # no descriptor left: others end, and then there is one
                    log.warning("cannot_watch", pid=effect.pid, error=str(error))
                    await anyio.sleep(RETRY_S)
            self._writer.owe(HolderEnded({"source": "process", "pid": effect.pid}, effect.hold_id))
