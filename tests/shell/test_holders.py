"""Watched processes: one watch for each hold and agent, of the process it hangs on now, and not more than may be."""

from __future__ import annotations

import subprocess
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

import anyio
import pytest

from torpord.core.agent_events import AgentProcessEnded, AgentProcessUnwatched
from torpord.core.agents import Agent, Card
from torpord.core.effects import WatchAgent, WatchProcess
from torpord.core.events import Event, HolderEnded
from torpord.core.world import Hold, Holds, World
from torpord.host import processes
from torpord.shell import holders
from torpord.shell.holders import Holders
from torpord.writer import Writer
from waiting import until_async


class Owed:
    """Stands for the writer: keeps what it is owed, and the world in which holds and agents hang on processes."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.world = World()

    def ties(self, effect: WatchProcess | WatchAgent) -> WatchProcess | WatchAgent:
        """Let a hold or agent hang on its process, as what asks for a watch says."""
        if isinstance(effect, WatchProcess):
            hold = Hold(effect.hold_id, "who", "why", 0.0, pid=effect.pid, pid_start=effect.start)
            holds = Holds(MappingProxyType({**self.world.holds.by_id, hold.hold_id: hold}))
            self.world = replace(self.world, holds=holds)
        else:
            agents, card = self.world.agents, Card(pid=effect.pid, pid_start=effect.start)
            before = agents.by_id.get(effect.agent_id)
            self.world = replace(self.world, agents=agents.with_agent(before, Agent(effect.agent_id, card=card)))
        return effect

    def forgets(self, agent_id: str) -> None:
        agents = self.world.agents
        self.world = replace(self.world, agents=agents.with_agent(agents.by_id[agent_id], None))

    def owe(self, event: Event) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[tuple[str, str]]:
        """Who is said to have lost its process, in the order it was said."""
        found = cast("list[Any]", self.events)
        kinds = {HolderEnded: "hold", AgentProcessEnded: "agent", AgentProcessUnwatched: "unwatched"}
        return [(kinds[type(e)], e.hold_id if isinstance(e, HolderEnded) else e.agent_id) for e in found]


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    made = [subprocess.Popen(["/bin/sleep", "600"]) for _ in range(3)]
    yield made
    for each in made:
        each.kill()
        each.wait()


def start_of(sleeper: subprocess.Popen[bytes]) -> str:
    found = processes.identify(sleeper.pid)
    assert found is not None
    return found.start


def agent(name: str, sleeper: subprocess.Popen[bytes]) -> WatchAgent:
    return WatchAgent(name, sleeper.pid, start_of(sleeper))


def watch(them: Holders, owed: Owed, effect: WatchProcess | WatchAgent) -> None:
    """Let it be so in the world, and ask for the watch."""
    them.watch(owed.ties(effect))


def end(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()


@pytest.mark.asyncio
async def test_a_hold_and_an_agent_of_one_name_are_two(sleepers: list[subprocess.Popen[bytes]]) -> None:
    owed = Owed()
    async with anyio.create_task_group() as tasks:
        them = Holders(cast("Writer", owed), tasks)
        watch(them, owed, WatchProcess("x", sleepers[0].pid, start_of(sleepers[0])))
        watch(them, owed, agent("x", sleepers[1]))
        end(sleepers[1])
        await until_async(lambda: owed.events)
        assert owed.names == [("agent", "x")]
        end(sleepers[0])
    assert owed.names == [("agent", "x"), ("hold", "x")]


@pytest.mark.asyncio
async def test_the_process_an_agent_has_now_is_watched_and_once(sleepers: list[subprocess.Popen[bytes]]) -> None:
    owed = Owed()
    async with anyio.create_task_group() as tasks:
        them = Holders(cast("Writer", owed), tasks)
        for sleeper in (sleepers[0], sleepers[1], sleepers[1]):
            watch(them, owed, agent("x", sleeper))
        watch(them, owed, agent("forgotten", sleepers[1]))
        them.forget("agent", "forgotten")
        them.forget("agent", "never there")
        end(sleepers[0])
        end(sleepers[1])
    (event,) = owed.events
    assert isinstance(event, AgentProcessEnded)
    assert (event.agent_id, event.pid) == ("x", sleepers[1].pid)


@pytest.mark.asyncio
async def test_of_more_processes_than_may_be_the_last_are_not_watched(
    sleepers: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "MOST_AGENT_PROCESSES", 1)
    owed = Owed()
    async with anyio.create_task_group() as tasks:
        them = Holders(cast("Writer", owed), tasks)
        for name in ("a", "b"):
            watch(them, owed, agent(name, sleepers[0]))  # of one process there may be any number
        watch(them, owed, agent("c", sleepers[1]))
        end(sleepers[1])
        end(sleepers[0])
    assert sorted(owed.names) == [("agent", "a"), ("agent", "b"), ("unwatched", "c")]
    assert owed.names[0] == ("unwatched", "c"), "the core hears of it at once"
    async with anyio.create_task_group() as tasks:
        them = Holders(cast("Writer", owed), tasks)
        watch(them, owed, agent("a", sleepers[2]))
        them.forget("agent", "a")
        watch(them, owed, agent("b", sleepers[2]))  # there is room again
        end(sleepers[2])
    assert owed.names[-1] == ("agent", "b")


@pytest.mark.asyncio
async def test_where_no_descriptor_is_left_an_agent_is_let_go_in_the_end_and_a_hold_is_tried_on(
    sleepers: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    async def none_left(identity: processes.ProcessIdentity) -> None:
        tried.append(identity.pid)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(processes, "ended", none_left)
    monkeypatch.setattr(holders, "RETRY_S", 0.0)
    owed = Owed()
    async with anyio.create_task_group() as tasks:
        them = Holders(cast("Writer", owed), tasks)
        watch(them, owed, agent("a", sleepers[0]))
        watch(them, owed, WatchProcess("h", sleepers[1].pid, start_of(sleepers[1])))
        await until_async(lambda: tried.count(sleepers[1].pid) > 2 * holders.MOST_RETRIES)
        them.forget("hold", "h")
    assert owed.names == [("unwatched", "a")]
    assert tried.count(sleepers[0].pid) == holders.MOST_RETRIES + 1


@pytest.mark.asyncio
async def test_what_hangs_on_it_no_more_is_not_watched(sleepers: list[subprocess.Popen[bytes]]) -> None:
    """It was registered and forgotten, or acquired and let go, in one commit: that it is gone was heard before this."""
    owed = Owed()
    async with anyio.create_task_group() as tasks:
        them = Holders(cast("Writer", owed), tasks)
        them.watch(agent("gone", sleepers[0]))
        them.watch(WatchProcess("let go", sleepers[0].pid, start_of(sleepers[0])))
        owed.ties(agent("moved", sleepers[1]))
        them.watch(agent("moved", sleepers[0]))
        await anyio.lowlevel.checkpoint()
        assert not them._watches
        watch(them, owed, agent("read anew", sleepers[0]))
        watch(them, owed, agent("stays", sleepers[0]))
        owed.forgets("read anew")
        them.reconcile()
        end(sleepers[0])
    assert owed.names == [("agent", "stays")]


@pytest.mark.asyncio
async def test_of_one_process_there_is_one_watch_however_many_hang_on_it(
    sleepers: list[subprocess.Popen[bytes]],
) -> None:
    owed, count = Owed(), 2_000
    names = [f"a{n:04}" for n in range(count)]
    for name in (*names, "warm"):
        owed.ties(agent(name, sleepers[0]))
    owed.ties(agent("last", sleepers[0]))
    start = start_of(sleepers[0])
    async with anyio.create_task_group() as tasks:
        them = Holders(cast("Writer", owed), tasks)
        them.watch(WatchAgent("warm", sleepers[0].pid, start))
        watch(them, owed, WatchProcess("h", sleepers[0].pid, start))
        await anyio.lowlevel.checkpoint()
        tracemalloc.start()
        for name in names:
            them.watch(WatchAgent(name, sleepers[0].pid, start))
        each_bytes = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
        assert len(them._watches) == 1
        assert each_bytes < 400
        them.forget("agent", "warm")
        end(sleepers[0])
        await until_async(lambda: len(owed.events) > count // 2)
        them.watch(WatchAgent("last", sleepers[0].pid, start))  # while the others are told: it hears of it all the same
    assert owed.names[0] == ("hold", "h")
    assert sorted(owed.names[1:]) == [("agent", name) for name in (*names, "last")]
    assert not them._watches
    assert not them._agent_processes
