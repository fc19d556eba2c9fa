"""Attempts: what fails is tried again, later and later; what dies is tried again at once, and not for ever."""

from __future__ import annotations

import pytest

from core.life import Life, effects, kinds, moves, record
from core.model_worker import failed
from core.test_runs import begun, loaded
from torpord.core import effects as fx
from torpord.core import run_events as re
from torpord.core.deadlines import deadlines
from torpord.core.draft import Refusal
from torpord.core.runs import MOST_CRASHES, WORKER_IDLE_S, PlaceStatus, RunStatus


def due(life: Life) -> list[tuple[str, float]]:
    return [(deadline.name, life.left_s(deadline)) for deadline in deadlines(life.world)]


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
def test_failures_are_tried_again_after_a_time_that_doubles_with_some_chance(draw: float) -> None:
    life = loaded()
    waits = []
    for _ in range(12):
        decision = life.fails(retries=12, draw=draw)
        waits.append(record(decision, "step_failed")["retry_in_s"])
        life.advance(waits[-1])
        life.pass_("retry_due")
        if not life.workers["r1"].loaded:
            life.load()
    assert waits == [min(600.0, 2.0**n) * (0.5 + draw) for n in range(12)]
    place = life.at()
    assert (place.failures, place.attempt, place.visit) == (12, 13, 1)
    assert place.error == {"type": "OSError", "message": "no space left on device"}
    decision = life.fails(retries=12)
    assert kinds(decision) == ["step_failed", "run_stopping", "run_failed"]
    assert record(decision, "step_failed")["retry_in_s"] is None


def test_a_failed_run_says_what_went_wrong_and_where() -> None:
    life = loaded()
    life.ends()
    decision = life.fails()
    error = {"type": "OSError", "message": "no space left on device", "state": "b", "branch": ""}
    assert record(decision, "run_failed") == {"run_id": "r1", "error": error, "errors": (error,)}
    run = life.of()
    assert (run.status, run.error, run.ended_ts) == (RunStatus.FAILED, error, life.now.wall_s)
    assert run.reason == "OSError: no space left on device"
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r1", 1, broken_off=False)]
    assert "r1" not in life.world.runs.live


def test_a_success_forgets_the_failures_before_it() -> None:
    life = loaded()
    life.fails(retries=1)
    life.pass_("retry_due")
    life.ends()
    place = life.at()
    assert (place.state, place.failures, place.attempt, place.error) == ("b", 0, 1, None)
    life.fails(retries=1)
    assert life.at().status is PlaceStatus.WAITING


def test_retry_counts_against_nothing() -> None:
    life = loaded()
    for _ in range(20):
        decision = life.ends(outcome={"retry_after_s": 5.0})
        assert record(decision, "step_failed")["how"] == "retry"
        assert record(decision, "step_failed")["counted"] is False
        assert due(life) == [("retry_due", 5.0), ("drowsy_due", 300.0)]
        life.pass_("retry_due")
    assert life.at().failures == 0
    life.fails(retries=1)
    assert life.at().status is PlaceStatus.WAITING


def test_a_retry_after_no_time_is_an_attempt_of_its_own() -> None:
    life = loaded()
    life.ends(outcome={"retry_after_s": 0.0})
    assert life.at().status is PlaceStatus.WAITING, "the others have their turn first"
    assert record(life.pass_("retry_due"), "step_started")["attempt"] == 2


def test_a_near_attempt_keeps_its_worker_and_a_later_one_does_not() -> None:
    life = loaded()
    decision = life.ends(outcome={"retry_after_s": WORKER_IDLE_S})
    assert effects(decision, fx.StopWorker) == []
    decision = life.pass_("retry_due")
    (begin,) = effects(decision, fx.BeginSteps)
    assert (begin.run_id, begin.worker, begin.join) == ("r1", 1, None)
    assert begin.steps == ({"branch": "", "state": "a", "visit": 1, "attempt": 2},)
    decision = life.ends(outcome={"retry_after_s": WORKER_IDLE_S + 1.0})
    assert kinds(decision) == ["step_failed", "worker_ended"]
    assert record(decision, "worker_ended")["crashed"] is False
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r1", 1, broken_off=False)]
    assert life.of().status is RunStatus.RUNNING
    decision = life.pass_("retry_due")
    assert effects(decision, fx.StartWorker) == [fx.StartWorker("r1", 2)]
    assert begun(life.load().reply) == [("", "a", 1, 3)]


def test_an_attempt_follows_the_awake_clock() -> None:
    life = loaded()
    life.ends(outcome={"retry_after_s": 30.0})
    life.advance(1.0, 100_000.0)
    assert life.due() == []
    life.advance(29.0, -200_000.0)
    assert [deadline.name for deadline in life.due()] == ["retry_due"]


def test_one_of_two_attempts_whose_time_has_come_is_begun_alone() -> None:
    life = loaded("fork")
    life.ends()
    life.ends(branch="split:1/left", outcome={"retry_after_s": 3.0})
    life.ends(branch="split:1/right", outcome={"retry_after_s": 5.0})
    (begin,) = effects(life.pass_("retry_due"), fx.BeginSteps)
    assert [step["branch"] for step in begin.steps] == ["split:1/left"]
    (begin,) = effects(life.pass_("retry_due"), fx.BeginSteps)
    assert [step["branch"] for step in begin.steps] == ["split:1/right"]


def test_an_attempt_beyond_the_workers_there_may_be_waits_for_its_turn() -> None:
    life = loaded()
    life.ends(outcome={"retry_after_s": 30.0})
    for number in range(4):
        life.run("one", f"b{number}")
    assert due(life) == [], "it could not begin then"
    life.advance(60.0)
    assert life.due() == []
    life.load("b0")
    decision = life.ends("b0")
    assert effects(decision, fx.StartWorker) == [fx.StartWorker("r1", 2)]


def test_a_worker_that_dies_is_replaced_and_its_step_is_tried_again_at_once() -> None:
    life = loaded()
    life.ends()
    life.advance(4.0)
    decision = life.dies(how="signal 9", output="Killed", cpu_s=2.5, peak_rss_bytes=9)
    assert kinds(decision) == ["worker_ended", "step_failed", "run_started"]
    assert record(decision, "worker_ended") == {"run_id": "r1", "worker": 1, "how": "signal 9", "crashed": True}
    found = record(decision, "step_failed")
    assert (found["how"], found["error_type"], found["message"]) == ("crashed", "WorkerDied", "signal 9")
    assert (found["counted"], found["retry_in_s"], found["duration_s"]) == (False, 0.0, 4.0)
    assert (found["cpu_s"], found["peak_rss_bytes"]) == (2.5, 9)
    assert effects(decision, fx.StartWorker) == [fx.StartWorker("r1", 2)]
    assert begun(life.load().reply) == [("", "b", 1, 2)]
    assert life.of().crashes == 1
    life.ends()
    assert life.of().crashes == 0


def test_a_worker_that_dies_again_and_again_fails_the_run() -> None:
    life = loaded()
    for _ in range(MOST_CRASHES - 1):
        life.dies()
        life.load()
    decision = life.dies(output="out of memory")
    assert kinds(decision) == ["worker_ended", "step_failed", "run_failed"]
    error = record(decision, "run_failed")["error"]
    assert error["type"] == "WorkerDied"
    assert "died 5 times" in error["message"]
    assert error["message"].endswith("it had said: out of memory")
    assert effects(decision, fx.StopWorker) == [], "there is none any more"
    life.order("retry")
    for _ in range(MOST_CRASHES - 1):
        life.load()
        life.dies()
    assert life.of().status is RunStatus.RUNNING, "a retry gives it five more"
    assert life.finishes().status is RunStatus.COMPLETED


def test_a_worker_that_dies_while_it_loads_is_counted_as_well() -> None:
    life = loaded()
    life.dies()
    for _ in range(MOST_CRASHES - 1):
        assert life.of().status is RunStatus.RUNNING
        life.dies()
    assert life.of().status is RunStatus.FAILED


def test_a_worker_that_the_daemon_ended_is_nobodys_crash() -> None:
    life = loaded()
    decision = life.dies(blame=False, how="ended: a took over its time")
    assert record(decision, "worker_ended")["crashed"] is False
    assert record(decision, "step_interrupted")["why"] == "ended: a took over its time"
    assert life.of().crashes == 0
    assert begun(life.load().reply) == [("", "a", 1, 2)]


def test_a_step_over_its_time_is_a_failure_and_its_worker_is_replaced() -> None:
    life = loaded()
    decision = life.fails(retries=1, timed_out=True, output="…")
    assert record(decision, "step_failed")["how"] == "timeout"
    assert record(decision, "step_failed")["counted"] is True
    decision = life.dies(blame=False)
    assert kinds(decision) == ["worker_ended"]
    assert life.of().worker == 0
    assert kinds(life.pass_("retry_due")) == ["run_started"]
    assert begun(life.load().reply) == [("", "a", 1, 2)]


def test_a_timeout_in_one_branch_interrupts_the_other_which_counts_for_nothing() -> None:
    life = loaded("fork")
    life.ends()
    life.fails(branch="split:1/left", retries=1, timed_out=True)
    decision = life.dies(blame=False)
    assert record(decision, "step_interrupted")["branch"] == "split:1/right"
    assert begun(life.load().reply) == [("split:1/right", "right", 1, 2)]
    assert life.at(branch="split:1/right").failures == 0
    (begin,) = effects(life.pass_("retry_due"), fx.BeginSteps)
    assert begin.steps[0]["branch"] == "split:1/left"


def test_the_first_outcome_stands() -> None:
    life = loaded()
    worker = life.workers["r1"]
    first = worker.report()
    life.ends()
    before = life.world
    for said in (first, worker.report_of(vars_of(first), outcome=failed())):
        reply = life.do(said).reply
        assert isinstance(reply, Refusal)
        assert (reply.name, life.world is before) == ("conflict", True)


def test_a_failure_is_told_once() -> None:
    life = loaded()
    first = life.workers["r1"].report(outcome=failed(retries=5))
    life.fails(retries=5)
    assert isinstance(life.do(first).reply, Refusal)
    assert life.at().failures == 1
    life.pass_("retry_due")
    assert life.at().status is PlaceStatus.RUNNING
    assert isinstance(life.do(first).reply, Refusal), "the next attempt is under way, and this was not its word"
    assert life.at().failures == 1


def vars_of(event: re.StepReported) -> dict[str, object]:
    return {name: getattr(event, name) for name in ("branch", "state", "visit", "attempt")}


@pytest.mark.parametrize("kind", ["ended", "call", "join", "loaded", "cannot load", "outdated", "gone"])
def test_a_worker_that_was_replaced_is_not_heard(kind: str) -> None:
    life = loaded()
    old = life.workers["r1"]
    step = dict(old.steps[""])
    late: dict[str, re.WorkerEvent] = {
        "ended": old.report(),
        "call": re.CallReported(**old.names, **step, key="k", tool="t", ok=None, value="1"),
        "join": re.JoinReported(**old.names),
        "loaded": old.load(),
        "cannot load": re.WorkerCannotLoad(**old.names, error={"type": "E", "message": "m"}),
        "outdated": re.WorkerOutdated(**old.names, why="another version"),
        "gone": old.gone(),
    }
    life.dies()
    life.load()
    before = life.world
    reply = life.do(late[kind]).reply
    assert life.world is before
    assert isinstance(reply, Refusal) or kind == "gone"


def test_a_call_is_recorded_before_and_after_and_not_for_an_attempt_that_has_ended() -> None:
    life = loaded()
    worker = life.workers["r1"]
    at_a = {**worker.names, **worker.steps[""]}
    decision = life.do(re.CallReported(**at_a, key="k", tool="fetch", ok=None, value='{"u": 1}'))
    place = {"run_id": "r1", "branch": "", "state": "a", "visit": 1, "attempt": 1, "key": "k"}
    assert record(decision, "call_begun") == {**place, "tool": "fetch"}
    assert decision.reply == {}
    decision = life.do(re.CallReported(**at_a, key="k", tool="", ok=True, value="7"))
    assert record(decision, "call_ended") == {**place, "ok": True}
    life.ends()
    assert isinstance(life.do(re.CallReported(**at_a, key="k2", tool="t", ok=None, value="1")).reply, Refusal)


def test_a_step_that_ends_wakes_nobody() -> None:
    life = loaded()
    assert moves(life.ends()) == []
    assert life.world.activity.event_seq == 1
