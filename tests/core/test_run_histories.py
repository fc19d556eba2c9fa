"""What holds of every run in every life: steps are done once and in order, and nobody works who should not."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
from hypothesis import given
from hypothesis import strategies as st

from core.histories import lives_of_runs, tried
from core.life import POLICY, SHELL, Life
from core.model_worker import FLOWS, Fork, Graph
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import run_events as re
from torpord.core import run_records as rr
from torpord.core.cycle import document
from torpord.core.draft import Refusal
from torpord.core.run_history import from_document
from torpord.core.runs import ENDED, MAIN, MAX_WORKERS, PlaceStatus, RunStatus, Stopping

Step = tuple[str, int]

# Down through the states, a cycle begun, and what runs and holds there are: each of their times passes once.
MOST_DEADLINES = 64


def way(graph: Graph, first: str, *, end: str = "") -> Iterator[Step]:
    """Give the states a branch goes through, each with its visit, for ever or until its end."""
    visits: dict[str, int] = {}
    state = first
    while state != end:
        visits[state] = visits.get(state, 0) + 1
        yield state, visits[state]
        to = graph[state]
        if to is None:
            return
        state = to.join if isinstance(to, Fork) else to


def done_by_branch(life: Life, run_id: str) -> dict[str, list[Step]]:
    done: dict[str, list[Step]] = {}
    for entry in life.entries:
        record = entry.record
        if isinstance(record, rr.StepEnded) and record.run_id == run_id:
            done.setdefault(record.branch, []).append((record.state, record.visit))
    return done


def begun_at(life: Life) -> dict[str, rr.RunCreated]:
    """Return the runs that went by their flow alone: begun here, and never told to go on elsewhere."""
    records = [entry.record for entry in life.entries]
    told = {record.run_id for record in records if isinstance(record, rr.RunResumed) and record.state}
    created = {record.run_id: record for record in records if isinstance(record, rr.RunCreated)}
    return {run_id: record for run_id, record in created.items() if run_id not in told}


@tried
@given(lives_of_runs)
def test_every_step_is_done_once_and_none_is_left_out(life: Life) -> None:
    for run_id, created in begun_at(life).items():
        graph = FLOWS[created.flow]
        done = done_by_branch(life, run_id)
        for branch, steps in done.items():
            first = branch.partition("/")[2] or created.state or next(iter(graph))
            forked = branch.partition(":")[0]
            fork = graph[forked] if forked else None
            expected = way(graph, first, end=fork.join if isinstance(fork, Fork) else "")
            assert steps == [next(expected, None) for _ in steps], "as the flow goes, whatever came between"
        if any(isinstance(e.record, rr.RunCompleted) and e.record.run_id == run_id for e in life.entries):
            assert graph[done[MAIN][-1][0]] is None, "it has come to its end"


@tried
@given(lives_of_runs)
def test_attempts_of_a_visit_are_counted_and_each_ends_once(life: Life) -> None:
    begun: set[tuple[str, str, str, int, int]] = set()
    ended: set[tuple[str, str, str, int, int]] = set()
    going = begun_at(life)
    for record in (entry.record for entry in life.entries):
        if isinstance(record, rr.StepStarted | rr.StepDone) and record.run_id in going:
            at = (record.run_id, record.branch, record.state, record.visit, record.attempt)
            if isinstance(record, rr.StepStarted):
                assert at not in begun
                assert record.attempt == 1 or (*at[:4], record.attempt - 1) in ended
                begun.add(at)
            else:
                assert at not in ended
                ended.add(at)
                if isinstance(record, rr.StepEnded) and record.begins:
                    begun |= {(record.run_id, n["branch"], n["state"], n["visit"], 1) for n in record.next}
        elif isinstance(record, rr.RunJoined) and record.begins and record.run_id in going:
            begun.add((record.run_id, MAIN, record.state, record.visit, 1))
    assert ended <= begun


@tried
@given(lives_of_runs)
def test_a_run_is_what_its_status_says(life: Life) -> None:
    for turn in life.turns:
        world = turn.decision.world
        for run in world.runs.live.values():
            assert run.status not in ENDED or (run.status is RunStatus.FAILED and run.run_id in world.cycle.run_ids)
            assert (run.worker > 0) <= (run.status is RunStatus.RUNNING), "only who runs has a worker"
            assert bool(run.having(PlaceStatus.RUNNING)) <= (run.worker > 0 and run.loaded), "steps run in workers"
            assert bool(run.stopping) <= (run.worker > 0), "who has stopped is no longer stopping"
            if run.cycle and run.worker and world.cycle.phase != "running":
                assert run.stopping or world.process.leaving, "it works in its time only"
            if run.stopping:
                assert run.having(PlaceStatus.RUNNING), "nothing is waited for but a step's end"
            assert sum(place.branch == MAIN for place in run.places) == 1
            assert len({place.branch for place in run.places}) == len(run.places)
            assert (len(run.places) > 1) == (run.main.status is PlaceStatus.FORKED)
            for place in run.places:
                assert (place.status is PlaceStatus.WAITING) == (place.retry_awake_s is not None)


@tried
@given(lives_of_runs)
def test_whoever_can_go_on_does(life: Life) -> None:
    """Nobody waits for what does not come: not for a worker while there is room, not for a worker that has no work."""
    for turn in life.turns:
        world = turn.decision.world
        if world.process.leaving or not world.process.generation:
            continue
        active = [r for r in world.runs.live.values() if r.status in (RunStatus.PENDING, RunStatus.RUNNING)]
        at_work = [run for run in active if run.worker and not run.cycle]
        assert len(at_work) <= MAX_WORKERS
        for run in active:
            if run.worker == 0:
                full = len(at_work) == MAX_WORKERS
                asleep = run.cycle and (world.cycle.phase != "running" or run.run_id != world.cycle.run_id)
                assert run.only_waits or full or asleep or run.awaits_start
            elif run.loaded and not run.stopping:
                assert run.having(PlaceStatus.RUNNING, PlaceStatus.WAITING) or run.joins
                assert not run.having(PlaceStatus.READY)


@tried
@given(lives_of_runs)
def test_effects_are_for_the_worker_a_run_had_or_has(life: Life) -> None:
    for turn in life.turns:
        before, after = turn.before.runs.live, turn.decision.world.runs.live
        stopped = [(e.run_id, e.worker) for e in turn.decision.effects if isinstance(e, fx.StopWorker)]
        assert len(set(stopped)) == len(stopped), "once"
        for effect in turn.decision.effects:
            match effect:
                case fx.StartWorker():
                    assert after[effect.run_id].worker == effect.worker > 0
                case fx.StopWorker():
                    assert before[effect.run_id].worker == effect.worker > 0
                    now = after.get(effect.run_id)
                    assert now is None or now.worker != effect.worker
                case fx.BeginSteps():
                    assert before[effect.run_id].worker == after[effect.run_id].worker == effect.worker > 0
                case fx.YieldWorker():
                    assert before[effect.run_id].worker == effect.worker > 0
                    assert effect.run_id in after or (effect.run_id, effect.worker) in stopped
        gone = {(run.run_id, run.worker) for run in before.values() if run.worker}
        gone -= {(run.run_id, run.worker) for run in after.values()}
        told = isinstance(turn.event, re.WorkerGone) or "started" in {e.record.kind for e in turn.decision.entries}
        assert told or gone == set(stopped), "no worker is left behind, and none is ended that is wanted"


@tried
@given(lives_of_runs)
def test_what_an_ended_attempt_or_worker_says_changes_nothing(life: Life) -> None:
    for turn in life.turns:
        event = turn.event
        if not isinstance(event, re.WorkerEvent):
            continue
        run = turn.before.runs.live.get(event.run_id)
        if run is None or run.worker != event.worker:
            assert turn.decision.world is turn.before
        elif isinstance(event, re.StepReported | re.CallReported):
            place = run.place(event.branch)
            attempt = (event.state, event.visit, event.attempt)
            at_it = place is not None and place.status is PlaceStatus.RUNNING
            current = at_it and place is not None and (place.state, place.visit, place.attempt) == attempt
            assert isinstance(turn.decision.reply, Refusal) is not current


@tried
@given(lives_of_runs, st.integers(0, 20_000))
def test_a_deadline_that_is_decided_moves_or_goes(life: Life, later_s: int) -> None:
    life.advance(float(later_s))
    for _ in range(MOST_DEADLINES):
        due = life.due()
        if not due:
            return
        life.do(ev.DeadlinePassed(SHELL, due[0].name))
        assert due[0] not in life.due()
    raise AssertionError("one deadline after the other, for ever")


@tried
@given(lives_of_runs)
def test_runs_survive_json(life: Life) -> None:
    for run in life.stored.values():
        assert from_document(orjson.loads(orjson.dumps(document(run)))) == run
        assert from_document(orjson.loads(orjson.dumps(run))) == run


@tried
@given(lives_of_runs)
def test_every_run_comes_to_an_end(life: Life) -> None:
    """From wherever it was left: told to go on, by workers that do their work, as deadlines pass."""
    if life.world.process.leaving or any(run.awaits_start for run in life.world.runs.live.values()):
        life.start(POLICY, cause="manual")
    life.do(ev.SettingsRead(SHELL, POLICY, (), by_request=False))
    for run in list(life.world.runs.live.values()):
        if run.status is RunStatus.PAUSED or run.stopping is Stopping.PAUSE:
            life.order("resume", run.run_id, flow="" if run.flow else "chain", state="" if run.flow else "a")
        if (run.flow in ("loop", "forks") and run.status is not RunStatus.FAILED) or run.cycle:
            life.order("retry" if run.status is RunStatus.FAILED else "cancel", run.run_id)
    for _ in range(200):
        life.all_finish()
        waiting = [run for run in life.world.runs.live.values() if not run.cycle]
        if not waiting:
            break
        assert all(run.only_waits for run in waiting), "a run that has no worker and waits for no time goes on never"
        life.pass_("retry_due")
    assert [run for run in life.world.runs.live.values() if not run.cycle] == []
