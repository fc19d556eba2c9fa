"""The service manager's timer: it follows the earliest slot, and before HIBERNATION it is set and looked at anew."""

from __future__ import annotations

from core.life import CLIENT, POLICY, SHELL, effects, kinds, record
from core.planned import (
    FAR_S,
    REACH_S,
    arm_due,
    follows,
    follows_well,
    goes,
    managed,
    record_of,
    to_the_end_of_its_cycle,
    wished,
)
from core.some_agents import granted
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import report
from torpord.core.agents import Status
from torpord.core.lifecycle import State, Trigger
from torpord.core.planned import ANSWER_S, FRESH_S, LEAST_BETWEEN_S

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
