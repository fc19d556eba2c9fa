"""A SLEEP that lasts, because there is no way back: its cycles come when they are due, and never one upon the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.life import CLIENT, POLICY, SHELL, Life, asleep_with, at, kinds, record, started
from torpord.core import events as ev
from torpord.core import run_events as re
from torpord.core.deadlines import deadlines
from torpord.core.lifecycle import State, Trigger
from torpord.core.runs import CYCLE_PATIENCE_S, RunStatus

HOUR_S = 3_600.0
DAY_S = 86_400.0
BLOCKED = ("no wake path is known to work",)


def stays(life: Life) -> Life:
    """Let it find that it must stay."""
    life.pass_("hibernate_due", forbids_exit=BLOCKED)
    assert life.state is State.SLEEP
    return life


def other_settings(life: Life, **changes: object) -> None:
    life.do(ev.SettingsRead(SHELL, replace(life.world.policy, **changes), ("x",), by_request=False))  # type: ignore[arg-type]


def cycle_due(life: Life) -> float | None:
    """Return in how many seconds the next cycle begins by itself."""
    left = [life.left_s(deadline) for deadline in deadlines(life.world) if deadline.name == "cycle_due"]
    return left[0] if left else None


def test_the_next_cycle_begins_after_min_interval() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    stays(life)
    life.advance(100.0)
    assert cycle_due(life) == 4 * HOUR_S - 100.0
    assert kinds(life.pass_("cycle_due")) == ["run_created", "sleep_cycle_started", "run_started"]
    life.cycle_completes()
    assert cycle_due(life) == 4 * HOUR_S


def test_where_both_are_due_it_goes_down() -> None:
    life = at(State.SLEEP, replace(POLICY, sleep_min_interval_s=0.0))
    life.cycle_completes()
    life.advance(DAY_S)
    assert [deadline.name for deadline in life.due()] == ["hibernate_due", "cycle_due"]


def test_without_an_interval_there_are_ten_minutes_between() -> None:
    life = at(State.SLEEP, replace(POLICY, sleep_min_interval_s=0.0))
    life.cycle_completes()
    assert cycle_due(stays(life)) == 600.0


def test_a_failed_cycle_is_tried_again_and_one_in_quarantine_when_that_is_over() -> None:
    life = at(State.SLEEP)
    for wait_s in (600.0, 1_200.0):
        life.step_fails()
        assert cycle_due(stays(life)) == wait_s
        assert kinds(life.pass_("cycle_due")) == ["run_retried", "sleep_cycle_started", "run_started"]
    life.step_fails()
    assert cycle_due(stays(life)) == DAY_S
    assert kinds(life.pass_("cycle_due"))[0] == "quarantine_lifted"
    life.cycle_completes()


def test_a_near_attempt_is_waited_for_with_its_worker() -> None:
    life = at(State.SLEEP)
    worker = life.cycle_worker()
    life.ends(worker.run_id, outcome={"retry_after_s": 5.0})
    assert life.world.cycle.phase == "running"
    assert [deadline.name for deadline in deadlines(life.world)] == ["retry_due"]
    assert kinds(life.pass_("retry_due")) == ["step_started"]
    life.cycle_completes()


def test_a_less_near_attempt_is_waited_for_without_one() -> None:
    life = at(State.SLEEP)
    worker = life.cycle_worker()
    life.ends(worker.run_id, outcome={"retry_after_s": CYCLE_PATIENCE_S})
    assert life.world.cycle.phase == "running"
    assert life.of(worker.run_id).worker == 0
    assert kinds(life.pass_("retry_due")) == ["run_started"]
    assert record(life.load(worker.run_id), "step_started")["attempt"] == 2


def test_a_far_attempt_keeps_nobody_up() -> None:
    life = at(State.SLEEP)
    worker = life.cycle_worker()
    decision = life.ends(worker.run_id, outcome={"retry_after_s": CYCLE_PATIENCE_S + 1.0})
    expected = ["step_failed", "sleep_cycle_interrupted", "run_stopping", "run_interrupted", "sleep_cycle_skipped"]
    assert kinds(decision) == expected
    assert record(decision, "sleep_cycle_skipped")["reason"] == "it waits for its next attempt"
    assert life.world.cycle.failures == 0
    assert [deadline.name for deadline in life.due()] == ["hibernate_due"]
    assert cycle_due(stays(life)) == CYCLE_PATIENCE_S + 1.0
    assert kinds(life.pass_("cycle_due")) == ["sleep_cycle_started", "run_started"]
    life.cycle_completes()


def test_a_fresh_sleep_does_not_wait_for_it_either() -> None:
    life = at(State.SLEEP)
    life.ends(life.cycle_worker().run_id, outcome={"retry_after_s": CYCLE_PATIENCE_S + 1.0})
    life.trigger(Trigger.REQUEST_ARRIVED)
    skipped = record(life.trigger(Trigger.FORCE_SLEEP), "sleep_cycle_skipped")
    assert skipped == {"reason": "it waits for its next attempt", "due_ts": life.now.wall_s + CYCLE_PATIENCE_S + 1.0}
    life.trigger(Trigger.REQUEST_ARRIVED)
    life.advance(1.0)
    assert kinds(life.trigger(Trigger.FORCE_SLEEP))[-1] == "sleep_cycle_started"


def test_a_paused_run_is_waited_for_by_nobody() -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    life.order("pause", run_id)
    life.ends(run_id)
    assert life.of(run_id).status is RunStatus.PAUSED
    skipped = record(life.trigger(Trigger.FORCE_SLEEP), "sleep_cycle_skipped")
    assert skipped == {"reason": f"its run {run_id} is paused: asked for", "due_ts": None}
    assert cycle_due(life) is None
    life.order("resume", run_id)
    assert life.of(run_id).status is RunStatus.PENDING, "it is the cycle's still, and goes on in SLEEP"
    assert kinds(life.trigger(Trigger.FORCE_SLEEP))[-1] == "run_started"


def test_what_is_due_by_one_rule_and_not_by_another_is_not_asked_for_again_and_again() -> None:
    """A failed cycle's next try has come, and it is gone: a new one has its interval."""
    life = at(State.SLEEP, replace(POLICY, sleep_min_interval_s=60.0))
    life.cycle_completes()
    stays(life)
    life.pass_("cycle_due")
    run_id = life.world.cycle.run_id
    life.step_fails()
    other_settings(life, sleep_min_interval_s=DAY_S)
    life.order("remove", run_id)
    life.trigger(Trigger.FORCE_SLEEP)
    life.advance(700.0)
    for deadline in life.due():
        life.do(ev.DeadlinePassed(SHELL, deadline.name, forbids_exit=BLOCKED))
        assert deadline not in life.due()
    assert cycle_due(life) == DAY_S - 600.0 - 700.0
    life.pass_("cycle_due")
    assert life.world.cycle.phase == "running"


def test_another_flow_takes_the_place_of_an_unfinished_one_which_is_not_lost() -> None:
    life = asleep_with("fork")
    old = life.world.cycle.run_id
    life.step_ends()
    life.trigger(Trigger.REQUEST_ARRIVED)
    for branch in ("split:1/left", "split:1/right"):
        life.ends(old, branch)
    other_settings(life, sleep_flow="chain")
    assert kinds(life.trigger(Trigger.FORCE_SLEEP))[2:] == [
        "run_paused",
        "run_created",
        "sleep_cycle_started",
        "run_started",
    ]
    assert life.of(life.world.cycle.run_id).flow == "chain"
    paused = life.of(old)
    assert (paused.status, paused.cycle) == (RunStatus.PAUSED, False)
    assert "[sleep] flow is chain now" in paused.reason
    life.order("resume", old)
    life.finishes(old)
    assert life.of(old).status is RunStatus.COMPLETED, "as a run of its own"


def test_quarantine_is_lifted_by_a_retry() -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    for wait_s in (600.0, 1_200.0, 0.0):
        life.step_fails()
        life.trigger(Trigger.REQUEST_ARRIVED)
        life.advance(wait_s)
        life.trigger(Trigger.FORCE_SLEEP)
    assert life.world.cycle.quarantine_until_ts is not None
    decision = life.order("retry", run_id)
    assert [kind for kind in kinds(decision) if kind.startswith(("run_", "quarantine"))] == [
        "run_retried",
        "quarantine_lifted",
    ]
    assert life.world.cycle.quarantine_until_ts is None
    assert life.state is State.WAKE
    assert kinds(life.trigger(Trigger.FORCE_SLEEP))[-1] == "run_started"
    assert kinds(life.step_fails())[-1] == "sleep_cycle_failed", "and the counting starts anew"
    assert life.world.cycle.failures == 1


@pytest.mark.parametrize("order", ["cancel", "remove"])
def test_a_cycle_that_is_cancelled_or_removed_is_followed_by_a_new_one(order: str) -> None:
    life = at(State.SLEEP)
    old = life.world.cycle.run_id
    if order == "remove":
        life.step_fails()
        life.advance(600.0)
    life.order(order, old)
    assert life.world.cycle.run_id == ""
    assert record(life.trigger(Trigger.FORCE_SLEEP), "sleep_cycle_started")["resumed"] is False
    assert life.world.cycle.run_id not in ("", old)
    assert life.world.runs.counts()["failed"] == 0


def test_a_wish_takes_no_cycle_up_again() -> None:
    life = started()
    life.do(ev.HibernateWanted(CLIENT, now=True))
    assert cycle_due(life) is None


def cycle_in_branches() -> Life:
    life = asleep_with("fork")
    life.step_ends()
    return life


def test_a_request_does_not_save_a_cycle_that_has_failed() -> None:
    life = cycle_in_branches()
    run_id = life.world.cycle.run_id
    life.fails(run_id, "split:1/left")
    assert kinds(life.trigger(Trigger.REQUEST_ARRIVED)) == [
        "activity_seen",
        "sleep_cycle_interrupted",
        "state_transition",
    ]
    assert kinds(life.ends(run_id, "split:1/right"))[-2:] == ["run_failed", "sleep_cycle_failed"]
    assert life.world.cycle.failures == 1


def test_a_pause_outlasts_sleeps_and_requests() -> None:
    life = cycle_in_branches()
    run_id = life.world.cycle.run_id
    life.order("pause", run_id)
    life.trigger(Trigger.FORCE_SLEEP)
    assert life.world.cycle.phase == "running", "its steps still end"
    life.trigger(Trigger.REQUEST_ARRIVED)
    life.trigger(Trigger.FORCE_SLEEP)
    life.ends(run_id, "split:1/left")
    decision = life.ends(run_id, "split:1/right")
    assert kinds(decision) == ["step_ended", "run_paused", "sleep_cycle_skipped"]
    assert record(decision, "sleep_cycle_skipped")["reason"] == f"its run {run_id} is paused: asked for"
    assert [deadline.name for deadline in life.due()] == ["hibernate_due"]


def test_a_cycle_whose_state_is_gone_is_over_for_this_sleep() -> None:
    life = at(State.SLEEP)
    life.step_ends()
    worker = life.workers[life.world.cycle.run_id]
    life.dies(worker.run_id)
    worker = life.workers[worker.run_id]
    worker.loaded = True
    decision = life.do(replace(worker.load(), states=frozenset({"trim"})))
    assert kinds(decision) == ["run_paused", "sleep_cycle_skipped"]
    assert [deadline.name for deadline in life.due()] == ["hibernate_due"], "nothing blocks hibernation"


def test_a_pause_that_is_taken_back_does_not_keep_a_cycle_at_work_in_wake() -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    life.order("pause", run_id)
    life.order("resume", run_id)
    decision = life.ends(run_id)
    assert kinds(decision) == ["step_ended", "run_interrupted"]
    assert record(decision, "step_ended")["begins"] is False
    assert life.of(run_id).status is RunStatus.PENDING


def test_failures_of_different_branches_are_not_in_a_row() -> None:
    life = cycle_in_branches()
    run_id = life.world.cycle.run_id
    for branch in ("right", "left", "right", "left"):
        life.fails(run_id, f"split:1/{branch}")
        life.dies(run_id, how="it did not end within 2 s")
        assert life.world.cycle.failures == 1
        life.advance(DAY_S)
        stays(life)
        life.pass_("cycle_due")
        life.cycle_completes()  # that of the upkeep, which is due before
        life.load(run_id)


def test_the_run_of_a_failed_cycle_does_not_expire_while_it_may_be_tried_again() -> None:
    life = at(State.SLEEP)
    life.step_fails()
    assert life.do(re.RunExpired(SHELL, life.world.cycle.run_id)).entries == ()
