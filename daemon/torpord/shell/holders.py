"""The processes that holds and agents hang on: each is watched until it ends, or nothing hangs on it any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, islice

import anyio
import anyio.lowlevel
import structlog
from anyio.abc import TaskGroup

from torpord.core.agents import SLICE
from torpord.core.effects import WatchAgent, WatchProcess
from torpord.core.events import Event, HolderEnded
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


@dataclass(slots=True, eq=False)
class _Watch:
    """One very process, and the ids of what hangs on it: a program may name its own for each of thousands of agents."""

    process: processes.ProcessIdentity
    scope: anyio.CancelScope
    holds: set[str] = field(default_factory=set)
    agents: set[str] = field(default_factory=set)

    def of(self, kind: str) -> set[str]:
        """Return the ids of one kind: "hold" or "agent"."""
        return self.holds if kind == "hold" else self.agents


class Holders:
    """One task a watched process; it costs nothing until the process ends."""

    def __init__(self, writer: Writer, tasks: TaskGroup) -> None:
        self._writer = writer
        self._tasks = tasks
        self._watches: dict[processes.ProcessIdentity, _Watch] = {}
        self._watch_of: dict[str, dict[str, _Watch]] = {"hold": {}, "agent": {}}
        self._agent_processes = 0  # of the watches, those with agents

    def watch(self, effect: WatchProcess | WatchAgent) -> None:
        """Begin to watch; in the place of another process of the same agent, if there was one.

        Not if by now it is let go, forgotten, or hangs on another process: that was stored together with what asked for
        this, and nobody would say once more that it is to be forgotten.
        """
        process = processes.ProcessIdentity(effect.pid, effect.start)
        kind, name = ("hold", effect.hold_id) if isinstance(effect, WatchProcess) else ("agent", effect.agent_id)
        known = self._watch_of[kind].get(name)
        if self._hangs_on(kind, name) != process or (known is not None and known.process == process):
            return
        self.forget(kind, name)
        found = self._watches.get(process)
        if kind == "agent" and (found is None or not found.agents):
            if self._agent_processes >= MOST_AGENT_PROCESSES:
                log.warning("agent_not_watched", agent_id=name, pid=process.pid, most=MOST_AGENT_PROCESSES)
                self._writer.owe(_said("unwatched", name, process))
                return
            self._agent_processes += 1
        if found is None:
            found = self._watches[process] = _Watch(process, anyio.CancelScope())
            self._tasks.start_soon(self._run, found)
        found.of(kind).add(name)
        self._watch_of[kind][name] = found

    def forget(self, kind: str, name: str) -> None:
        """Stop watching: the "hold" or "agent" of this id is gone, or hangs on no process."""
        found = self._watch_of[kind].pop(name, None)
        if found is None:
            return
        found.of(kind).discard(name)
        if kind == "agent" and not found.agents:
            self._agent_processes -= 1
        if not found.holds and not found.agents:
            del self._watches[found.process]
            found.scope.cancel()

    def reconcile(self) -> None:
        """Stop watching for what the world does not know so: the store was read anew, without what was stored last."""
        for kind, watches in self._watch_of.items():
            for name in [name for name, watch in watches.items() if self._hangs_on(kind, name) != watch.process]:
                self.forget(kind, name)

    def _hangs_on(self, kind: str, name: str) -> processes.ProcessIdentity | None:
        """Return the process that a hold or an agent hangs on, as the world has it."""
        world = self._writer.world
        if kind == "hold":
            hold = world.holds.by_id.get(name)
            pid, start = (None, None) if hold is None else (hold.pid, hold.pid_start)
        else:
            agent = world.agents.by_id.get(name)
            pid, start = (None, None) if agent is None else (agent.said.pid, agent.said.pid_start)
        return None if pid is None or start is None else processes.ProcessIdentity(pid, start)

    async def _run(self, watch: _Watch) -> None:
        with watch.scope:
            for tries in count(1):
                try:
                    await processes.ended(watch.process)
                    break
                except OSError as error:  # no descriptor left: others end, and then there is one
                    log.warning("cannot_watch", pid=watch.process.pid, error=str(error))
                    if tries > MOST_RETRIES:
                        await self._say(watch, "unwatched", "agent")
                    await anyio.sleep(RETRY_S)
            if watch.scope.cancel_called:  # of a process that has ended already it hears without a pause
                return
            while watch.holds or watch.agents:
                await self._say(watch, "hold", "hold")
                await self._say(watch, "agent", "agent")

    async def _say(self, watch: _Watch, what: str, kind: str) -> None:
        """Say of all of a kind what became of their process, some at a time; they are watched no more."""
        while some := sorted(islice(watch.of(kind), SLICE)):
            for name in some:
                self._writer.owe(_said(what, name, watch.process))
                self.forget(kind, name)
            await anyio.lowlevel.checkpoint()


def _said(what: str, name: str, process: processes.ProcessIdentity) -> Event:
    """Return what is to be said: a "hold" or "agent" has lost its process, or ("unwatched") nobody would see it end."""
    cause = {"source": "process", "pid": process.pid}
    if what == "hold":
        return HolderEnded(cause, name)
    from torpord.core.agent_events import (  # noqa: PLC0415 - a daemon without agents does without
        AgentProcessEnded,
        AgentProcessUnwatched,
    )

    return (AgentProcessEnded if what == "agent" else AgentProcessUnwatched)(cause, name, process.pid, process.start)
