"""Wake commands are run once for each time that they are decided, whatever the store says of it and when."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from torpord.core import effects as fx
from torpord.core.agent_events import WakeCommandEnded
from torpord.core.agents import Agent, Agents, Card, Seen
from torpord.core.events import Event
from torpord.core.world import World
from torpord.shell import waking
from torpord.shell.waking import Waking
from torpord.writer import Writer
from waiting import until_async


@dataclass
class Owed:
    """Stands for the writer: keeps what it is owed."""

    world: World = field(default_factory=World)
    events: list[Event] = field(default_factory=list)

    def owe(self, event: Event) -> None:
        self.events.append(event)

    def wakes(self, slot_id: str | None) -> None:
        """Let the world say for which slot the agent is woken."""
        agent = Agent("a", online=False, card=Card(wake_command="x"), waking=slot_id)
        self.world = replace(World(), agents=Agents.of([agent], {"a": Seen(0.0, 0.0, 0.0)}))


def effect(command: str, slot_id: str = "s", agent_id: str = "a") -> fx.RunWakeCommand:
    return fx.RunWakeCommand(agent_id, slot_id, command, ())


def told(owed: Owed) -> list[tuple[str, str, str]]:
    assert all(isinstance(event, WakeCommandEnded) for event in owed.events)
    return [(event.agent_id, event.slot_id, event.problem) for event in cast("list[Any]", owed.events)]


@pytest.mark.asyncio
async def test_asked_again_it_is_run_once_until_its_end_is_durable(tmp_path: Path) -> None:
    owed, out = Owed(), tmp_path / "out"
    run = effect(f"echo x >> {out}")
    async with anyio.create_task_group() as tasks:
        them = Waking(cast("Writer", owed), tasks, {})
        them.start(run)
        them.start(run)
        await until_async(lambda: owed.events)
        them.start(run)  # the store was read anew, and does not know yet that it ended
        owed.wakes("s")
        them.reconcile()
        them.start(run)
        them.forget("a")
        them.start(run)  # decided once more: the slot is offered again
        await until_async(lambda: len(owed.events) == 2)
        owed.wakes(None)
        them.reconcile()  # its end was in the store that was read anew
        them.start(run)
        await until_async(lambda: len(owed.events) == 3)
    assert out.read_text() == "x\n" * 3
    assert told(owed) == [("a", "s", "")] * 3


@pytest.mark.asyncio
async def test_who_does_not_read_what_it_is_told_holds_nobody_up(tmp_path: Path) -> None:
    owed, pid = Owed(), tmp_path / "pid"
    stays = f"exec 3<&0; sleep 600 <&3 & echo $! > {pid}"  # its standard input stays open, and full
    large = fx.RunWakeCommand("a", "s", stays, ({"payload": "x" * 1_000_000},))
    async with anyio.create_task_group() as tasks:
        Waking(cast("Writer", owed), tasks, {}).start(large)
        await until_async(lambda: owed.events, limit_s=waking.LIMIT_S / 4)
    os.kill(int(pid.read_text()), signal.SIGKILL)  # it went on
    assert told(owed) == [("a", "s", "")]


@pytest.mark.asyncio
@pytest.mark.parametrize("command", ["nul \0 in it", ("/bin/echo", "nul \0 in it"), ("",), ()])
async def test_what_cannot_be_started_is_a_problem_of_its_own(command: str | tuple[str, ...]) -> None:
    owed = Owed()
    async with anyio.create_task_group() as tasks:
        Waking(cast("Writer", owed), tasks, {}).start(fx.RunWakeCommand("a", "s", command, ()))
        await until_async(lambda: owed.events)
    assert "cannot be started" in told(owed)[0][2]
