"""Branches: each with its own place, one that fails, the others that end their step, and what a retry does again."""

from __future__ import annotations

import pytest

from core.life import effects, kinds, record
from core.test_run_orders import in_branches, merging
from core.test_runs import begun
from torpord.core import effects as fx
from torpord.core import run_events as re
from torpord.core.draft import Refusal
from torpord.core.runs import PlaceStatus, RunStatus, Stopping

LEFT, RIGHT = "split:1/left", "split:1/right"


def test_when_one_fails_the_others_may_end_their_step_and_then_the_run_fails() -> None:
    life = in_branches()
    decision = life.fails(branch=LEFT)
    assert kinds(decision) == ["step_failed", "run_stopping"]
    assert effects(decision, fx.YieldWorker) == [fx.YieldWorker("r1", 1, 2.0)]
    assert life.of().stopping is Stopping.FAIL
    decision = life.ends(branch=RIGHT)
    assert kinds(decision) == ["step_ended", "run_failed"]
    assert record(decision, "step_ended")["begins"] is False
    assert [error["branch"] for error in record(decision, "run_failed")["errors"]] == [LEFT]
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r1", 1, broken_off=False)]


def test_the_errors_of_all_are_kept() -> None:
    life = in_branches()
    life.fails(branch=RIGHT)
    decision = life.fails(branch=LEFT)
    assert kinds(decision) == ["step_failed", "run_failed"], "it was stopping already"
    failed = record(decision, "run_failed")
    assert [error["branch"] for error in failed["errors"]] == [LEFT, RIGHT]
    assert failed["error"] == failed["errors"][0]


def test_one_that_is_killed_on_the_way_out_is_interrupted_and_not_failed() -> None:
    life = in_branches()
    life.fails(branch=LEFT)
    decision = life.dies(how="it did not end within 2 s")
    assert kinds(decision) == ["worker_ended", "step_interrupted", "run_failed"]
    assert record(decision, "worker_ended")["crashed"] is False
    assert [error["branch"] for error in record(decision, "run_failed")["errors"]] == [LEFT]


def test_one_that_waits_for_its_attempt_is_not_waited_for() -> None:
    life = in_branches()
    life.ends(branch=RIGHT, outcome={"retry_after_s": 5.0})
    assert kinds(life.fails(branch=LEFT))[-1] == "run_failed"
    life.order("retry")
    life.advance(5.0)
    assert begun(life.load().reply) == [(LEFT, "left", 1, 2), (RIGHT, "right", 1, 2)]


def test_a_retry_does_again_only_what_had_not_finished() -> None:
    life = in_branches()
    life.ends(branch=LEFT)
    life.ends(branch=RIGHT)
    life.fails(branch=RIGHT)
    life.order("retry")
    assert begun(life.load().reply) == [(RIGHT, "right2", 1, 2)]
    assert life.at(branch=LEFT).status is PlaceStatus.AT_JOIN
    assert life.finishes().status is RunStatus.COMPLETED
    assert life.of().steps == 6


def test_two_that_wrote_one_key_differently_fail_the_run() -> None:
    life = merging()
    error = {"type": "MergeConflict", "message": "left and right wrote 'k'", "traceback": ""}
    decision = life.merges(error=error)
    assert kinds(decision) == ["run_failed"]
    failed = record(decision, "run_failed")["error"]
    assert (failed["type"], failed["message"], failed["state"]) == (
        "MergeConflict",
        "left and right wrote 'k'",
        "merge",
    )
    assert life.of().status is RunStatus.FAILED
    life.order("retry")
    assert life.load().reply == {"steps": (), "join": "merge"}, "other code may merge them"
    assert life.finishes().status is RunStatus.COMPLETED


def test_branches_are_merged_once_and_only_when_all_are_there() -> None:
    life = in_branches()
    worker = life.workers["r1"]
    for _ in range(2):
        reply = life.do(re.JoinReported(**worker.names)).reply
        assert isinstance(reply, Refusal)
        life.ends(branch=RIGHT)
    life.ends(branch=LEFT)
    life.merges()
    assert isinstance(life.do(re.JoinReported(**worker.names)).reply, Refusal)


def test_a_worker_that_dies_takes_every_branch_with_it_and_each_goes_on() -> None:
    life = in_branches()
    life.ends(branch=RIGHT)
    decision = life.dies()
    assert kinds(decision) == ["worker_ended", "step_failed", "step_failed", "run_started"]
    assert life.of().crashes == 1, "one worker, one crash"
    assert begun(life.load().reply) == [(LEFT, "left", 1, 2), (RIGHT, "right2", 1, 2)]


def test_a_worker_that_dies_while_it_merges_merges_again() -> None:
    life = merging()
    life.dies()
    assert life.load().reply == {"steps": (), "join": "merge"}


def test_max_steps_ends_a_run_whose_branches_are_at_work_and_a_retry_brings_them_on() -> None:
    life = in_branches()
    life.order("cancel")
    life.run("fork", "r2", max_steps=2)
    life.load("r2")
    life.ends("r2")
    decision = life.ends("r2", RIGHT)
    assert kinds(decision) == ["step_ended", "step_interrupted", "run_failed"]
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r2", 1, broken_off=True)]
    assert record(decision, "run_failed")["error"]["type"] == "MaxSteps"
    life.order("retry", "r2")
    assert begun(life.load("r2").reply) == [(LEFT, "left", 1, 2), (RIGHT, "right2", 1, 1)]


def test_max_steps_at_the_join() -> None:
    life = in_branches()
    life.order("cancel")
    life.run("fork", "r2", max_steps=4)
    life.finishes("r2")
    assert life.of("r2").status is RunStatus.FAILED
    assert life.of("r2").error is not None
    assert life.of("r2").at == "merge"
    life.order("retry", "r2")
    assert life.finishes("r2").status is RunStatus.COMPLETED


def test_branches_of_a_second_visit_are_others() -> None:
    life = in_branches()
    life.order("cancel")
    life.run("forks", "r2")
    for _ in range(7):
        life.goes_on("r2")
    assert [place.branch for place in life.of("r2").places] == ["", "split:2/left", "split:2/right"]


@pytest.mark.parametrize("first", [LEFT, RIGHT])
def test_cancel_interrupts_every_branch(first: str) -> None:
    life = in_branches()
    life.ends(branch=first)
    decision = life.order("cancel")
    interrupted = [e.record.data()["branch"] for e in decision.entries if e.record.kind == "step_interrupted"]
    assert interrupted == ([LEFT, RIGHT] if first == RIGHT else [RIGHT])
