"""The sleep cycle: done step by step, giving way without losing one, put off when it fails, never in anybody's way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.life import CLIENT, SHELL, Life, at, effects, kinds, record
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.descent import CYCLE_STEPS
from torpord.core.lifecycle import State, Trigger

DAY_S = 86_400.0
HOUR_S = 3_600.0


def sleep_again(life: Life) -> list[str]:
    """Wake up and fall asleep again at the same instant; returns what the falling asleep recorded."""
    life.trigger(Trigger.REQUEST_ARRIVED)
    return kinds(life.trigger(Trigger.FORCE_SLEEP))


def hibernates(life: Life) -> bool:
    life.pass_("hibernate_due")
    return life.state is State.HIBERNATION


def test_it_begins_at_the_first_step_and_does_each_once_in_order() -> None:
    life = at(State.SLEEP)
    assert life.turns[-1].decision.effects[-1] == fx.StartCycle("trim")
    started_ts = life.now.wall_s
    done: list[str] = []
    while life.world.cycle.phase == "running":
        life.advance(2.0)
        decision = life.step_ends(2.0, {"freed": len(done)})
        done.append(record(decision, "sleep_cycle_step_done")["step"])
    assert tuple(done) == CYCLE_STEPS == life.world.cycle.done
    assert record(decision, "sleep_cycle_done") == {"started_ts": started_ts, "duration_s": 10.0}
    assert life.world.cycle.results == {step: {"freed": i} for i, step in enumerate(CYCLE_STEPS)}
    assert life.world.cycle.completed_ts == life.now.wall_s
    assert life.world.cycle.last == {
        "outcome": "completed",
        "started_ts": started_ts,
        "ended_ts": life.now.wall_s,
        "duration_s": 10.0,
        "step": "",
        "error": "",
    }


@pytest.mark.parametrize("position", range(len(CYCLE_STEPS)))
def test_the_checkpoint_names_the_step_that_is_next(position: int) -> None:
    life = at(State.SLEEP)
    for _ in range(position):
        decision = life.step_ends()
        assert record(decision, "sleep_cycle_step_done")["next_step"] == life.world.cycle.next_step
    decision = life.trigger(Trigger.REQUEST_ARRIVED)
    step = CYCLE_STEPS[position]
    assert record(decision, "sleep_cycle_interrupted") == {"step": step}
    assert decision.effects[0] == fx.StopCycle()
    assert sleep_again(life) == ["state_transition", "state_transition", "sleep_cycle_started"]
    assert record(life.turns[-1].decision, "sleep_cycle_started") == {"step": step, "resumed": bool(step)}
    assert life.turns[-1].decision.effects[-1] == fx.StartCycle(step)


def test_an_interruption_is_no_failure() -> None:
    life = at(State.SLEEP)
    for _ in range(5):
        sleep_again(life)
    assert life.world.cycle.failures == 0
    assert life.world.cycle.last is None
    assert life.world.cycle.phase == "running"


def test_a_step_that_ended_in_the_instant_of_the_interruption_is_not_done_twice() -> None:
    life = at(State.SLEEP)
    life.trigger(Trigger.REQUEST_ARRIVED)
    late = life.do(ev.CycleStepEnded(SHELL, "trim", 1.0))
    assert kinds(late) == ["sleep_cycle_step_done"]
    assert life.state is State.WAKE
    life.trigger(Trigger.FORCE_SLEEP)
    assert life.world.cycle.next_step == "checkpoint"
    assert life.world.cycle.done == ("trim",)


def test_the_last_step_that_ended_in_that_instant_completes_the_cycle() -> None:
    life = at(State.SLEEP)
    for _ in CYCLE_STEPS[1:]:
        life.step_ends()
    life.trigger(Trigger.REQUEST_ARRIVED)
    late = life.do(ev.CycleStepEnded(SHELL, "backup", 1.0))
    assert kinds(late) == ["sleep_cycle_step_done", "sleep_cycle_done"]
    assert sleep_again(life) == ["state_transition", "state_transition", "sleep_cycle_skipped"]


def test_a_step_that_failed_in_the_instant_of_the_interruption_is_no_strike() -> None:
    life = at(State.SLEEP)
    life.trigger(Trigger.REQUEST_ARRIVED)
    assert life.do(ev.CycleStepFailed(SHELL, "trim", "interrupted")).entries == ()
    assert life.world.cycle.failures == 0
    assert sleep_again(life)[-1] == "sleep_cycle_started"


@pytest.mark.parametrize("step", [each for each in CYCLE_STEPS if each != "trim"])
def test_word_of_a_step_it_is_not_at_changes_nothing(step: str) -> None:
    life = at(State.SLEEP)
    assert life.do(ev.CycleStepEnded(SHELL, step, 1.0)).entries == ()
    assert life.do(ev.CycleStepFailed(SHELL, step, "?")).entries == ()


def test_a_failure_puts_the_next_try_off_for_ten_minutes_then_twenty() -> None:
    life = at(State.SLEEP)
    life.step_ends()
    for wait_s, failures in ((600.0, 1), (1200.0, 2)):
        assert record(life.step_fails(), "sleep_cycle_failed") == {
            "step": "checkpoint",
            "error": "disk I/O error",
            "failures": failures,
            "retry_ts": life.now.wall_s + wait_s,
        }
        life.advance(wait_s - 1.0)
        assert sleep_again(life)[-1] == "sleep_cycle_skipped"
        skipped = record(life.turns[-1].decision, "sleep_cycle_skipped")
        assert skipped == {"reason": "it failed lately", "due_ts": life.now.wall_s + 1.0}
        life.advance(1.0)
        assert sleep_again(life)[-1] == "sleep_cycle_started"
        assert life.world.cycle.next_step == "checkpoint"


@pytest.mark.parametrize(("failures", "wait_s"), [(3, 4_800.0), (7, 76_800.0), (8, DAY_S), (50, DAY_S)])
def test_the_wait_doubles_to_a_day(failures: int, wait_s: float) -> None:
    life = at(State.SLEEP)
    life.world = replace(life.world, cycle=replace(life.world.cycle, failures=failures, failed_step="trim"))
    assert record(life.step_fails(), "sleep_cycle_failed")["retry_ts"] == life.now.wall_s + wait_s


def quarantined() -> Life:
    life = at(State.SLEEP)
    for wait_s in (600.0, 1200.0):
        life.step_fails()
        life.advance(wait_s)
        sleep_again(life)
    assert kinds(life.step_fails()) == ["sleep_cycle_failed", "quarantine_entered"]
    return life


def test_three_failures_in_a_row_at_one_step_are_quarantine_for_a_day() -> None:
    life = quarantined()
    until_ts = life.now.wall_s + DAY_S
    assert record(life.turns[-1].decision, "quarantine_entered") == {"step": "trim", "until_ts": until_ts}
    life.advance(DAY_S - 1.0)
    assert sleep_again(life)[-1] == "sleep_cycle_skipped"
    assert record(life.turns[-1].decision, "sleep_cycle_skipped") == {"reason": "quarantine", "due_ts": until_ts}
    life.advance(1.0)
    assert sleep_again(life)[-2:] == ["quarantine_lifted", "sleep_cycle_started"]
    assert record(life.turns[-1].decision, "quarantine_lifted") == {"step": "trim"}
    assert life.world.cycle.quarantine_until_ts is None


def test_after_quarantine_the_counting_starts_anew() -> None:
    life = quarantined()
    life.advance(DAY_S)
    sleep_again(life)
    failed = life.step_fails()
    assert kinds(failed) == ["sleep_cycle_failed"]
    assert record(failed, "sleep_cycle_failed")["failures"] == 1


def test_quarantine_follows_the_wall_clock() -> None:
    life = quarantined()
    life.advance(1.0, DAY_S)
    assert sleep_again(life)[-1] == "sleep_cycle_started"


def test_failures_at_different_steps_are_not_in_a_row() -> None:
    life = at(State.SLEEP)
    for _ in range(2):
        life.step_fails()
        life.advance(DAY_S)
        sleep_again(life)
    life.step_ends()
    assert life.world.cycle.failures == 0
    failed = life.step_fails()
    assert kinds(failed) == ["sleep_cycle_failed"]
    assert record(failed, "sleep_cycle_failed")["failures"] == 1


def test_an_interruption_does_not_end_the_row() -> None:
    """Two failures at a step, then an interruption and a third: the step never succeeded in between."""
    life = at(State.SLEEP)
    for _ in range(2):
        life.step_fails()
        life.advance(DAY_S)
        sleep_again(life)
    sleep_again(life)
    assert kinds(life.step_fails()) == ["sleep_cycle_failed", "quarantine_entered"]


def test_a_completed_cycle_forgets_its_failures() -> None:
    life = at(State.SLEEP)
    life.step_fails()
    life.advance(600.0)
    sleep_again(life)
    life.cycle_completes()
    cycle = life.world.cycle
    assert (cycle.failures, cycle.failed_step, cycle.retry_ts, cycle.quarantine_until_ts) == (0, "", None, None)


def test_a_completed_cycle_is_not_due_again_for_min_interval() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    due_ts = life.now.wall_s + 4 * HOUR_S
    life.advance(4 * HOUR_S - 1.0)
    assert sleep_again(life)[-1] == "sleep_cycle_skipped"
    assert record(life.turns[-1].decision, "sleep_cycle_skipped") == {"reason": "not due yet", "due_ts": due_ts}
    life.advance(1.0)
    assert sleep_again(life)[-1] == "sleep_cycle_started"
    assert life.world.cycle.next_step == "trim"
    assert life.world.cycle.done == ()
    assert life.world.cycle.results == {}


def test_an_unfinished_cycle_does_not_wait_for_min_interval() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    life.advance(4 * HOUR_S)
    sleep_again(life)
    life.step_ends()
    life.advance(1.0, -HOUR_S)  # set back: by the clock it is three hours since the last one, and this one has begun
    assert sleep_again(life)[-1] == "sleep_cycle_started"
    assert record(life.turns[-1].decision, "sleep_cycle_started") == {"step": "checkpoint", "resumed": True}


def test_each_cycle_counts_its_own_work() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    life.advance(4 * HOUR_S)
    sleep_again(life)
    life.step_ends(2.0)
    sleep_again(life)
    life.cycle_completes()
    assert life.world.cycle.last is not None
    assert life.world.cycle.last["duration_s"] == 2.0 + 4 * 1.0
    assert record(life.turns[-1].decision, "sleep_cycle_done")["duration_s"] == 6.0


def test_a_wall_clock_that_was_set_back_makes_the_cycle_due() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    life.advance(1.0, -365 * DAY_S)
    assert sleep_again(life)[-1] == "sleep_cycle_started"


def test_no_cycle_ever_blocks_hibernation() -> None:
    failed = at(State.SLEEP)
    failed.step_fails()
    assert hibernates(failed)

    put_off = at(State.SLEEP)
    put_off.step_fails()
    sleep_again(put_off)
    assert hibernates(put_off)

    fresh = quarantined()
    assert hibernates(fresh)

    skipped = quarantined()
    sleep_again(skipped)
    assert hibernates(skipped)

    not_due = at(State.SLEEP)
    not_due.cycle_completes()
    sleep_again(not_due)
    assert hibernates(not_due)


def test_hibernate_now_during_quarantine_leaves_it_in_force() -> None:
    life = quarantined()
    life.trigger(Trigger.REQUEST_ARRIVED)
    decision = life.do(ev.HibernateWanted(CLIENT, now=True))
    assert record(decision, "sleep_cycle_skipped")["reason"] == "quarantine"
    assert effects(decision, fx.StartCycle) == []
    assert life.world.cycle.quarantine_until_ts is not None
