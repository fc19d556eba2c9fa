"""A run from its start to its end, step by step, each one commit that names the next."""

from __future__ import annotations

import pytest

from core.life import CLIENT, DUE, Life, at, effects, kinds, record, started
from core.model_worker import ERROR
from torpord.core import effects as fx
from torpord.core import run_events as re
from torpord.core import run_requests
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State
from torpord.core.runs import MAX_BRANCHES, MAX_WORKERS, PlaceStatus, RunStatus


def begun(reply: object) -> list[tuple[str, str, int, int]]:
    """Return the steps a reply tells the worker to begin."""
    assert isinstance(reply, dict)
    return [(s["branch"], s["state"], s["visit"], s["attempt"]) for s in reply["steps"]]


def loaded(flow: str = "chain", **fields: object) -> Life:
    """Begin a life with a run that is at its first step."""
    life = started()
    life.run(flow, **fields)
    life.load()
    return life


@pytest.mark.parametrize("state", list(State))
def test_a_start_is_a_request_and_gets_a_worker_at_once(state: State) -> None:
    life = at(state)
    decision = life.run("chain", purpose="p", session_id="s", max_steps=7, data={"n": "1"}, metadata='{"m": 1}')
    assert life.state is State.WAKE
    assert decision.reply == {"run_id": "r1", "status": "running"}
    assert kinds(decision)[-2:] == ["run_created", "run_started"]
    assert record(decision, "run_created") == {
        "run_id": "r1",
        "flow": "chain",
        "state": "",
        "purpose": "p",
        "session_id": "s",
        "max_steps": 7,
        "cycle": False,
    }, "and no data: that is in the run's rows"
    assert effects(decision, fx.StartWorker) == [fx.StartWorker("r1", 1)]
    run = life.of()
    assert (run.origin, run.created_ts, run.started_ts) == ("r1", life.now.wall_s, life.now.wall_s)
    assert life.world.busy


def test_a_chain_goes_from_state_to_state_and_each_end_names_the_next() -> None:
    life = started()
    life.run()
    decision = life.load()
    assert kinds(decision) == ["flow_loaded", "step_started"]
    assert begun(decision.reply) == [("", "a", 1, 1)]
    assert (life.of().version, life.of().states) == (1, 3)
    life.advance(2.0)
    decision = life.ends(duration_s=1.5, cpu_s=0.5, peak_rss_bytes=1 << 20)
    assert kinds(decision) == ["step_ended"], "one record, and so one line, for the end and the next begin"
    assert record(decision, "step_ended") == {
        "run_id": "r1",
        "branch": "",
        "state": "a",
        "visit": 1,
        "attempt": 1,
        "started_ts": life.now.wall_s - 2.0,
        "duration_s": 1.5,
        "cpu_s": 0.5,
        "peak_rss_bytes": 1 << 20,
        "outcome": "next",
        "next": ({"branch": "", "state": "b", "visit": 1},),
        "join": "",
        "begins": True,
    }
    assert begun(decision.reply) == [("", "b", 1, 1)]
    assert life.at().since_ts == life.now.wall_s
    life.ends()
    decision = life.ends()
    assert kinds(decision) == ["step_ended", "run_completed"]
    assert record(decision, "run_completed") == {"run_id": "r1", "steps": 3}
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r1", 1, broken_off=False)]
    run = life.of()
    assert (run.status, run.steps, run.worked_s, run.worker) == (RunStatus.COMPLETED, 3, 3.5, 0)
    assert run.ended_ts == life.now.wall_s
    assert "r1" not in life.world.runs.live
    assert life.world.runs.counts()["completed"] == 1
    assert not life.world.busy


def test_a_run_may_begin_in_the_middle() -> None:
    life = started()
    life.run(state="b")
    assert begun(life.load().reply) == [("", "b", 1, 1)]
    assert life.finishes().steps == 2


def test_a_parallel_forks_and_joins() -> None:
    life = loaded("fork")
    decision = life.ends()
    assert record(decision, "step_ended")["outcome"] == "parallel"
    assert begun(decision.reply) == [("split:1/left", "left", 1, 1), ("split:1/right", "right", 1, 1)]
    main, left, right = life.of().places
    assert (main.status, main.state, main.join) == (PlaceStatus.FORKED, "split", "merge")
    assert (left.branch, left.join, left.status) == ("split:1/left", "merge", PlaceStatus.RUNNING)
    assert life.of().at == "left, right"
    decision = life.ends(branch=right.branch)
    assert begun(decision.reply) == [("split:1/right", "right2", 1, 1)]
    decision = life.ends(branch=left.branch)
    assert record(decision, "step_ended")["outcome"] == "at_join"
    assert decision.reply == {"steps": (), "join": None}, "one is still on its way"
    decision = life.ends(branch=right.branch)
    assert decision.reply == {"steps": (), "join": "merge"}
    assert life.of().at == "merge"
    decision = life.merges(set_={"l": "1"})
    assert record(decision, "run_joined") == {"run_id": "r1", "state": "merge", "visit": 1, "begins": True}
    assert begun(decision.reply) == [("", "merge", 1, 1)]
    assert len(life.of().places) == 1
    assert life.finishes().status is RunStatus.COMPLETED
    assert life.of().steps == 6


def test_a_parallel_of_too_many_is_a_failure_that_says_so() -> None:
    life = loaded("fork")
    branches = [{"branch": f"split:1/x#{n}", "state": "left"} for n in range(MAX_BRANCHES + 1)]
    decision = life.ends(outcome={"parallel": branches, "join": "merge"})
    assert kinds(decision) == ["step_failed", "run_stopping", "run_failed"]
    assert record(decision, "step_failed")["message"] == f"257 branches; a parallel has at most {MAX_BRANCHES}"


def test_visits_are_counted_and_max_steps_ends_a_loop() -> None:
    life = loaded("loop", max_steps=5)
    for _ in range(4):
        decision = life.ends()
    assert record(decision, "step_ended")["next"] == ({"branch": "", "state": "turn", "visit": 3},)
    decision = life.ends()
    assert kinds(decision) == ["step_ended", "run_failed"]
    error = record(decision, "run_failed")["error"]
    assert (error["type"], error["state"]) == ("MaxSteps", "back")
    assert life.of().steps == 5
    life.order("retry")
    assert begun(life.load().reply) == [("", "back", 3, 1)], "where it was, for as many steps again"
    for _ in range(5):
        life.ends()
    assert life.of().status is RunStatus.FAILED
    assert life.of().steps == 10


def test_one_of_its_last_step_completes() -> None:
    life = loaded("chain", max_steps=3)
    assert life.finishes().status is RunStatus.COMPLETED


def test_a_flow_that_is_not_there_is_refused() -> None:
    life = started()
    reply = life.run("nobody's").reply
    assert isinstance(reply, Refusal)
    assert (reply.name, reply.data) == ("not_found", {"field": "flow"})
    assert "chain, fork" in reply.message
    assert life.turns[-1].decision.entries == ()


def test_as_many_workers_as_there_may_be_and_the_next_when_one_ends() -> None:
    life = started()
    for number in range(MAX_WORKERS + 2):
        life.run("one", f"r{number}")
    waiting = [f"r{MAX_WORKERS}", f"r{MAX_WORKERS + 1}"]
    assert [life.of(run_id).status for run_id in waiting] == [RunStatus.PENDING] * 2
    assert life.turns[-1].decision.reply == {"run_id": waiting[1], "status": "pending"}
    life.load("r2")
    decision = life.ends("r2")
    assert effects(decision, fx.StartWorker) == [fx.StartWorker(waiting[0], 1)], "the one that waited longest"
    decision = life.order("cancel", "r0")
    assert effects(decision, fx.StartWorker) == [fx.StartWorker(waiting[1], 1)]


def test_the_cycle_takes_nobodys_place() -> None:
    life = started()
    for number in range(MAX_WORKERS):
        life.run("one", f"r{number}")
        life.load(f"r{number}")
        life.ends(f"r{number}", outcome={"retry_after_s": 1_900.0})
    life.pass_("drowsy_due")
    life.pass_("sleep_due")
    life.pass_("retry_due")
    assert len(life.workers) == MAX_WORKERS + 1
    assert sum(run.worker > 0 for run in life.world.runs.live.values() if not run.cycle) == MAX_WORKERS


def test_more_runs_than_are_kept_in_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_requests, "MAX_LIVE_RUNS", 2)
    life = started()
    life.run("one", "a")
    life.run("one", "b")
    for decision in (life.run("one", "c"), life.do(re.RunImportWanted(CLIENT, life.of("a"), None))):
        assert isinstance(decision.reply, Refusal)
        assert decision.reply.name == "too_many"
    life.load("a")
    life.ends("a")
    assert life.run("one", "d").reply == {"run_id": "d", "status": "running"}
    ended = re.RunImportWanted(CLIENT, life.of("a"), None)
    assert not isinstance(life.do(ended).reply, Refusal), "what has ended takes no room"


def test_code_that_does_not_load_fails_the_run_and_a_retry_tries_again() -> None:
    life = started()
    life.run()
    worker = life.workers["r1"]
    decision = life.do(re.WorkerCannotLoad(**worker.names, error={**ERROR, "type": "SyntaxError"}))
    assert kinds(decision) == ["run_failed"]
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r1", 1, broken_off=False)]
    assert life.of().reason == "SyntaxError: no space left on device"
    assert life.of().steps == 0
    life.order("retry")
    assert life.finishes().status is RunStatus.COMPLETED


def test_a_state_that_is_gone_pauses_the_run_and_a_resume_brings_it_on() -> None:
    life = loaded()
    life.ends()
    life.dies()
    worker = life.workers["r1"]
    worker.loaded = True
    decision = life.do(re.WorkerLoaded(**worker.names, version=2, initial="a", states=frozenset({"a", "c"})))
    assert kinds(decision) == ["run_paused"]
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r1", 2, broken_off=False)]
    run = life.of()
    assert run.status is RunStatus.PAUSED
    assert run.reason == "flow chain has no state 'b' any more: bring it back, or resume at another state"
    assert (run.version, run.at) == (1, "b"), "nothing is guessed"
    life.order("resume", state="c")
    assert begun(life.load().reply)[0][:2] == ("", "c")


def test_a_join_that_is_gone_pauses_as_well() -> None:
    life = loaded("fork")
    life.ends()
    life.dies()
    worker = life.workers["r1"]
    worker.loaded = True
    states = frozenset({"split", "left", "right", "right2"})
    life.do(re.WorkerLoaded(**worker.names, version=2, initial="split", states=states))
    assert "'merge'" in life.of().reason


def test_a_run_of_another_flow_by_a_resume() -> None:
    life = loaded()
    life.ends()
    life.order("pause")
    life.ends()
    reply = life.order("resume", flow="nobody's").reply
    assert isinstance(reply, Refusal)
    assert life.order("resume", flow="one", state="only").reply == {"run_id": "r1", "status": "running"}
    assert life.finishes().flow == "one"


def test_a_run_that_ended_is_forgotten_when_it_is_kept_no_longer() -> None:
    life = loaded("one")
    assert life.do(re.RunExpired(DUE, "r1")).entries == (), "not while it goes on"
    life.ends()
    assert record(life.do(re.RunExpired(DUE, "r1")), "run_removed") == {
        "run_id": "r1",
        "status": "completed",
        "why": "kept no longer",
    }
    assert life.world.runs.counts()["completed"] == 0
    assert life.do(re.RunExpired(DUE, "r1")).entries == ()
