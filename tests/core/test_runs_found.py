"""What was found in the decisions about runs: each of these stories left a run, or a daemon, that never went on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings

from core.histories import lives_of_runs, tried
from core.life import CLIENT, POLICY, Life, asleep_with, at, effects, kinds, record, started
from core.test_runs import begun, loaded
from torpord.control import run_imports
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import run_events as re
from torpord.core.deadlines import deadlines
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State, Trigger
from torpord.core.runs import PlaceStatus, Run, RunStatus
from torpord.core.world import World

HOUR_S = 3_600.0


def test_a_run_that_fails_while_it_is_to_pause_can_be_retried() -> None:
    life = loaded()
    life.order("pause")
    life.fails()
    assert life.of().status is RunStatus.FAILED
    assert life.world.runs.counts()["failed"] == 1
    life.order("retry")
    assert life.finishes().status is RunStatus.COMPLETED
    assert life.world.runs.counts() == {**dict.fromkeys(RunStatus, 0), "completed": 1}


# A cycle whose flow is not the settings' any more.


def sleep_flow(life: Life, flow: str, **more: float) -> None:
    policy = replace(life.world.policy, sleep_flow=flow, **more)
    life.do(ev.SettingsRead(CLIENT, policy, ("sleep.flow",), by_request=False))


def test_a_failed_cycle_of_the_flow_before_is_as_any_failed_run() -> None:
    life = asleep_with("fork")
    old = life.world.cycle.run_id
    life.step_fails()
    life.trigger(Trigger.REQUEST_ARRIVED)
    sleep_flow(life, "chain")
    life.trigger(Trigger.FORCE_SLEEP)
    new = life.world.cycle.run_id
    assert (life.of(old).status, life.of(old).cycle) == (RunStatus.FAILED, False)
    assert (life.of(new).status, life.of(new).flow) == (RunStatus.RUNNING, "chain")
    upkept = {**dict.fromkeys(RunStatus, 0), "completed": 1}
    assert life.world.runs.counts() == {**upkept, "failed": 1, "running": 1}
    assert old not in life.world.runs.live, "as any run that has ended"
    life.cycle_completes()
    assert isinstance(life.order("resume", old).reply, Refusal)
    assert life.order("retry", old).reply == {"run_id": old, "status": "running"}
    assert life.finishes(old).status is RunStatus.COMPLETED
    assert life.world.runs.counts() == {**upkept, "completed": 3}


def test_a_cycle_of_the_flow_before_that_still_ends_its_step_is_waited_for() -> None:
    life = asleep_with("chain")
    old = life.world.cycle.run_id
    life.trigger(Trigger.REQUEST_ARRIVED)
    sleep_flow(life, "fork")
    decision = life.trigger(Trigger.FORCE_SLEEP)
    assert "still ends its step" in record(decision, "sleep_cycle_skipped")["reason"]
    assert effects(decision, fx.StartWorker) == []
    assert [deadline.name for deadline in deadlines(life.world)] == []
    assert kinds(life.ends(old)) == ["step_ended", "run_interrupted"]
    assert life.of(old).status is RunStatus.PENDING
    assert life.world.cycle.phase == "ended"
    assert life.due()[0].name == "hibernate_due", "nobody stays for what comes in a next sleep"
    life.pass_("cycle_due")
    assert (life.of(old).status, life.of(old).cycle) == (RunStatus.PAUSED, False)
    assert life.of(life.world.cycle.run_id).flow == "fork"
    life.cycle_completes()
    life.order("resume", old)
    assert life.finishes(old).status is RunStatus.COMPLETED


@pytest.mark.parametrize("ends", [False, True])
def test_no_deadline_of_a_cycle_of_the_flow_before_comes_for_ever(*, ends: bool) -> None:
    """One was completed, long ago: a next one would be due."""
    life = asleep_with("chain")
    life.cycle_completes()
    life.trigger(Trigger.REQUEST_ARRIVED)
    life.advance(5 * HOUR_S)
    life.trigger(Trigger.FORCE_SLEEP)
    life.cycle_completes()  # the upkeep
    old = life.world.cycle.run_id
    life.load(old)
    life.trigger(Trigger.REQUEST_ARRIVED)
    sleep_flow(life, "fork", sleep_min_interval_s=10 * HOUR_S)
    life.trigger(Trigger.FORCE_SLEEP)
    life.trigger(Trigger.HEARTBEAT_REFRESH)
    if ends:
        life.ends(old)
    passed = [life.pass_(due[0].name) for _ in range(20) if (due := life.due())]
    assert len(passed) <= 1
    assert (old in life.workers) is not ends


# Loops that no step ends.


@pytest.mark.parametrize("after_s", [0.0, 30.0, 60.0])
def test_a_cycle_that_asks_for_another_attempt_for_ever_hibernates(after_s: float) -> None:
    life = at(State.SLEEP)
    begun_s = life.now.awake_s
    attempts = 0
    while life.state is State.SLEEP:
        if life.cycle_works:
            life.ends(life.world.cycle.run_id, outcome={"retry_after_s": after_s})
            attempts += 1
        else:
            life.pass_(life.next_deadline().name)
        assert life.now.awake_s - begun_s < 2 * HOUR_S
        assert attempts <= 2 * HOUR_S / max(after_s, 1.0)
    assert life.state is State.HIBERNATION
    assert life.of(life.world.cycle.run_id).status in (RunStatus.PENDING, RunStatus.FAILED)


def test_a_step_that_asks_again_at_once_for_ever_ends_by_max_steps() -> None:
    life = loaded("one", max_steps=7)
    for _ in range(2):  # a retry gives it as many once more
        begun_s = life.now.awake_s
        for attempts in range(1, 8):
            decision = life.ends(outcome={"retry_after_s": 0.0})
            assert record(decision, "step_failed")["retry_in_s"] > 0.0, "the others have their turn between"
            if attempts < 7:
                assert life.of().status is RunStatus.RUNNING
                life.pass_("retry_due")
        life.pass_("retry_due")
        assert life.of().status is RunStatus.FAILED
        assert life.of().error["type"] == "MaxSteps"
        assert life.now.awake_s - begun_s >= 0.5
        life.order("retry")
        life.load()
    assert life.finishes().status is RunStatus.COMPLETED


def test_a_cycle_that_ends_thrice_by_max_steps_is_in_quarantine() -> None:
    life = started(replace(POLICY, sleep_flow="loop"))
    for failures in (1, 2, 3):
        life.trigger(Trigger.FORCE_SLEEP)
        while life.world.cycle.phase == "running":
            life.goes_on(life.world.cycle.run_id)
        cycle = life.world.cycle
        assert (cycle.failures, cycle.last["error"].partition(":")[0]) == (failures, "MaxSteps")
        assert (cycle.quarantine_until_ts is not None) == (failures == 3)
        life.trigger(Trigger.REQUEST_ARRIVED)
        life.advance(cycle.retry_ts - life.now.wall_s)


# Where a run goes on.


def paused_behind(state: str) -> Life:
    """Return a chain that is paused at the state behind this one."""
    life = loaded()
    while life.at().state != state:
        life.ends()
    life.order("pause")
    life.ends()
    assert life.of().status is RunStatus.PAUSED
    return life


def test_a_state_that_a_run_is_told_to_go_on_at_is_a_visit_of_its_own() -> None:
    life = paused_behind("b")
    ((_, _, first, _),) = [step for step in done(life) if step[1] == "a"]
    life.order("resume", state="a")
    ((branch, state, visit, attempt),) = begun(life.load().reply)
    assert (branch, state, attempt) == ("", "a", 1)
    assert visit > first
    assert life.finishes().status is RunStatus.COMPLETED
    steps = done(life)
    assert [step[1] for step in steps] == ["a", "b", "a", "b", "c"]
    assert len({step[:3] for step in steps}) == len(steps), "keys of calls are made of these"


def done(life: Life) -> list[tuple[str, str, int, int]]:
    ended = [entry.record.data() for entry in life.entries if entry.record.kind == "step_ended"]
    return [(each["branch"], each["state"], each["visit"], each["attempt"]) for each in ended]


@pytest.mark.parametrize("state", ["", "a"])
def test_a_run_that_goes_on_at_the_state_it_is_at_keeps_its_visit(state: str) -> None:
    life = loaded()
    life.ends(outcome={"retry_after_s": 5.0})
    life.order("pause")
    life.order("resume", state=state)
    life.pass_("retry_due")
    assert begun(life.load().reply) == [("", "a", 1, 2)]


@pytest.mark.parametrize("state", ["after", "left", "split"])
def test_no_state_is_the_place_of_a_run_in_the_middle_of_a_parallel(state: str) -> None:
    life = loaded("fork")
    life.ends()
    life.order("pause")
    life.ends(branch="split:1/left")
    life.ends(branch="split:1/right")
    before = life.of()
    assert before.status is RunStatus.PAUSED
    reply = life.order("resume", state=state).reply
    assert isinstance(reply, Refusal)
    assert (reply.name, reply.data) == ("invalid_params", {"field": "state"})
    assert life.of() == before
    life.order("resume")
    assert life.finishes().status is RunStatus.COMPLETED


def test_a_retry_begins_a_branch_that_had_waited_at_once() -> None:
    """Its time may be of another boot's clock, and lie days ahead."""
    life = loaded("fork")
    life.ends()
    life.ends(branch="split:1/left", outcome={"retry_after_s": 600.0})
    life.fails(branch="split:1/right")
    assert life.of().status is RunStatus.FAILED
    life.now = replace(life.now, awake_s=30.0)
    life.start(boot_id="boot-2")
    life.order("retry")
    assert sorted(begun(life.load().reply)) == [("split:1/left", "left", 1, 2), ("split:1/right", "right", 1, 2)]
    assert "retry_due" not in {deadline.name for deadline in deadlines(life.world)}
    assert life.finishes().status is RunStatus.COMPLETED


@pytest.mark.parametrize("steps", [3, 4])
def test_a_document_of_version_1_that_had_used_up_its_steps_can_go_on(steps: int) -> None:
    document = {"run_id": "old", "current_node": "b", "current_step": steps, "max_steps": 3, "completed_nodes": ["a"]}
    life = started()
    run, rows = run_imports.read(orjson.dumps(document).decode(), "r1", life.now.wall_s)
    life.do(re.RunImportWanted(CLIENT, run, rows))
    life.order("resume", flow="chain")
    assert life.finishes().status is RunStatus.COMPLETED
    assert [step[1] for step in done(life)] == ["b", "c"]
    assert life.of().steps == steps + 2


# Nobody waits for nothing.


def stuck(world: World) -> Iterator[Run]:
    """Give the runs that have their worker and their flow, and that nothing will ever move."""
    for run in world.runs.live.values():
        if run.status is not RunStatus.RUNNING or not run.loaded or run.having(PlaceStatus.RUNNING):
            continue
        joins = run.joins and run.main.status is PlaceStatus.FORKED
        if run.stopping or not (joins or run.having(PlaceStatus.WAITING)):
            yield run


@settings(tried, max_examples=200)
@given(lives_of_runs)
def test_a_run_with_a_worker_is_at_a_step_or_waits_for_a_time_or_merges(life: Life) -> None:
    for turn in life.turns:
        assert [*stuck(turn.decision.world)] == []
    for run in life.world.runs.live.values():
        if run.worker and life.workers[run.run_id].rests:
            assert run.only_waits, "its worker knows of nothing to do"
