"""Planned wakes: a slot that nothing could bring the daemon back for keeps it in SLEEP, if it is due within reach."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.life import Life, at, kinds, record, started
from core.some_agents import WAKE_UP, AgentLife, told
from torpord.core import report
from torpord.core.agents import SlotState, Status
from torpord.core.decide import decide
from torpord.core.events import DeadlinePassed, HibernateWanted
from torpord.core.lifecycle import State

REACH_S = 3600.0


def asleep(*, in_s: float, command: bool = False) -> tuple[Life, AgentLife]:
    """Return a life whose cycle is done in SLEEP, and that has a slot of an offline agent so far ahead of that."""
    life = started()
    agents = AgentLife(life)
    agents.register(**({"wake_command": WAKE_UP} if command else {}))
    agents.says(Status.OFFLINE)
    # From its last request on it takes `drowsy_after`, `sleep_after` after it, and no time for its cycle.
    agents.add(in_s=life.world.policy.sleep_after_s + in_s)
    life.pass_("drowsy_due")
    life.pass_("sleep_due")
    life.load(life.world.cycle.run_id)
    life.cycle_completes()
    assert life.state is State.SLEEP
    assert agents.slot().due_s - life.now.wall_s == in_s
    return life, agents


def hibernates(life: Life) -> bool:
    life.pass_("hibernate_due")
    return life.state is State.HIBERNATION


def test_it_is_told_as_the_next_wake() -> None:
    life, agents = asleep(in_s=REACH_S)
    assert life.world.agents.next_wake_ts == agents.slot().due_s
    agents.add("sooner", in_s=10)
    assert life.world.agents.next_wake_ts == agents.slot("sooner").due_s
    agents.cancel("sooner")
    agents.cancel()
    assert life.world.agents.next_wake_ts is None


@pytest.mark.parametrize("in_s", [1.0, 600.0, REACH_S])
def test_within_reach_it_stays_in_sleep_and_says_why(in_s: float) -> None:
    life, agents = asleep(in_s=in_s)
    decision = life.pass_("hibernate_due")
    assert life.state is State.SLEEP
    (why,) = record(decision, "hibernation_blocked")["by"]
    assert "slot s of a" in why
    assert report.iso(agents.slot().due_s) in why
    assert life.world.sleep.blocked_recheck_awake_s == life.now.awake_s + in_s  # not every minute: nothing changes
    assert life.due() == []
    life.pass_("slots_due")
    assert agents.state() is SlotState.WAITING  # nobody can be told, and so nobody is waited for
    decision = life.pass_("hibernate_due")
    assert record(decision, "hibernation_blocked")["by"] == ()
    assert life.state is State.HIBERNATION


def test_beyond_reach_it_goes_and_the_slot_is_taken_up_at_the_next_start() -> None:
    life, agents = asleep(in_s=REACH_S + 1)
    assert hibernates(life)
    life.advance(2 * REACH_S)
    life.start()
    life.pass_("slots_due")
    assert agents.state() is SlotState.WAITING
    assert told(agents.beat()) == ["s"]


def test_reach_is_a_setting() -> None:
    life, _ = asleep(in_s=REACH_S)
    life.world = replace(life.world, policy=replace(life.world.policy, planned_reach_s=REACH_S - 1))
    assert hibernates(life)


def test_asking_for_hibernation_is_no_exception() -> None:
    life, agents = asleep(in_s=600)
    life.do(HibernateWanted({}, now=True))
    assert not hibernates(life)
    agents.cancel()
    life.do(HibernateWanted({}, now=True))
    life.all_finish()
    assert hibernates(life)


def test_what_else_forbids_it_is_looked_at_as_often_as_ever() -> None:
    life, _ = asleep(in_s=REACH_S)
    decision = life.pass_("hibernate_due", forbids_exit=("a file that cannot be removed",))
    by = record(decision, "hibernation_blocked")["by"]
    assert by[0] == "a file that cannot be removed"
    assert "planned wake" in by[1]
    again_s = life.world.sleep.blocked_recheck_awake_s
    assert again_s is not None
    assert again_s - life.now.awake_s == life.world.policy.hibernate_grace_s


def test_a_wake_that_moves_is_looked_at_at_once() -> None:
    """Put off by a recovery that is far away, it is out of reach: the daemon need not stay for where it was."""
    life, agents = asleep(in_s=600)
    life.pass_("hibernate_due")
    assert life.world.sleep.blocked_recheck_awake_s is not None
    # As a deadline would move it, without a request that wakes.
    from torpord.core import agent_records as ar
    from torpord.core.draft import Draft

    draft = Draft(life.world, life.now, {})
    draft.record(ar.SlotDeferred("a", "s", agents.slot().due_s + 2 * REACH_S))
    life.world = draft.world
    assert life.world.sleep.blocked_recheck_awake_s is None
    assert hibernates(life)


def test_the_clock_set_back_lets_it_go_when_it_looks_again() -> None:
    life, _ = asleep(in_s=600)
    life.pass_("hibernate_due")
    life.advance(0, -8 * 3600)
    assert hibernates(life)


def test_the_clock_set_forward_makes_it_due() -> None:
    life, agents = asleep(in_s=600)
    life.pass_("hibernate_due")
    life.advance(1, 3 * 3600)
    assert [deadline.name for deadline in life.due()] == ["slots_due"]
    life.pass_("slots_due")
    assert agents.state() is SlotState.WAITING


def test_over_a_suspend_it_is_due_when_the_machine_is_back() -> None:
    life, _ = asleep(in_s=600)
    life.pass_("hibernate_due")
    life.advance(0, 9 * 3600)
    assert "slots_due" in [deadline.name for deadline in life.due()]


def test_its_command_runs_in_sleep_and_what_it_brings_wakes() -> None:
    life, agents = asleep(in_s=600, command=True)
    life.pass_("hibernate_due")
    life.pass_("slots_due")
    assert life.state is State.SLEEP
    assert life.world.busy
    assert all(deadline.name != "hibernate_due" for deadline in life.due())
    decision = agents.register()
    assert "state_transition" in kinds(decision)
    assert life.state is State.WAKE
    assert told(decision) == ["s"]


def test_one_that_brings_nobody_keeps_nobody_awake() -> None:
    life, agents = asleep(in_s=600, command=True)
    life.pass_("slots_due")
    agents.woken()
    assert life.world.agents.next_wake_ts is None  # it is offered again, while the daemon is there
    assert hibernates(life)


def test_an_exhausted_agent_s_slot_is_a_wake_at_its_recovery() -> None:
    life = started()
    agents = AgentLife(life)
    agents.register()
    agents.add(in_s=60)
    agents.says(Status.EXHAUSTED, in_s=1800 + REACH_S)
    assert life.world.agents.next_wake_ts == life.now.wall_s + 1800 + REACH_S


def test_recoveries_and_time_outs_alone_plan_none() -> None:
    life = at(State.SLEEP)
    agents = AgentLife(life)
    agents.register()
    agents.says(Status.EXHAUSTED, in_s=60)
    assert life.world.agents.next_wake_ts is None


def test_hibernation_is_never_entered_with_a_wake_in_reach() -> None:
    """By whatever event: of the deadlines only one enters it, and that one looks."""
    life, _ = asleep(in_s=600)
    for deadline in ("hibernate_due", "slots_due", "presence_due", "drowsy_due", "cycle_due"):
        for later_s in (0.0, 300.0, 599.0):
            now = replace(life.now, awake_s=life.now.awake_s + later_s, wall_s=life.now.wall_s + later_s)
            decision = decide(life.world, DeadlinePassed({}, deadline), now)
            assert decision.world.lifecycle.state is not State.HIBERNATION
