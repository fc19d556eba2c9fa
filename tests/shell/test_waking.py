"""Wake commands are run once for each time that they are decided, whatever the store says of it and when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import anyio
import orjson
import pytest

from torpord.core.agent_events import WakeCommandEnded
from torpord.core.agents import MOST_WAKING, Agent, Agents, Card, Seen, Slot, SlotState
from torpord.core.effects import RunWakeCommand
from torpord.core.events import Event
from torpord.core.world import World
from torpord.shell import waking
from torpord.shell.waking import Waking
from torpord.writer import Writer
from waiting import until_async


@dataclass
class Owed:
    """Stands for the writer: keeps what it is owed, and a world in which agents are woken."""

    world: World = field(default_factory=World)
    events: list[Event] = field(default_factory=list)

    def owe(self, event: Event) -> None:
        self.events.append(event)

    def wakes(
        self,
        slot_id: str | None,
        command: str | tuple[str, ...] | None = None,
        agent_id: str = "a",
        payload: str | None = None,
    ) -> RunWakeCommand:
        """Let the world say for which slot an agent is woken, and by which command; returns what asks for that."""
        slots = {each.slot_id: each for each in self.world.agents.slots.values() if each.agent_id != agent_id}
        if slot_id is not None:
            offered = Slot(slot_id, agent_id, "work", 0.0, payload=payload, state=SlotState.OFFERED, again_awake_s=60.0)
            slots[slot_id] = offered
        mine = tuple(each.slot_id for each in slots.values() if each.agent_id == agent_id)
        agent = Agent(agent_id, online=False, card=Card(wake_command=command), slots=mine, waking=slot_id)
        agents = {**dict(self.world.agents.by_id.items()), agent_id: agent}
        seen = dict.fromkeys(agents, Seen(0.0, 0.0, 0.0))
        self.world = replace(self.world, agents=Agents.of(agents.values(), seen, slots.values()))
        return RunWakeCommand(agent_id, slot_id or "")


def told(owed: Owed) -> list[tuple[str, str, str]]:
    assert all(isinstance(event, WakeCommandEnded) for event in owed.events)
    return [(event.agent_id, event.slot_id, event.problem) for event in cast("list[Any]", owed.events)]


@pytest.mark.asyncio
async def test_asked_again_it_is_run_once_until_its_end_is_durable(tmp_path: Path) -> None:
    owed, out = Owed(), tmp_path / "out"
    command = f"echo x >> {out}"
    run = owed.wakes("s", command)
    async with anyio.create_task_group() as tasks:
        them = Waking(cast("Writer", owed), tasks, {})
        them.start(run)
        them.start(run)
        await until_async(lambda: owed.events)
        them.start(run)  # the store was read anew, and does not know yet that it ended
        them.reconcile()
        them.start(run)
        them.forget("a")
        them.start(run)  # decided once more: the slot is offered again
        await until_async(lambda: len(owed.events) == 2)
        owed.wakes(None)
        them.reconcile()  # its end was in the store that was read anew
        owed.wakes("s", command)
        them.start(run)
        await until_async(lambda: len(owed.events) == 3)
    assert out.read_text() == "x\n" * 3
    assert told(owed) == [("a", "s", "")] * 3


@pytest.mark.asyncio
async def test_who_does_not_read_what_it_is_told_holds_nobody_up(tmp_path: Path) -> None:
    owed, pid = Owed(), tmp_path / "pid"
    stays = f"exec 3<&0; sleep 600 <&3 & echo $! > {pid}"  # its standard input stays open, and full
    large = owed.wakes("s", stays, payload=orjson.dumps("x" * 1_000_000).decode())
    async with anyio.create_task_group() as tasks:
        Waking(cast("Writer", owed), tasks, {}).start(large)
        await until_async(lambda: owed.events, limit_s=waking.LIMIT_S / 4)
    os.kill(int(pid.read_text()), signal.SIGKILL)  # it went on
    assert told(owed) == [("a", "s", "")]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "command",
    [
        "nul \0 in it",
        ("/bin/echo", "nul \0 in it"),
        ("nul \0",),
        ("",),
        (),
        ("/etc/passwd",),
        ("no such program",),
        ("/",),
    ],
)
async def test_what_cannot_be_started_is_a_problem_of_its_own(command: str | tuple[str, ...]) -> None:
    owed = Owed()
    async with anyio.create_task_group() as tasks:
        Waking(cast("Writer", owed), tasks, {}).start(owed.wakes("s", command))
        await until_async(lambda: owed.events)
    assert "cannot be started" in told(owed)[0][2]


@pytest.mark.asyncio
async def test_one_that_waits_for_its_turn_does_what_the_world_has_of_it_then(tmp_path: Path) -> None:
    """Those before it are of agents that were forgotten: the world has their places, and they still run."""
    owed, out = Owed(), tmp_path / "out"
    gate = tmp_path / "gate"
    async with anyio.create_task_group() as tasks:
        them = Waking(cast("Writer", owed), tasks, {})
        for n in range(MOST_WAKING):
            runs = f"touch {tmp_path}/begun{n}; while [ ! -e {gate} ]; do sleep 0.02; done"
            them.start(owed.wakes(f"of-b{n}", runs, f"b{n}"))
        await until_async(lambda: len(list(tmp_path.glob("begun*"))) == MOST_WAKING)
        owed.world = World()
        them.reconcile()
        asked = {name: owed.wakes(f"of-{name}", f"echo {name} >> {out}", name) for name in ("gone", "back", "other")}
        for each in asked.values():
            them.start(each)
        await until_async(lambda: len(them._asked) == 3)
        owed.wakes(None, "false", "gone")
        owed.wakes("another", f"echo $TORPOR_SLOT_ID >> {out}; cat >> {out}", "other")
        agents = owed.world.agents
        other = agents.by_id["other"]
        owed.world = replace(owed.world, agents=agents.with_agent(other, replace(other, waking="of-other")))
        gate.touch()
        await until_async(lambda: len(owed.events) == MOST_WAKING + 3)
    assert ("gone", "of-gone", "") in told(owed), "it was not run, and has ended all the same"
    lines = out.read_text().splitlines()
    assert {line for line in lines if not line.startswith("{")} == {"back", "another"}
    (stdin,) = [orjson.loads(line) for line in lines if line.startswith("{")]
    assert [slot["slot_id"] for slot in stdin["slots"]] == ["another"], "of what is offered now"
    assert ("other", "of-other", "") in told(owed), "and it ends as what it was begun for"


@pytest.mark.asyncio
async def test_what_it_leaves_behind_lives_on_and_its_guardian_does_not(tmp_path: Path) -> None:
    owed, pids = Owed(), tmp_path / "pids"
    text = f"sleep 600 & echo $! > {pids}"
    async with anyio.create_task_group() as tasks:
        Waking(cast("Writer", owed), tasks, {}).start(owed.wakes("s", text))
        await until_async(lambda: owed.events)
    agent = int(pids.read_text().split()[0])
    try:
        group = os.getpgid(agent)
        await until_async(lambda: members(group) == [agent], what="the guardian's end")
    finally:
        os.kill(agent, signal.SIGKILL)
    assert told(owed) == [("a", "s", "")]


@pytest.mark.asyncio
async def test_a_command_finds_itself_as_it_was_given(tmp_path: Path) -> None:
    """Its arguments, a session and group of its own; no child that it did not start, and no open file of ours."""
    owed, out = Owed(), tmp_path / "out"
    listed = "[int(n) for n in os.listdir('/dev/fd') if os.path.exists(f'/dev/fd/{n}')]"
    program = f"""
import os, sys
try:
    os.wait()
except ChildProcessError:
    own = os.getpid() == os.getsid(0) == os.getpgrp()
    found = repr((own, os.fstat(1) == os.fstat(2), {listed}, sys.argv[1:]))
    open({str(out)!r}, "w").write(found)
"""
    command = (sys.executable.rpartition("/")[2], "-c", program, "a b", "$HOME", "", "-x")
    environment = {"PATH": str(Path(sys.executable).parent)}
    async with anyio.create_task_group() as tasks:
        Waking(cast("Writer", owed), tasks, environment).start(owed.wakes("s", command))
        await until_async(lambda: owed.events)
    assert told(owed) == [("a", "s", "")]
    assert out.read_text() == repr((True, True, [0, 1, 2], ["a b", "$HOME", "", "-x"]))


def members(group: int) -> list[int]:
    """Return the processes of a group, as ps(1) finds them."""
    found = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in found.splitlines()]
    return [int(pid) for pid, pgid, stat in rows if int(pgid) == group and not stat.startswith("Z")]
