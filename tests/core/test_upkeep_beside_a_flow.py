"""A sleep with a flow of the user's own: the upkeep of the own store is done before it, and keeps it from nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from core.histories import lives, lives_of_runs, tried
from core.life import POLICY, SHELL, Life, at, kinds, record
from torpord.core import events as ev
from torpord.core import records as r
from torpord.core import report
from torpord.core.cycle_due import flows
from torpord.core.deadlines import deadlines
from torpord.core.lifecycle import State, Trigger
from torpord.core.runs import RunStatus

HOUR_S = 3_600.0
OWN = replace(POLICY, sleep_flow="chain")
BLOCKED = ("no wake path is known to work",)


def asleep(**policy: object) -> Life:
    """Return a life that has just fallen asleep with a flow of its own."""
    life = at(State.DROWSY, replace(OWN, **policy))  # type: ignore[arg-type]
    life.pass_("sleep_due")
    return life


def sleeps_again(life: Life) -> list[str]:
    life.trigger(Trigger.REQUEST_ARRIVED)
    return kinds(life.trigger(Trigger.FORCE_SLEEP))


def begun(life: Life) -> list[str]:
    """Name the flows of the cycles that were begun, in order."""
    return [entry.record.flow for entry in life.entries if isinstance(entry.record, r.SleepCycleStarted)]


def test_the_upkeep_goes_first_and_the_flow_behind_it() -> None:
    life = asleep()
    assert life.world.cycle.flow == "housekeeping"
    life.cycle_completes()
    assert kinds(life.turns[-1].decision)[-3:] == ["run_created", "sleep_cycle_started", "run_started"]
    assert life.world.cycle.flow == "chain"
    assert [deadline.name for deadline in deadlines(life.world)] == [], "it is not done yet"
    life.cycle_completes()
    assert begun(life) == ["housekeeping", "chain"]
    assert life.world.cycle.phase == "ended"
    assert [deadline.name for deadline in life.due()] == ["hibernate_due"]
    assert (report.last_cycle(life.world) or {})["flow"] == "chain"
    assert (report.last_upkeep(life.world) or {})["flow"] == "housekeeping"


def test_each_has_an_interval_of_its_own() -> None:
    life = asleep()
    life.cycle_completes()
    life.advance(HOUR_S)
    life.cycle_completes()
    life.advance(3 * HOUR_S)
    sleeps_again(life)
    assert begun(life) == ["housekeeping", "chain", "housekeeping"]
    life.cycle_completes()
    assert life.world.cycle.phase == "ended", "the other one is not due yet"
    life.advance(HOUR_S)
    sleeps_again(life)
    assert begun(life)[3:] == ["chain"]


def test_with_the_upkeep_alone_it_is_done_once() -> None:
    life = at(State.SLEEP, replace(POLICY, sleep_min_interval_s=0.0))
    life.cycle_completes()
    assert begun(life) == ["housekeeping"]
    assert life.world.cycle.phase == "ended"


def test_without_an_interval_neither_comes_twice_in_a_row() -> None:
    life = asleep(sleep_min_interval_s=0.0)
    life.cycle_completes()
    life.cycle_completes()
    assert begun(life) == ["housekeeping", "chain"]
    life.pass_("hibernate_due", forbids_exit=BLOCKED)
    for _ in range(2):
        before_s = life.now.awake_s
        life.pass_("cycle_due")
        assert life.now.awake_s - before_s == 600.0
        life.cycle_completes()
        life.cycle_completes()
    assert begun(life) == ["housekeeping", "chain"] * 3


@pytest.mark.parametrize("failing", ["housekeeping", "chain"])
def test_a_failure_of_one_is_not_the_other_s(failing: str) -> None:
    life = asleep()
    if failing == "chain":
        life.cycle_completes()
    life.step_fails()
    if failing == "housekeeping":
        assert life.world.cycle.flow == "chain"
        life.cycle_completes()
    known = life.world.cycle.of(failing)
    assert (known.failures, known.failed_step) == (1, "trim" if failing == "housekeeping" else "a")
    assert known.run_id in life.world.runs.live
    other = life.world.cycle.of("chain" if failing == "housekeeping" else "housekeeping")
    assert (other.failures, other.run_id) == (0, "")
    assert other.completed_ts is not None
    life.advance(600.0)
    assert "run_retried" in sleeps_again(life)
    assert life.world.cycle.run_id == known.run_id
    life.cycle_completes()
    assert life.world.cycle.of(failing).failures == 0


def test_a_quarantine_of_the_upkeep_keeps_the_flow_from_nothing_and_is_shown() -> None:
    life = asleep(sleep_min_interval_s=0.0)
    for _ in range(3):
        life.step_fails()
        life.cycle_completes()
        life.advance(3_000.0)
        if life.world.cycle.of("housekeeping").quarantine_until_ts is None:
            sleeps_again(life)
    shown = report.quarantine(life.world) or {}
    assert (shown["flow"], shown["step"], shown["failures"]) == ("housekeeping", "trim", 3)
    assert sleeps_again(life)[-2:] == ["sleep_cycle_started", "run_started"]
    assert life.world.cycle.flow == "chain"
    decision = life.order("retry", life.world.cycle.of("housekeeping").run_id)
    assert record(decision, "quarantine_lifted") == {"step": "trim", "flow": "housekeeping"}
    assert report.quarantine(life.world) is None


def test_a_request_interrupts_either_and_it_goes_on_first() -> None:
    life = asleep()
    life.cycle_completes()
    own = life.world.cycle.run_id
    life.step_ends()
    life.trigger(Trigger.REQUEST_ARRIVED)
    life.ends(own)
    assert life.of(own).status is RunStatus.PENDING
    life.trigger(Trigger.FORCE_SLEEP)
    assert life.world.cycle.run_id == own
    assert begun(life) == ["housekeeping", "chain", "chain"]


def test_what_still_ends_its_step_is_waited_for_before_the_other_begins() -> None:
    life = asleep(sleep_min_interval_s=0.0)
    life.cycle_completes()
    own = life.world.cycle.run_id
    life.load(own)
    life.trigger(Trigger.REQUEST_ARRIVED)
    life.trigger(Trigger.FORCE_SLEEP)
    assert life.world.cycle.run_id == own, "its worker is there: the upkeep comes behind it"
    life.ends(own)
    life.cycle_completes()
    life.all_finish()
    assert begun(life) == ["housekeeping", "chain", "chain"]


def test_a_crash_between_the_two_goes_on_with_the_second() -> None:
    life = asleep()
    life.cycle_completes()
    own = life.world.cycle.run_id
    life.step_ends()
    life.start(cause="crash")
    assert life.world.cycle.run_id == own
    life.cycle_completes()
    assert begun(life) == ["housekeeping", "chain", "chain"]


def test_settings_that_come_in_a_sleep_that_lasts_begin_their_flow_at_once() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    life.pass_("hibernate_due", forbids_exit=BLOCKED)
    life.do(ev.SettingsRead(SHELL, OWN, ("sleep.flow",), by_request=False))
    assert "cycle_due" in [deadline.name for deadline in life.due()]
    life.pass_("cycle_due")
    assert life.world.cycle.flow == "chain"


def test_one_that_is_in_the_settings_no_more_owes_nothing_when_it_comes_back() -> None:
    life = asleep()
    life.cycle_completes()
    life.step_fails()
    gone = life.world.cycle.run_id
    for flow in ("one", "chain"):
        life.do(ev.SettingsRead(SHELL, replace(OWN, sleep_flow=flow), ("sleep.flow",), by_request=False))
        sleeps_again(life)
        assert life.world.cycle.flow == flow
        assert life.world.cycle.failures == 0
        life.cycle_completes()
    assert gone not in life.world.runs.live


def test_hibernation_at_once_begins_neither() -> None:
    life = asleep()
    life.do(ev.HibernateWanted(SHELL, now=True))
    life.all_finish()
    assert begun(life) == ["housekeeping"]
    life.pass_("hibernate_due")
    assert life.state is State.HIBERNATION


@tried
@given(lives | lives_of_runs)
def test_one_cycle_runs_at_a_time_and_each_run_of_it_is_known(life: Life) -> None:
    for turn in life.turns:
        world = turn.decision.world
        unfinished = {run.run_id for run in world.runs.live.values() if run.cycle}
        assert unfinished <= set(world.cycle.run_ids)
        assert len(world.cycle.others) <= 1
        at_work = [run for run in world.runs.live.values() if run.cycle and run.worker and not run.stopping]
        assert len(at_work) <= 1
        if world.cycle.phase == "running":
            (now,) = {run.flow for run in at_work} or {world.cycle.flow}
            assert now == world.cycle.flow


@tried
@given(lives)
def test_no_sleep_ends_with_a_flow_that_was_never_done_and_could_be(life: Life) -> None:
    for turn in life.turns:
        world = turn.decision.world
        if world.lifecycle.state is not State.HIBERNATION or turn.before.lifecycle.state is State.HIBERNATION:
            continue
        if turn.before.lifecycle.wish == "now":
            continue
        for flow in flows(world.policy):
            known = world.cycle.of(flow)
            tried_ = known.completed_ts is not None or known.failures or known.run_id or known.retry_ts is not None
            assert tried_ or any(  # the settings were read, or its run was cancelled, since it could begin
                isinstance(each.event, ev.SettingsRead) or "run_cancelled" in kinds(each.decision)
                for each in life.turns
            )
