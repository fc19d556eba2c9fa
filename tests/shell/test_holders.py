"""Watched processes: one watch for each hold and agent, of the process it hangs on now, and not more than may be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any, cast

import anyio
import pytest

from torpord.core.agent_events import AgentProcessEnded, AgentProcessUnwatched
from torpord.core.effects import WatchAgent, WatchProcess
from torpord.core.events import Event, HolderEnded
from torpord.host import processes
from torpord.shell import holders
from torpord.shell.holders import Holders
from torpord.writer import Writer
from waiting import until_async


class Owed:
    """Stands for the writer: keeps what it is owed."""

    def __init__(self) -> None:
        self.events: list[Event] = []

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


def end(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()


@pytest.mark.asyncio
async def test_a_hold_and_an_agent_of_one_name_are_two(sleepers: list[subprocess.Popen[bytes]]) -> None:
    owed = Owed()
    async with anyio.create_task_group() as tasks:
        them = Holders(cast("Writer", owed), tasks)
        them.watch(WatchProcess("x", sleepers[0].pid, start_of(sleepers[0])))
        them.watch(agent("x", sleepers[1]))
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
            them.watch(agent("x", sleeper))
        them.watch(agent("forgotten", sleepers[1]))
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
            them.watch(agent(name, sleepers[0]))  # of one process there may be any number
        them.watch(agent("c", sleepers[1]))
        end(sleepers[1])
        end(sleepers[0])
    assert sorted(owed.names) == [("agent", "a"), ("agent", "b"), ("unwatched", "c")]
    assert owed.names[0] == ("unwatched", "c"), "the core hears of it at once"
    async with anyio.create_task_group() as tasks:
        them = Holders(cast("Writer", owed), tasks)
        them.watch(agent("a", sleepers[2]))
        them.forget("agent", "a")
        them.watch(agent("b", sleepers[2]))  # there is room again
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
        them.watch(agent("a", sleepers[0]))
        them.watch(WatchProcess("h", sleepers[1].pid, start_of(sleepers[1])))
        await until_async(lambda: tried.count(sleepers[1].pid) > 2 * holders.MOST_RETRIES)
        them.forget("hold", "h")
    assert owed.names == [("unwatched", "a")]
    assert tried.count(sleepers[0].pid) == holders.MOST_RETRIES + 1
