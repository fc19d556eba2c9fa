"""What clients ask of runs: each order in each moment of a run, and at the same instant as a step's end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.life import Life, at, effects, kinds, record, started
from core.test_runs import begun, loaded
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State
from torpord.core.runs import MAX_WORKERS, PlaceStatus, RunStatus, Stopping


def in_line() -> Life:
    life = started()
    for number in range(MAX_WORKERS):
        life.run("one", f"before-{number}")
    life.run()
    return life


def loading() -> Life:
    life = started()
    life.run()
    return life


def waiting_nearly() -> Life:
    life = loaded()
    life.ends(outcome={"retry_after_s": 5.0})
    return life


def waiting_long() -> Life:
    life = loaded()
    life.ends(outcome={"retry_after_s": 500.0})
    return life


def in_branches() -> Life:
    life = loaded("fork")
    life.ends()
    return life


def merging() -> Life:
    life = in_branches()
    life.ends(branch="split:1/left")
    life.ends(branch="split:1/right")
    life.ends(branch="split:1/right")
    assert life.workers["r1"].join == "merge"
    return life


def paused() -> Life:
    life = loading()
    life.load()
    life.order("pause")
    life.ends()
    return life


def pausing() -> Life:
    life = loaded()
    life.order("pause")
    return life


def completed() -> Life:
    life = loaded()
    life.finishes()
    return life


def failed() -> Life:
    life = loaded()
    life.fails()
    return life


def cancelled() -> Life:
    life = loaded()
    life.order("cancel")
    return life


NO = "refused"
MOMENTS: dict[str, tuple[Callable[[], Life], dict[str, str]]] = {
    # moment: how it comes about, and the status in the answer to (pause, resume, cancel, retry, remove)
    "in line": (in_line, "paused pending cancelled refused refused"),
    "loading": (loading, "paused running cancelled refused refused"),
    "at a step": (loaded, "running running cancelled refused refused"),
    "waiting for a near attempt": (waiting_nearly, "paused running cancelled refused refused"),
    "waiting for a far attempt": (waiting_long, "paused running cancelled refused refused"),
    "in branches": (in_branches, "running running cancelled refused refused"),
    "merging": (merging, "paused running cancelled refused refused"),
    "pausing": (pausing, "running running cancelled refused refused"),
    "paused": (paused, "paused running cancelled refused refused"),
    "completed": (completed, "refused refused refused refused removed"),
    "failed": (failed, "refused refused refused running removed"),
    "cancelled": (cancelled, "refused refused cancelled refused removed"),
}
ORDERS = ("pause", "resume", "cancel", "retry", "remove")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_order_in_a_moment(moment: str, order: str) -> None:
    make, answers = MOMENTS[moment]
    life = make()
    answer = answers.split()[ORDERS.index(order)]
    decision = life.order(order)
    if answer == NO:
        assert isinstance(decision.reply, Refusal)
        assert decision.reply.name == "conflict"
        assert decision.reply.data == {"status": life.of().status.value}
        assert order in decision.reply.message
        return
    assert decision.reply == {"run_id": "r1", "status": answer}
    if order != "remove":
        assert life.of().status.value == answer
    assert life.state is State.WAKE
    again = life.order(order)
    if order in ("pause", "cancel"):
        assert kinds(again) == ["activity_seen"], "what holds already succeeds and changes nothing"


@pytest.mark.parametrize("moment", [name for name in MOMENTS if name not in ("completed", "failed", "cancelled")])
def test_a_run_that_is_paused_and_resumed_goes_on_where_it_was(moment: str) -> None:
    life = MOMENTS[moment][0]()
    life.order("pause")
    for branch in [*life.workers["r1"].steps] if "r1" in life.workers else []:
        life.ends(branch=branch)
    assert life.of().status is RunStatus.PAUSED
    assert (life.of().worker, life.of().reason) == (0, "asked for")
    assert not any(run.run_id == "r1" for run in life.world.runs.busy)
    life.order("resume")
    life.advance(1_000.0)
    for _ in range(MAX_WORKERS + 2):
        for deadline in life.due():
            life.do(ev.DeadlinePassed({}, deadline.name))
        life.all_finish()
    assert life.of().status is RunStatus.COMPLETED
    done = [record_.data() for record_ in (e.record for e in life.entries) if record_.kind == "step_ended"]
    steps = [(each["branch"], each["state"], each["visit"]) for each in done if each["run_id"] == "r1"]
    assert len(set(steps)) == len(steps) == life.of().steps


def test_an_order_for_a_run_that_never_was() -> None:
    reply = started().order("pause").reply
    assert isinstance(reply, Refusal)
    assert (reply.name, reply.data) == ("not_found", {"field": "run_id"})


def test_an_order_wakes_and_a_refused_one_does_not() -> None:
    life = at(State.DROWSY)
    life.order("pause", "nobody's")
    assert life.state is State.DROWSY
    life.run("one")
    life.load()
    life.ends()
    life.pass_("drowsy_due")
    life.order("remove")
    assert life.state is State.WAKE


# At the same instant: what the writer takes first.


def test_pause_then_the_end_of_the_step() -> None:
    life = loaded()
    decision = life.order("pause")
    assert kinds(decision) == ["activity_seen", "run_stopping"]
    assert decision.effects == (), "a pause lets the step end"
    decision = life.ends()
    assert kinds(decision) == ["step_ended", "run_paused"]
    assert record(decision, "step_ended")["begins"] is False
    assert (life.at().state, life.at().status, life.at().attempt) == ("b", PlaceStatus.READY, 0)
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r1", 1, broken_off=False)]
    life.order("resume")
    assert begun(life.load().reply) == [("", "b", 1, 1)]


def test_the_end_of_the_step_then_pause() -> None:
    life = loaded()
    life.ends()
    life.order("pause")
    assert life.of().stopping is Stopping.PAUSE
    life.ends()
    assert (life.of().status, life.of().at) == (RunStatus.PAUSED, "c")


def test_pause_then_the_end_of_the_last_step() -> None:
    life = loaded("one")
    life.order("pause")
    assert kinds(life.ends()) == ["step_ended", "run_completed"], "there is nothing left to pause"


def test_pause_then_a_failure() -> None:
    life = loaded()
    life.order("pause")
    assert kinds(life.fails(retries=1)) == ["step_failed", "run_paused"]
    assert life.at().status is PlaceStatus.WAITING
    life.order("resume")
    assert life.of().status is RunStatus.PENDING
    assert kinds(life.pass_("retry_due")) == ["run_started"]


def test_pause_then_the_last_failure() -> None:
    life = loaded()
    life.order("pause")
    assert kinds(life.fails()) == ["step_failed", "run_stopping", "run_failed"], "nothing of it could be resumed"


def test_pause_in_branches_of_which_one_fails() -> None:
    life = in_branches()
    life.order("pause")
    assert kinds(life.fails(branch="split:1/left")) == ["step_failed", "run_stopping"]
    assert kinds(life.ends(branch="split:1/right")) == ["step_ended", "run_failed"]


def test_pause_then_the_death_of_the_worker() -> None:
    life = loaded()
    life.order("pause")
    assert kinds(life.dies()) == ["worker_ended", "step_interrupted", "run_paused"]
    life.order("resume")
    assert begun(life.load().reply) == [("", "a", 1, 2)]


def test_pause_and_resume_before_the_step_has_ended() -> None:
    life = loaded()
    life.order("pause")
    assert kinds(life.order("resume")) == ["activity_seen", "run_stopping"]
    assert begun(life.ends().reply) == [("", "b", 1, 1)]


def test_resume_begins_what_the_pause_had_kept_from_beginning() -> None:
    life = in_branches()
    life.order("pause")
    life.ends(branch="split:1/right")
    assert life.at(branch="split:1/right").status is PlaceStatus.READY
    (begin,) = effects(life.order("resume"), fx.BeginSteps)
    assert [step["state"] for step in begin.steps] == ["right2"]


def test_resume_lets_branches_merge_that_came_there_during_the_pause() -> None:
    life = in_branches()
    life.ends(branch="split:1/right")
    life.order("pause")
    life.ends(branch="split:1/right")
    life.ends(branch="split:1/left")
    assert life.of().status is RunStatus.PAUSED
    life.order("resume")
    assert life.load().reply == {"steps": (), "join": "merge"}


def test_cancel_then_the_end_of_the_step() -> None:
    life = loaded()
    worker = life.workers["r1"]
    late = worker.report()
    life.advance(3.0)
    decision = life.order("cancel")
    assert kinds(decision) == ["activity_seen", "step_interrupted", "run_cancelled"]
    interrupted = record(decision, "step_interrupted")
    assert (interrupted["why"], interrupted["duration_s"]) == ("cancelled", 3.0)
    assert effects(decision, fx.StopWorker) == [fx.StopWorker("r1", 1, broken_off=True)]
    assert isinstance(life.do(late).reply, Refusal)
    assert life.do(worker.gone()).entries == ()
    assert life.of().status is RunStatus.CANCELLED
    assert life.world.runs.counts()["cancelled"] == 1


def test_the_end_of_the_last_step_then_cancel() -> None:
    life = loaded("one")
    life.ends()
    reply = life.order("cancel").reply
    assert isinstance(reply, Refusal)
    assert "start a new one" in reply.message


def test_an_order_in_the_batch_in_which_the_run_ended_is_to_be_asked_again() -> None:
    """The store was read before the batch: it still has the run as it was."""
    life = loaded("one")
    before = life.of()
    life.ends()
    reply = life.order("cancel", stored=before).reply
    assert isinstance(reply, Refusal)
    assert (reply.name, reply.data) == ("conflict", {"run_id": "r1"})


@pytest.mark.parametrize("make", [in_line, paused, waiting_long])
def test_cancel_where_there_is_no_worker_ends_none(make: Callable[[], Life]) -> None:
    life = make()
    decision = life.order("cancel")
    assert [effect for effect in decision.effects if isinstance(effect, fx.StopWorker)] == []
    assert life.of().status is RunStatus.CANCELLED


def test_each_resume_elsewhere_is_a_visit_of_its_own() -> None:
    """Also where no step ended in between: keys of calls are made of the visit, and those of another are not its."""
    life = paused()
    visits = []
    for state in ("c", "a", "c"):
        life.order("resume", state=state)
        ((_, at, visit, attempt),) = begun(life.load().reply)
        assert (at, attempt) == (state, 1)
        visits.append((state, visit))
        life.order("pause")
        life.dies()
    assert len(set(visits)) == 3
    assert ("a", 1) not in visits
    life.order("resume")
    assert begun(life.load().reply) == [("", "c", visits[-1][1], 2)], "and without another state it goes on with it"


def test_retry_goes_on_from_the_state_that_failed() -> None:
    life = loaded()
    life.ends()
    life.fails()
    decision = life.order("retry")
    assert kinds(decision) == ["activity_seen", "run_retried", "run_started"]
    assert record(decision, "run_retried")["by_request"] is True
    run = life.of()
    assert (run.error, run.ended_ts, run.reason, run.steps) == (None, None, "", 1)
    assert life.world.runs.counts() == {**dict.fromkeys(RunStatus, 0), "running": 1}
    assert begun(life.load().reply) == [("", "b", 1, 2)]
    life.fails(retries=1)
    assert life.at().status is PlaceStatus.WAITING, "its failures count anew"


def test_retry_of_a_flow_that_is_gone_is_refused() -> None:
    life = loaded()
    life.fails()
    flows = tuple(name for name in life.world.policy.flows if name != "chain")
    life.do(ev.SettingsRead({}, type(life.world.policy)(flows=flows), (), by_request=False))
    reply = life.order("retry").reply
    assert isinstance(reply, Refusal)
    assert reply.name == "not_found"


def test_remove_forgets_the_run_and_its_count() -> None:
    life = loaded("one")
    life.ends()
    assert record(life.order("remove"), "run_removed") == {
        "run_id": "r1",
        "status": "completed",
        "why": "asked for",
    }
    assert life.world.runs.counts() == dict.fromkeys(RunStatus, 0)
    reply = life.order("remove").reply
    assert isinstance(reply, Refusal)
    assert reply.name == "not_found"
