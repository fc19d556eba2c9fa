"""What a world still asks for, where it is not known whether it was begun."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from torpord.core import effects as fx
from torpord.core import offering
from torpord.core.agents import Agent, Agents, Card, Seen, Slot, SlotState
from torpord.core.descent import outstanding
from torpord.core.lifecycle import State
from torpord.core.policy import Policy
from torpord.core.runs import Place, Run, Runs, RunStatus
from torpord.core.world import Hold, Holds, Lifecycle, Process, World

UP = World(process=Process(generation=1, ended=False))


def held(**fields: object) -> World:
    hold = Hold("h", "who", "why", 0.0, **fields)  # type: ignore[arg-type]
    return replace(UP, holds=Holds(MappingProxyType({"h": hold})))


def test_an_idle_world_asks_for_nothing() -> None:
    assert outstanding(UP) == ()


@pytest.mark.parametrize("state", [state for state in State if state is not State.HIBERNATION])
def test_a_state_alone_asks_for_nothing(state: State) -> None:
    assert outstanding(replace(UP, lifecycle=Lifecycle(state=state))) == ()


def test_hibernation_asks_for_the_exit_unless_it_is_a_shadow() -> None:
    down = replace(UP, lifecycle=Lifecycle(state=State.HIBERNATION))
    assert outstanding(down) == (fx.GoDown("hibernate"),)
    assert outstanding(replace(down, policy=Policy(shadow_run=True))) == ()


@pytest.mark.parametrize("how", ["stop", "signal"])
def test_a_stop_asks_for_the_exit(how: str) -> None:
    assert outstanding(replace(UP, process=replace(UP.process, leaving=how))) == (fx.GoDown(how),)


def test_a_run_that_has_a_worker_asks_for_it_and_no_other_does() -> None:
    at_work = Run("r", "chain", 0.0, (Place("", "b"),), status=RunStatus.RUNNING, worker=3, workers=3)
    waiting = replace(at_work, run_id="w", status=RunStatus.PENDING, worker=0)
    world = replace(UP, runs=Runs(MappingProxyType({"r": at_work, "w": waiting})))
    assert outstanding(world) == (fx.StartWorker("r", 3),)
    leaving = replace(world, process=replace(UP.process, leaving="stop"))
    assert outstanding(leaving) == (fx.GoDown("stop"),)


def test_a_hold_by_a_process_asks_for_its_watch_and_no_other_does() -> None:
    assert outstanding(held(pid=7, pid_start="99")) == (fx.WatchProcess("h", 7, "99"),)
    assert outstanding(held(connection=3)) == ()
    assert outstanding(held(until_awake_s=9.0)) == ()


def test_an_agent_by_a_process_asks_for_its_watch() -> None:
    tied = Agent("a", card=Card(pid=7, pid_start="99"))
    world = replace(UP, agents=Agents.of([tied, Agent("b")], dict.fromkeys("ab", Seen(0.0, 0.0, 0.0))))
    assert outstanding(world) == (fx.WatchAgent("a", 7, "99"),)
    leaving = replace(world, process=replace(UP.process, leaving="stop"))
    assert outstanding(leaving) == (fx.WatchAgent("a", 7, "99"), fx.GoDown("stop"))


def test_a_wake_command_under_way_asks_for_its_end_and_not_on_the_way_out() -> None:
    offered = Slot("s", "a", "work", 50.0, state=SlotState.OFFERED, offers=1, again_awake_s=60.0)
    planned = Slot("t", "a", "work", 60.0)
    woken = Agent("a", online=False, card=Card(wake_command="come"), slots=("s", "t"), waking="s")
    agents = Agents.of([woken], {"a": Seen(0.0, 0.0, 0.0)}, [offered, planned])
    world = replace(UP, agents=agents)
    assert outstanding(world) == (fx.RunWakeCommand("a", "s"),)
    errand = offering.errand(world, "a", "s")
    assert errand is not None
    assert [slot["slot_id"] for slot in errand.slots] == ["s"]
    leaving = replace(world, process=replace(UP.process, leaving="stop"))
    assert outstanding(leaving) == (fx.GoDown("stop"),)
