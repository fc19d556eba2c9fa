"""The sleep cycle: done step by step, giving way without losing one, put off when it fails, never in anybody's way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.life import CLIENT, Life, at, effects, kinds, record
from core.model_worker import CYCLE, failed
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.lifecycle import State, Trigger
from torpord.core.runs import RunStatus

DAY_S = 86_400.0
HOUR_S = 3_600.0
ASLEEP = ["state_transition", "state_transition"]
FAILED = ["step_failed", "run_stopping", "run_failed", "sleep_cycle_failed"]


def sleep_again(life: Life) -> list[str]:
    """Wake up and fall asleep again at the same instant; returns what the falling asleep recorded.

    A step that is running gives way by being broken off, as one does that does not end in its time.
    """
    life.trigger(Trigger.REQUEST_ARRIVED)
    breaks_off(life)
    return kinds(life.trigger(Trigger.FORCE_SLEEP))


def breaks_off(life: Life) -> None:
    """Let the cycle's worker be killed, if it still is there after a request."""
    if life.world.cycle.run_id in life.workers:
        life.dies(life.world.cycle.run_id)


def hibernates(life: Life) -> bool:
    life.pass_("hibernate_due")
    return life.state is State.HIBERNATION


def begun(life: Life) -> dict[str, object]:
    """Return at which step the newest decision began the cycle, and whether that was going on."""
    started = record(life.turns[-1].decision, "sleep_cycle_started")
    return {name: started[name] for name in ("step", "resumed")}


def test_it_begins_at_the_first_step_and_does_each_once_in_order() -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    asleep = next(turn.decision for turn in life.turns if kinds(turn.decision)[-1] == "run_started")
    assert kinds(asleep) == ["state_transition", "run_created", "sleep_cycle_started", "run_started"]
    assert asleep.effects[-1] == fx.StartWorker(run_id, 1)
    assert record(asleep, "sleep_cycle_started") == {
        "run_id": run_id,
        "flow": "housekeeping",
        "step": "",  # which its code knows, and the worker will tell
        "resumed": False,
    }
    started_ts = life.now.wall_s
    done: list[str] = []
    while life.world.cycle.phase == "running":
        life.advance(2.0)
        decision = life.step_ends(2.0)
        done.append(record(decision, "step_ended")["state"])
    assert tuple(done) == CYCLE
    ended = {"run_id": run_id, "started_ts": started_ts, "worked_s": 10.0, "result": "backup"}
    assert record(decision, "sleep_cycle_done") == ended
    assert effects(decision, fx.StopWorker) == [fx.StopWorker(run_id, 1, broken_off=False)]
    assert life.world.cycle.completed_ts == life.now.wall_s
    assert life.world.cycle.run_id == ""
    assert life.world.cycle.last == {
        "flow": "housekeeping",
        "outcome": "completed",
        "run_id": run_id,
        "started_ts": started_ts,
        "ended_ts": life.now.wall_s,
        "duration_s": 10.0,
        "step": "",
        "error": "",
        "result": "backup",
    }
    assert life.world.runs.counts()["completed"] == 1
    assert dict(life.world.runs.live) == {}


@pytest.mark.parametrize("position", range(len(CYCLE)))
def test_it_goes_on_from_the_step_it_was_in(position: int) -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    for _ in range(position):
        life.step_ends()
    step = CYCLE[position]
    decision = life.trigger(Trigger.REQUEST_ARRIVED)
    assert record(decision, "sleep_cycle_interrupted") == {"run_id": run_id, "step": step}
    assert decision.effects[0] == fx.YieldWorker(run_id, 1, 2.0)
    assert life.state is State.WAKE, "nobody waits for the step"
    breaks_off(life)
    assert record(life.turns[-1].decision, "step_interrupted")["state"] == step
    assert life.of(run_id).status is RunStatus.PENDING
    assert kinds(life.trigger(Trigger.FORCE_SLEEP)) == [*ASLEEP, "sleep_cycle_started", "run_started"]
    assert begun(life) == {"step": step, "resumed": True}
    assert record(life.load(run_id), "step_started") == {
        "run_id": run_id,
        "branch": "",
        "state": step,
        "visit": 1,
        "attempt": 2,
    }
    life.cycle_completes()
    done = [e.record.data()["state"] for e in life.entries if e.record.kind == "step_ended"]
    assert tuple(done) == CYCLE, "each once, whatever came between"


def test_a_request_before_the_flow_is_loaded_interrupts_as_well() -> None:
    life = at(State.DROWSY)
    life.pass_("sleep_due")
    run_id = life.world.cycle.run_id
    decision = life.trigger(Trigger.REQUEST_ARRIVED)
    assert fx.StopWorker(run_id, 1, broken_off=False) in decision.effects
    assert life.of(run_id).status is RunStatus.PENDING
    assert sleep_again(life)[-1] == "run_started"
    life.cycle_completes()
    assert life.world.cycle.completed_ts is not None


def test_an_interruption_is_no_failure() -> None:
    life = at(State.SLEEP)
    for _ in range(5):
        sleep_again(life)
    assert life.world.cycle.failures == 0
    assert life.world.cycle.last is None
    assert life.world.cycle.phase == "running"


def test_a_step_that_ended_in_the_instant_of_the_interruption_is_not_done_twice() -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    life.trigger(Trigger.REQUEST_ARRIVED)
    late = life.ends(run_id)
    assert kinds(late) == ["step_ended", "run_interrupted"]
    assert record(late, "step_ended")["begins"] is False
    assert effects(late, fx.StopWorker) == [fx.StopWorker(run_id, 1, broken_off=False)]
    assert life.state is State.WAKE
    life.trigger(Trigger.FORCE_SLEEP)
    assert begun(life) == {"step": "checkpoint", "resumed": True}


def test_the_last_step_that_ended_in_that_instant_completes_the_cycle() -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    for _ in CYCLE[1:]:
        life.step_ends()
    life.trigger(Trigger.REQUEST_ARRIVED)
    late = life.ends(run_id)
    assert kinds(late) == ["step_ended", "run_completed", "sleep_cycle_done"]
    assert sleep_again(life) == [*ASLEEP, "sleep_cycle_skipped"]


def test_a_step_that_failed_in_the_instant_of_the_interruption_is_no_strike() -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    life.trigger(Trigger.REQUEST_ARRIVED)
    assert kinds(life.fails(run_id)) == ["step_interrupted", "run_interrupted"]
    assert life.world.cycle.failures == 0
    assert kinds(life.trigger(Trigger.FORCE_SLEEP))[-1] == "run_started"


def test_a_step_that_still_ends_when_it_sleeps_again_goes_on_at_once() -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    life.trigger(Trigger.REQUEST_ARRIVED)
    assert kinds(life.trigger(Trigger.FORCE_SLEEP)) == [*ASLEEP, "sleep_cycle_started"], "its worker is still ending"
    late = life.ends(run_id)
    assert kinds(late) == ["step_ended", "run_interrupted", "run_started"]
    assert [type(effect) for effect in late.effects] == [fx.StopWorker, fx.StartWorker]
    assert record(life.load(run_id), "step_started")["state"] == "checkpoint"


@pytest.mark.parametrize("step", [each for each in CYCLE if each != "trim"])
def test_word_of_a_step_it_is_not_at_changes_nothing(step: str) -> None:
    life = at(State.SLEEP)
    worker = life.cycle_worker()
    other = {"branch": "", "state": step, "visit": 1, "attempt": 1}
    assert life.do(worker.report_of(other, outcome=failed())).entries == ()
    assert life.do(worker.report_of(other, outcome={"next": "backup", "visit": 1})).entries == ()


def test_a_failure_puts_the_next_try_off_for_ten_minutes_then_twenty() -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    life.step_ends()
    for wait_s, failures in ((600.0, 1), (1200.0, 2)):
        assert record(life.step_fails(), "sleep_cycle_failed") == {
            "run_id": run_id,
            "step": "checkpoint",
            "error": "OSError: no space left on device",
            "failures": failures,
            "retry_ts": life.now.wall_s + wait_s,
        }
        life.advance(wait_s - 1.0)
        assert sleep_again(life)[-1] == "sleep_cycle_skipped"
        skipped = record(life.turns[-1].decision, "sleep_cycle_skipped")
        assert skipped == {"reason": "it failed lately", "due_ts": life.now.wall_s + 1.0}
        life.advance(1.0)
        assert sleep_again(life) == [*ASLEEP, "run_retried", "sleep_cycle_started", "run_started"]
        assert begun(life) == {"step": "checkpoint", "resumed": True}


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
    assert kinds(life.step_fails()) == [*FAILED, "quarantine_entered"]
    return life


def test_three_failures_in_a_row_at_one_step_are_quarantine_for_a_day() -> None:
    life = quarantined()
    until_ts = life.now.wall_s + DAY_S
    assert record(life.turns[-1].decision, "quarantine_entered") == {"step": "trim", "until_ts": until_ts}
    life.advance(DAY_S - 1.0)
    assert sleep_again(life)[-1] == "sleep_cycle_skipped"
    assert record(life.turns[-1].decision, "sleep_cycle_skipped") == {"reason": "quarantine", "due_ts": until_ts}
    life.advance(1.0)
    after = ["quarantine_lifted", "run_retried", "sleep_cycle_started", "run_started"]
    assert sleep_again(life) == [*ASLEEP, *after]
    assert record(life.turns[-1].decision, "quarantine_lifted") == {"step": "trim", "flow": "housekeeping"}
    assert life.world.cycle.quarantine_until_ts is None


def test_after_quarantine_the_counting_starts_anew() -> None:
    life = quarantined()
    life.advance(DAY_S)
    sleep_again(life)
    again = life.step_fails()
    assert kinds(again) == FAILED
    assert record(again, "sleep_cycle_failed")["failures"] == 1


def test_quarantine_follows_the_wall_clock() -> None:
    life = quarantined()
    life.advance(1.0, DAY_S)
    assert sleep_again(life)[-1] == "run_started"


def test_failures_at_different_steps_are_not_in_a_row() -> None:
    life = at(State.SLEEP)
    for _ in range(2):
        life.step_fails()
        life.advance(DAY_S)
        sleep_again(life)
    life.step_ends()
    assert life.world.cycle.failures == 0
    again = life.step_fails()
    assert kinds(again) == FAILED
    assert record(again, "sleep_cycle_failed")["failures"] == 1


def test_an_interruption_does_not_end_the_row() -> None:
    """Two failures at a step, then an interruption and a third: the step never succeeded in between."""
    life = at(State.SLEEP)
    for _ in range(2):
        life.step_fails()
        life.advance(DAY_S)
        sleep_again(life)
    sleep_again(life)
    assert kinds(life.step_fails()) == [*FAILED, "quarantine_entered"]


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
    assert sleep_again(life)[-1] == "run_started"
    assert begun(life) == {"step": "", "resumed": False}
    assert life.of(life.world.cycle.run_id).steps == 0


def test_an_unfinished_cycle_does_not_wait_for_min_interval() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    life.advance(4 * HOUR_S)
    sleep_again(life)
    life.step_ends()
    life.advance(1.0, -HOUR_S)  # set back: by the clock it is three hours since the last one, and this one has begun
    assert sleep_again(life)[-1] == "run_started"
    assert begun(life) == {"step": "checkpoint", "resumed": True}


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
    assert record(life.turns[-1].decision, "sleep_cycle_done")["worked_s"] == 6.0


def test_a_wall_clock_that_was_set_back_makes_the_cycle_due() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    life.advance(1.0, -365 * DAY_S)
    assert sleep_again(life)[-1] == "run_started"


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
    assert record(decision, "sleep_cycle_skipped")["reason"] == "hibernation was asked for at once"
    assert effects(decision, fx.StartWorker) == []
    assert life.world.cycle.quarantine_until_ts is not None
