"""The processes that holds and agents hang on: each is watched until it ends, or nothing hangs on it any more."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import anyio
import structlog
from anyio.abc import TaskGroup

from torpord.core.effects import WatchAgent, WatchProcess
from torpord.core.events import AgentEvent, HolderEnded
from torpord.host import processes
from torpord.writer import Writer

log = structlog.get_logger("torpord.holders")

RETRY_S = 5.0
# After so many an agent's process counts as one that cannot be watched: half its time-out, by default. A hold has
# nothing else that would end it, and is tried on.
MOST_RETRIES = 12

# Each takes a descriptor, and there are 4,096: 1,024 of them are for connections, and a thousand for holds. The core is
# told of an agent whose process is not watched: it goes when its heartbeats stop, as all those do that name none.
MOST_AGENT_PROCESSES = 1500

# What hangs on a process: "hold" or "agent", and its id.
Key = tuple[str, str]


class Holders:
    """One task a watched process; it costs nothing until the process ends."""

    def __init__(self, writer: Writer, tasks: TaskGroup) -> None:
        self._writer = writer
        self._tasks = tasks
        self._watched: dict[Key, tuple[processes.ProcessIdentity, anyio.CancelScope]] = {}
        self._agents_of: dict[processes.ProcessIdentity, int] = {}

    def watch(self, effect: WatchProcess | WatchAgent) -> None:
        """Begin to watch; in the place of another process of the same agent, if there was one."""
        key = ("hold", effect.hold_id) if isinstance(effect, WatchProcess) else ("agent", effect.agent_id)
        identity = processes.ProcessIdentity(effect.pid, effect.start)
        if key in self._watched and self._watched[key][0] == identity:
            return
        self.forget(*key)
        if isinstance(effect, WatchAgent):
            if identity not in self._agents_of and len(self._agents_of) >= MOST_AGENT_PROCESSES:
                log.warning("agent_not_watched", agent_id=effect.agent_id, pid=effect.pid, most=MOST_AGENT_PROCESSES)
                self._writer.owe(_of_agent(effect, watched=False))
                return
            self._agents_of[identity] = self._agents_of.get(identity, 0) + 1
        scope = anyio.CancelScope()
        self._watched[key] = (identity, scope)
        self._tasks.start_soon(self._watch, effect, identity, scope)

    def forget(self, kind: str, name: str) -> None:
        """Stop watching: the "hold" or "agent" of this id is gone, or hangs on no process."""
        identity, scope = self._watched.pop((kind, name), (None, None))
        if identity is None or scope is None:
            return
        scope.cancel()
        if kind == "agent":
            self._agents_of[identity] -= 1
            if not self._agents_of[identity]:
                del self._agents_of[identity]

    async def _watch(
        self, effect: WatchProcess | WatchAgent, identity: processes.ProcessIdentity, scope: anyio.CancelScope
    ) -> None:
        with scope:
            watched = await self._ended(effect, identity)
            if scope.cancel_called:  # of a process that has ended already it hears without a pause
                return
            if isinstance(effect, WatchAgent):
                self._writer.owe(_of_agent(effect, watched=watched))
            else:
                self._writer.owe(HolderEnded(_cause(effect), effect.hold_id))

    async def _ended(self, effect: WatchProcess | WatchAgent, identity: processes.ProcessIdentity) -> bool:
        """Return once a process has ended; False where an agent's cannot be watched."""
        for tries in count(1):
            try:
                await processes.ended(identity)
                break
            except OSError as error:  # no descriptor left: others end, and then there is one
                log.warning("cannot_watch", pid=effect.pid, error=str(error))
                if tries > MOST_RETRIES and isinstance(effect, WatchAgent):
                    return False
                await anyio.sleep(RETRY_S)
        return True


def _cause(effect: WatchProcess | WatchAgent) -> Mapping[str, object]:
    return {"source": "process", "pid": effect.pid}


def _of_agent(effect: WatchAgent, *, watched: bool) -> AgentEvent:
    """Return what is to be said of an agent: that its process has ended, or that nobody would see it end."""
    from torpord.core.agent_events import (  # noqa: PLC0415 - a daemon without agents does without
        AgentProcessEnded,
        AgentProcessUnwatched,
    )

    kind = AgentProcessEnded if watched else AgentProcessUnwatched
    return kind(_cause(effect), effect.agent_id, effect.pid, effect.start)
