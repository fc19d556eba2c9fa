"""The end of the daemon at any moment of a run: killed, or told to go. What was done stays done, the rest goes on."""

from __future__ import annotations

import pytest

from core.life import SHELL, Life, at, effects, kinds, record, started
from core.model_worker import failed
from core.test_run_orders import MOMENTS
from core.test_runs import begun, loaded
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import report
from torpord.core import run_events as re
from torpord.core.lifecycle import State, Trigger
from torpord.core.runs import PlaceStatus, RunStatus

# Loading, six steps of which two in branches, and a merge.
ALL_OF_FORK = 8
FORK = [("split", 1), ("left", 1), ("right", 1), ("right2", 1), ("merge", 1), ("after", 1)]


def done(life: Life, run_id: str = "r1") -> list[tuple[str, int]]:
    found = [e.record.data() for e in life.entries if e.record.kind == "step_ended"]
    return [(each["state"], each["visit"]) for each in found if each["run_id"] == run_id]


@pytest.mark.parametrize("moment", range(ALL_OF_FORK))
def test_killed_at_any_moment_it_goes_on_from_there(moment: int) -> None:
    life = started()
    life.run("fork")
    for _ in range(moment):
        life.goes_on()
    at_it = [place.state for place in life.of().having(PlaceStatus.RUNNING)]
    decision = life.start(cause="crash")
    assert kinds(decision)[:2] == ["started", "worker_ended"]
    assert kinds(decision).count("step_interrupted") == len(at_it)
    assert effects(decision, fx.StartWorker) == [fx.StartWorker("r1", 2)]
    again = life.load()
    if at_it:
        assert [(step[1], step[3]) for step in begun(again.reply)] == [(state, 2) for state in at_it]
    life.finishes()
    assert life.of().status is RunStatus.COMPLETED
    assert sorted(done(life)) == sorted(FORK), "each once, none left out"
    assert life.of().crashes == 0


def test_killed_at_every_moment_of_one_run() -> None:
    life = started()
    life.run("fork")
    for moment in range(ALL_OF_FORK):
        for _ in range(moment + 1):
            life.goes_on()
        life.start(cause="crash")
    life.finishes()
    assert sorted(done(life)) == sorted(FORK)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_start_finds_a_run_as_it_was(moment: str) -> None:
    life = MOMENTS[moment][0]()
    before = life.of()
    life.start(cause="crash")
    now = life.of()
    if moment == "pausing":
        assert now.status is RunStatus.PAUSED
    elif before.status in (RunStatus.PENDING, RunStatus.RUNNING):
        assert now.status is before.status
        assert [(p.state, p.visit) for p in now.places] == [(p.state, p.visit) for p in before.places]
    else:
        assert now == before


def test_a_pause_that_the_daemons_end_came_before_holds() -> None:
    life = loaded()
    life.order("pause")
    assert kinds(life.start(cause="crash"))[:4] == ["started", "worker_ended", "step_interrupted", "run_paused"]
    assert "r1" not in life.workers


def test_a_failure_that_the_daemons_end_came_before_holds() -> None:
    life = loaded("fork")
    life.ends()
    life.fails(branch="split:1/left")
    assert kinds(life.start(cause="crash"))[3] == "run_failed"


def test_more_runs_than_workers_share_them_after_a_start() -> None:
    life = started()
    for number in range(6):
        life.run("one", f"r{number}")
    decision = life.start(cause="crash")
    assert [effect.run_id for effect in effects(decision, fx.StartWorker)] == ["r0", "r1", "r2", "r3"]


def test_told_to_go_it_lets_steps_end_and_keeps_what_they_did() -> None:
    life = loaded()
    life.run("one", "waits")
    life.load("waits")
    life.ends("waits", outcome={"retry_after_s": 5.0})
    decision = life.do(ev.StopWanted(SHELL, "stop"))
    assert effects(decision, fx.YieldWorker) == [fx.YieldWorker("r1", 1, 2.0)]
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("waits", 1, broken_off=False)]
    assert isinstance(decision.effects[-1], fx.GoDown), "after its workers were told"
    ended = life.ends()
    assert kinds(ended) == ["step_ended", "run_interrupted"]
    assert record(ended, "step_ended")["begins"] is False
    assert record(ended, "run_interrupted")["why"] == "the daemon goes down"
    assert effects(ended, fx.StopWorker) == [fx.StopWorker("r1", 1, broken_off=False)]
    assert life.of().status is RunStatus.PENDING
    life.do(ev.Leaving(SHELL, "stop"))
    life.start(cause="manual")
    assert begun(life.load().reply) == [("", "b", 1, 1)]


def test_told_to_go_a_failure_is_an_interruption() -> None:
    life = loaded()
    life.do(ev.StopWanted(SHELL, "stop"))
    assert kinds(life.fails()) == ["step_interrupted", "run_interrupted"]
    life.do(ev.Leaving(SHELL, "stop"))
    life.start(cause="manual")
    assert begun(life.load().reply) == [("", "a", 1, 2)]
    assert life.at().failures == 0


def test_told_to_go_the_last_step_completes_and_nothing_else_begins() -> None:
    life = started()
    for number in range(5):
        life.run("one", f"r{number}")
    life.load("r0")
    life.do(ev.StopWanted(SHELL, "stop"))
    decision = life.ends("r0")
    assert kinds(decision) == ["step_ended", "run_completed"]
    assert effects(decision, fx.StartWorker) == []


def test_told_to_go_a_worker_that_is_killed_is_no_crash() -> None:
    life = loaded("fork")
    life.ends()
    life.do(ev.StopWanted(SHELL, "signal"))
    life.ends(branch="split:1/left")
    decision = life.dies()
    assert kinds(decision) == ["worker_ended", "step_interrupted", "run_interrupted"]
    assert life.of().crashes == 0


def test_told_to_go_while_it_loads_or_merges() -> None:
    life = started()
    life.run()
    decision = life.do(ev.StopWanted(SHELL, "stop"))
    assert kinds(decision) == ["stop_requested", "run_interrupted"]
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r1", 1, broken_off=False)]


def test_told_to_go_a_pause_and_a_failure_keep_their_word() -> None:
    life = loaded()
    life.order("pause")
    life.do(ev.StopWanted(SHELL, "stop"))
    assert kinds(life.ends()) == ["step_ended", "run_paused"]
    other = loaded("fork")
    other.ends()
    other.fails(branch="split:1/left")
    other.do(ev.StopWanted(SHELL, "stop"))
    assert kinds(other.ends(branch="split:1/right")) == ["step_ended", "run_failed"]


@pytest.mark.parametrize("outcome", ["ends", "fails", "dies"])
def test_the_cycle_over_the_daemons_end(outcome: str) -> None:
    life = at(State.SLEEP)
    run_id = life.world.cycle.run_id
    life.do(ev.StopWanted(SHELL, "stop"))
    if outcome == "dies":
        life.dies(run_id)
    else:
        life.ends(run_id, outcome=failed() if outcome == "fails" else None)
    assert life.of(run_id).status is RunStatus.PENDING
    assert life.world.cycle.failures == 0
    life.do(ev.Leaving(SHELL, "stop"))
    life.start(cause="manual")
    life.trigger(Trigger.FORCE_SLEEP)
    life.cycle_completes()
    assert life.world.cycle.completed_ts is not None
    assert len(done(life, run_id)) == len(set(done(life, run_id))) == 5


def test_a_worker_of_another_version_leaves_the_run_to_the_next_process() -> None:
    life = loaded()
    life.ends()
    life.dies()
    worker = life.workers["r1"]
    why = "torpor 2 is installed now"
    decision = life.do(re.WorkerOutdated(**worker.names, why=why))
    assert kinds(decision)[:2] == ["run_interrupted", "hibernate_requested"]
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r1", 2, broken_off=False)]
    run = life.of()
    assert (run.status, run.reason, run.at, run.crashes) == (RunStatus.PENDING, why, "b", 1)
    assert life.world.lifecycle.state is State.SLEEP, "it is not busy, and on its way down"
    (told,) = [each for each in report.why(life.world, life.now)["not_yet_because"] if each["kind"] == "upgraded"]
    assert (told["who"], told["why"]) == ("chain (r1)", f"it goes on with the daemon's next start: {why}")
    life.do(re.WorkerOutdated(**life.workers[life.world.cycle.run_id].names, why=why))
    life.pass_("hibernate_due")
    assert life.world.lifecycle.state is State.HIBERNATION
    assert life.of().workers == 2, "no worker is started for it meanwhile"
    life.start()
    assert life.of().status is RunStatus.RUNNING
    life.load()
    assert life.finishes().status is RunStatus.COMPLETED
    assert [state for state, _ in done(life)] == ["a", "b", "c"]


def test_where_the_next_start_is_of_the_same_version_nobody_is_sent_down() -> None:
    life = started()
    life.run()
    decision = life.do(re.WorkerOutdated(**life.workers["r1"].names, why="two installations", replaced=False))
    assert kinds(decision) == ["run_interrupted"]
    assert (life.of().status, life.world.lifecycle.state) == (RunStatus.PENDING, State.WAKE)
    assert not life.world.busy


def test_a_sleep_cycle_of_another_version_keeps_nobody_awake_and_is_no_failure() -> None:
    life = at(State.SLEEP)
    worker = next(iter(life.workers.values()))
    life.do(re.WorkerOutdated(**worker.names, why="another version"))
    assert (life.world.cycle.phase, life.world.cycle.failures) == ("ended", 0)
    life.pass_("hibernate_due")
    assert life.world.lifecycle.state is State.HIBERNATION
    life.start()
    assert not life.of(worker.run_id).awaits_start
