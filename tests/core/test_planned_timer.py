"""The service manager's timer: it follows the earliest slot, and before HIBERNATION it is set and looked at anew."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from core.histories import lives_of_agents, tried
from core.life import CLIENT, POLICY, SHELL, Life, effects, kinds, record, started
from core.some_agents import AgentLife, granted
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import records as r
from torpord.core import report
from torpord.core.agents import Status
from torpord.core.deadlines import deadlines
from torpord.core.descent import outstanding
from torpord.core.draft import Decision
from torpord.core.lifecycle import State, Trigger
from torpord.core.planned import ANSWER_S, FRESH_S, LEAST_BETWEEN_S

FAR_S = 86_400.0
REACH_S = POLICY.planned_reach_s
UNIT = {"supervisor": "systemd", "manager": "systemd-user", "unit": "torpord", "timer": "systemd-user"}


def managed(in_s: float | None = FAR_S, **fields: object) -> tuple[Life, AgentLife]:
    """Return a life whose service manager takes timers, with a slot so far ahead."""
    life = started(cause="connect", **{**UNIT, **fields})
    agents = AgentLife(life)
    agents.register()
    if in_s is not None:
        agents.add(in_s=in_s)
    return life, agents


def wished(decision: Decision) -> list[float | None]:
    return [effect.at_ts for effect in effects(decision, fx.ArmWake)]


def follows(life: Life, problem: str = "") -> list[float | None]:
    """Let the timer follow, and say what was wished."""
    wishes = wished(life.pass_("arm_due"))
    life.arms(problem)
    return wishes


def arm_due(life: Life) -> float | None:
    """Return in how many seconds there is something to do about the timer."""
    left = [life.left_s(deadline) for deadline in deadlines(life.world) if deadline.name == "arm_due"]
    return left[0] if left else None


def to_the_end_of_its_cycle(life: Life) -> None:
    """Go down as far as there is nothing left to do."""
    life.advance(10.0)
    life.tell("offline")
    life.do(ev.HibernateWanted(CLIENT, now=False))
    life.load(life.world.cycle.run_id)
    life.cycle_completes()
    life.reach("hibernate_due")
    assert life.state is State.SLEEP


def goes(life: Life) -> Decision:
    return life.do(ev.DeadlinePassed(SHELL, "hibernate_due"))


# Following.


def test_a_slot_is_armed_at_once_and_answered_as_armed() -> None:
    life, agents = managed(None)
    assert granted(agents.add(in_s=FAR_S))["armed"] is True
    assert arm_due(life) is not None
    assert wished(life.pass_("arm_due")) == [agents.slot().due_s]
    assert arm_due(life) == ANSWER_S, "until then an answer is waited for"
    decision = life.arms()
    assert record(decision, "wake_armed") == {"at_ts": agents.slot().due_s, "by": "systemd-user"}
    assert life.world.planned.armed_ts == agents.slot().due_s
    assert arm_due(life) is None


def test_an_earlier_one_moves_it_and_a_later_one_does_not() -> None:
    life, agents = managed()
    follows(life)
    agents.add("later", in_s=2 * FAR_S)
    assert arm_due(life) is None
    life.advance(60.0)
    agents.add("sooner", in_s=60.0)
    assert follows(life) == [agents.slot("sooner").due_s]


def test_it_is_moved_once_in_five_seconds_to_where_it_is_wanted_then() -> None:
    life, agents = managed()
    follows(life)
    for number in range(4):
        life.advance(1.0)
        agents.add(f"t{number}", in_s=3_600.0 - 60.0 * number)
        assert arm_due(life) == LEAST_BETWEEN_S - 1.0 - number
    assert follows(life) == [agents.slot("t3").due_s]


def test_cancelled_or_taken_it_is_disarmed() -> None:
    life, agents = managed()
    follows(life)
    agents.cancel()
    assert wished(life.pass_("arm_due")) == [None]
    assert kinds(life.arms()) == ["wake_disarmed", "wake_rechecked"]
    assert arm_due(life) is None


def test_one_wish_at_a_time_and_another_one_behind_the_answer() -> None:
    life, agents = managed()
    life.pass_("arm_due")
    agents.add("sooner", in_s=60.0)
    assert arm_due(life) == ANSWER_S
    assert goes(life).effects == ()
    life.arms()
    assert follows(life) == [agents.slot("sooner").due_s]


def test_an_answer_to_another_wish_is_none() -> None:
    life, agents = managed()
    life.pass_("arm_due")
    for at_ts in (None, 0.0, agents.slot().due_s + 1.0):
        assert life.do(ev.WakeArmed(SHELL, at_ts)).entries == ()
    assert life.world.planned.asked
    life.arms()
    assert life.do(ev.WakeArmed(SHELL, agents.slot().due_s, "late")).entries == ()


def test_what_is_due_in_a_moment_is_not_armed_but_waited_for() -> None:
    life, agents = managed(in_s=2.0)
    assert wished(life.pass_("arm_due")) == []
    assert arm_due(life) == 2.0
    life.pass_("slots_due")
    assert life.world.wanted_wake_ts is None
    assert arm_due(life) is None
    agents.add("t", in_s=2.5)
    assert follows(life) == [agents.slot("t").due_s]


def test_a_deferred_slot_moves_it() -> None:
    life, agents = managed(in_s=600.0)
    follows(life)
    agents.says(Status.EXHAUSTED, in_s=FAR_S)
    assert follows(life) == [life.world.agents.next_wake_ts]


def test_where_nobody_takes_timers_nothing_is_asked() -> None:
    life, agents = managed(timer="")
    assert arm_due(life) is None
    assert granted(agents.add("t", in_s=60.0))["armed"] is False
    to_the_end_of_its_cycle(life)
    assert wished(goes(life)) == []


# A service manager that does not do as asked.


def test_a_problem_is_recorded_once_and_asked_about_after_growing_pauses() -> None:
    life, agents = managed()
    decisions = []
    pauses = []
    for _ in range(9):
        life.pass_("arm_due")
        decisions.append(life.arms("no runtime directory"))
        pauses.append(arm_due(life))
    at_ts = agents.slot().due_s
    assert record(decisions[0], "wake_not_armed") == {"at_ts": at_ts, "why": "no runtime directory"}
    assert all(kinds(decision) == ["wake_rechecked"] for decision in decisions[1:])
    assert pauses == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0, 3600.0]
    assert record_of(follows_well(life), "wake_armed")
    assert life.world.planned.tries == 0
    assert life.world.planned.problem == ""


def follows_well(life: Life) -> Decision:
    life.pass_("arm_due")
    return life.arms()


def record_of(decision: Decision, kind: str) -> bool:
    return kind in kinds(decision)


def test_a_problem_is_every_slot_s() -> None:
    life, agents = managed()
    follows(life, "no runtime directory")
    assert granted(agents.add("t", in_s=600.0))["armed"] is False
    planned = {"wanted": report.iso(agents.slot("t").due_s), "armed": None, "problem": "no runtime directory"}
    assert report.why(life.world, life.now)["planned"] == planned
    follows(life)
    assert granted(agents.add("u", in_s=60.0))["armed"] is True


def test_no_answer_is_one_that_nothing_was_done() -> None:
    life, _ = managed()
    life.pass_("arm_due")
    decision = life.pass_("arm_due")
    assert "gave no answer" in record(decision, "wake_not_armed")["why"]
    assert not life.world.planned.asked
    assert follows(life) == [life.world.wanted_wake_ts]


def test_a_time_that_came_while_it_was_asked_is_nobody_s_fault() -> None:
    life, agents = managed(in_s=10.0)
    life.pass_("arm_due")
    life.advance(11.0)
    assert kinds(life.arms("a timer of the past")) == ["wake_rechecked"]
    assert life.world.planned.problem == ""
    life.pass_("slots_due")
    agents.add("t", in_s=60.0)
    assert follows(life) == [agents.slot("t").due_s]


def test_what_could_not_be_disarmed_is_tried_again() -> None:
    life, agents = managed()
    follows(life)
    agents.cancel()
    assert follows(life, "no runtime directory") == [None]
    assert arm_due(life) == 60.0
    assert follows(life) == [None]
    assert arm_due(life) is None


# Going down.


def test_it_goes_when_the_timer_was_set_and_looked_at_anew() -> None:
    life, agents = managed()
    follows(life)
    to_the_end_of_its_cycle(life)
    decision = goes(life)
    assert wished(decision) == [agents.slot().due_s]
    assert kinds(decision) == ["wake_asked", "hibernation_rechecked"]
    (reason,) = [each for each in report.why(life.world, life.now)["not_yet_because"] if each["kind"] == "planned"]
    assert "timer" in reason["why"]
    assert "hibernate_due" not in [deadline.name for deadline in life.due()]
    assert kinds(life.arms()) == ["wake_rechecked"], "it is as it was: no news"
    assert effects(life.pass_("hibernate_due"), fx.GoDown) == [fx.GoDown("hibernate")]
    assert report.observed(life.world)["wake_armed"] == report.iso(agents.slot().due_s)


def test_one_that_was_looked_at_in_this_sleep_a_while_ago_is_looked_at_again() -> None:
    life, agents = managed()
    follows(life)
    to_the_end_of_its_cycle(life)
    goes(life)
    life.arms()
    life.do(ev.DeadlinePassed(SHELL, "hibernate_due", forbids_exit=("a file that cannot be removed",)))
    life.advance(FRESH_S + POLICY.hibernate_grace_s)
    assert wished(goes(life)) == [agents.slot().due_s]


def test_what_was_stopped_by_hand_is_seen_before_it_goes() -> None:
    """The shell sets it anew and looks: where that fails, the slot is in reach, and the process stays for it."""
    life, agents = managed(in_s=600.0)
    follows(life)
    to_the_end_of_its_cycle(life)
    goes(life)
    life.arms("has a fragment file")
    decision = life.pass_("hibernate_due")
    (why,) = record(decision, "hibernation_blocked")["by"]
    assert why.startswith(f"a planned wake at {report.iso(agents.slot().due_s)}: ")
    assert why.endswith("the service manager does not take a timer: has a fragment file")
    (reason,) = report.why(life.world, life.now)["not_yet_because"]
    assert reason["kind"] == "planned"
    assert reason["why"].endswith("the service manager does not take a timer: has a fragment file")


def test_it_goes_as_soon_as_a_timer_is_taken() -> None:
    life, _ = managed(in_s=600.0)
    to_the_end_of_its_cycle(life)
    goes(life)
    life.arms("no runtime directory")
    life.pass_("hibernate_due")
    assert life.state is State.SLEEP
    follows(life)
    assert life.pass_("hibernate_due").world.lifecycle.state is State.HIBERNATION


def test_beyond_reach_it_goes_without_after_one_more_try() -> None:
    life, agents = managed(in_s=REACH_S + FAR_S)
    follows(life, "no runtime directory")
    to_the_end_of_its_cycle(life)
    assert wished(goes(life)) == [agents.slot().due_s]
    life.arms("no runtime directory")
    assert life.pass_("hibernate_due").world.lifecycle.state is State.HIBERNATION


def test_an_answer_that_does_not_come_holds_it_for_a_minute() -> None:
    life, _ = managed(in_s=REACH_S + FAR_S)
    to_the_end_of_its_cycle(life)
    since_s = life.now.awake_s
    goes(life)
    while life.state is State.SLEEP:
        life.pass_(life.next_deadline().name)
    assert life.now.awake_s - since_s == ANSWER_S


def test_what_is_due_in_a_moment_keeps_it() -> None:
    life, agents = managed(in_s=600.0)
    follows(life)
    to_the_end_of_its_cycle(life)
    life.advance(agents.slot().due_s - life.now.wall_s - 2.0)
    decision = goes(life)
    (why,) = record(decision, "hibernation_blocked")["by"]
    assert "it is too soon for a timer" in why
    life.pass_("slots_due")
    while life.state is State.SLEEP:
        name = life.next_deadline().name
        life.pass_(name)
        if name == "arm_due" and life.world.planned.asked:
            life.arms()
    assert life.world.planned.armed_ts is None


def test_what_is_wanted_no_more_is_disarmed_before_it_goes() -> None:
    life, agents = managed()
    life.reach("arm_due")
    follows(life)
    agents.cancel()
    life.tell("offline")
    life.do(ev.HibernateWanted(CLIENT, now=True))
    life.all_finish()
    life.advance(POLICY.min_up_s)
    assert wished(goes(life)) == [None]
    life.arms()
    assert life.pass_("hibernate_due").world.lifecycle.state is State.HIBERNATION


def test_somebody_s_touch_ends_the_waiting() -> None:
    life, _ = managed()
    to_the_end_of_its_cycle(life)
    goes(life)
    life.trigger(Trigger.REQUEST_ARRIVED)
    assert life.state is State.WAKE
    life.arms()
    assert arm_due(life) is None


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
