"""The timer of a planned wake over the daemon's ends and starts, steps of the clock, and in every life there may be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from core.histories import lives_of_agents, tried
from core.life import CLIENT, SHELL, Life, kinds
from core.planned import FAR_S, UNIT, arm_due, follows, goes, managed, to_the_end_of_its_cycle, wished
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import records as r
from torpord.core import report
from torpord.core.deadlines import deadlines
from torpord.core.descent import outstanding
from torpord.core.lifecycle import State
from torpord.core.planned import FRESH_S

# Ends and starts.


def test_a_stop_disarms_and_waits_for_nothing() -> None:
    life, _ = managed()
    follows(life)
    decision = life.do(ev.StopWanted(CLIENT, "stop"))
    assert decision.effects == (fx.ArmWake(None), fx.GoDown("stop"))
    assert kinds(life.arms()) == ["wake_disarmed", "wake_rechecked"]
    assert list(deadlines(life.world)) == []


def test_a_stop_takes_the_place_of_a_wish() -> None:
    life, _ = managed()
    life.pass_("arm_due")
    assert wished(life.do(ev.StopWanted(CLIENT, "stop"))) == [None]
    assert outstanding(life.world) == (fx.ArmWake(None), fx.GoDown("stop"))


def test_a_signal_arms_what_was_not_yet() -> None:
    life, agents = managed()
    assert wished(life.do(ev.StopWanted(SHELL, "signal"))) == [agents.slot().due_s]
    assert wished(life.do(ev.StopWanted(CLIENT, "stop"))) == [None], "now it also stays down"


def test_a_signal_asks_for_nothing_that_is_there() -> None:
    life, _ = managed()
    follows(life)
    assert wished(life.do(ev.StopWanted(SHELL, "signal"))) == []
    life, _ = managed(None)
    assert wished(life.do(ev.StopWanted(SHELL, "stop"))) == []


def test_a_start_knows_of_no_timer_and_arms_anew() -> None:
    life, agents = managed()
    follows(life)
    life.do(ev.Leaving(SHELL, "signal"))
    life.start(cause="timer", wake_file=True, **UNIT)
    assert report.observed(life.world)["wake_armed"] is None
    assert follows(life) == [agents.slot().due_s]


def test_a_start_disarms_what_another_one_left() -> None:
    life, _ = managed(None, wake_file=True)
    assert follows(life) == [None]
    assert arm_due(life) is None


def test_a_start_that_nobody_manages_any_more_clears_the_file() -> None:
    life, _ = managed(timer="", wake_file=True)
    assert follows(life) == [None]


def test_a_wish_is_asked_again_where_it_is_not_known_to_be_begun() -> None:
    life, agents = managed()
    assert outstanding(life.world) == ()
    life.pass_("arm_due")
    assert outstanding(life.world) == (fx.ArmWake(agents.slot().due_s),)


@pytest.mark.parametrize("step_s", [-8 * 3600.0, 8 * 3600.0])
def test_a_step_of_the_clock_moves_no_timer(step_s: float) -> None:
    life, agents = managed()
    follows(life)
    life.advance(1.0, step_s)
    life.do(ev.SuspendSeen(SHELL, 60.0, 60.0))
    assert arm_due(life) is None
    to_the_end_of_its_cycle(life)
    assert wished(goes(life)) == [agents.slot().due_s], "and before it goes it is looked at"


def test_a_start_after_a_step_takes_what_is_due_and_arms_the_rest() -> None:
    life, agents = managed()
    agents.add("far", in_s=3 * FAR_S)
    follows(life)
    life.do(ev.Leaving(SHELL, "signal"))
    life.advance(60.0, FAR_S + 8 * 3600.0)
    life.start(cause="timer", wake_file=True, **UNIT)
    life.pass_("slots_due")
    while not life.world.planned.asked:
        life.pass_("arm_due")
    life.arms()
    assert life.world.planned.armed_ts == agents.slot("far").due_s


def test_in_hibernation_only_a_shadow_s_timer_follows() -> None:
    life, agents = managed()
    to_the_end_of_its_cycle(life)
    goes(life)
    life.arms()
    life.pass_("hibernate_due")
    moved = replace(life.world.planned, armed_ts=1.0)
    life.world = replace(life.world, planned=moved)
    assert arm_due(life) is None
    life.world = replace(life.world, policy=replace(life.world.policy, shadow_run=True))
    assert follows(life) == [agents.slot().due_s]


# In every life.


@tried
@given(lives_of_agents)
def test_it_never_hibernates_with_a_wake_that_nobody_would_bring(life: Life) -> None:
    for turn in life.turns:
        world = turn.decision.world
        if world.lifecycle.state is not State.HIBERNATION or turn.before.lifecycle.state is State.HIBERNATION:
            continue
        wake_ts, planned = world.agents.next_wake_ts, turn.before.planned
        if wake_ts is None:
            continue
        if world.process.timer and not planned.problem:
            assert planned.known
            assert not planned.asked
            assert planned.armed_ts == wake_ts
            assert planned.tried_awake_s is not None
            since_s = turn.before.lifecycle.since_awake_s
            assert planned.tried_awake_s >= max(since_s, turn.now.awake_s - FRESH_S)
            assert wake_ts > turn.now.wall_s + 2.0
        else:
            assert wake_ts > turn.now.wall_s + world.policy.planned_reach_s


@tried
@given(lives_of_agents)
def test_no_wish_comes_upon_another_but_at_the_end(life: Life) -> None:
    for turn in life.turns:
        wishes = wished(turn.decision)
        assert len(wishes) <= 1
        if turn.before.planned.asked and not isinstance(turn.event, ev.StopWanted):
            assert wishes == []
        asked = [each.record for each in turn.decision.entries if isinstance(each.record, r.WakeAsked)]
        assert [each.at_ts for each in asked] == wishes


@tried
@given(lives_of_agents)
def test_after_a_quiet_while_it_is_where_it_is_wanted_or_a_problem_is_named(life: Life) -> None:
    if life.world.process.leaving:
        life.start(cause="manual", timer="systemd-user", wake_file=True)
    for _ in range(12):
        due = {deadline.name for deadline in deadlines(life.world)}
        if "slots_due" in due and (life.world.agents.next_wake_ts or 0.0) <= life.now.wall_s + 2.0:
            life.pass_("slots_due")
        elif life.world.planned.asked:
            life.arms()
        elif "arm_due" in due:
            life.pass_("arm_due")
        else:
            break
    if life.state is not State.HIBERNATION or life.world.policy.shadow_run:
        assert not life.world.planned.differs(life.world.wanted_wake_ts)
        assert life.world.planned.problem == ""
