"""How a run moves: workers and steps are begun, end, fail, give way. Each decision here is one commit.

Everything about a run that changes what is to be done ends in `follow`: it begins what can begin, and ends what must.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torpord.core import effects as fx
from torpord.core import records as r
from torpord.core import run_events as re
from torpord.core import run_records as rr
from torpord.core.cycle import cycle_failed
from torpord.core.deadlines import free_workers
from torpord.core.draft import Draft, Refusal, Reply
from torpord.core.runs import (
    CYCLE_PATIENCE_S,
    MAIN,
    MOST_CRASHES,
    WORKER_IDLE_S,
    Place,
    PlaceStatus,
    Run,
    RunStatus,
    Stopping,
)

Step = Mapping[str, Any]

# Of a run that failed in many branches so many errors are told with its end: a ledger line has its bounds.
MOST_ERRORS = 20
# A sleep cycle whose step asks for another attempt so often is left for a later sleep.
CYCLE_ATTEMPTS = 5


def schedule(draft: Draft) -> None:
    """Start a worker for every run that wants one, as many as there may be. The sleep cycle's does not count."""
    if draft.world.process.leaving:
        return
    waiting = [run for run in draft.world.runs.live.values() if not run.worker]
    free = free_workers(draft.world) if waiting else 0
    for run in [run for run in waiting if run.cycle or free]:
        may = _is_running_cycle(draft, run) if run.cycle else free > 0
        if may and _wants_worker(draft, run):
            free -= not run.cycle
            draft.record(rr.RunStarted(run.run_id, run.workers + 1))
            draft.effects.append(fx.StartWorker(run.run_id, run.workers + 1))


def _wants_worker(draft: Draft, run: Run) -> bool:
    if run.awaits_start or run.status not in (RunStatus.PENDING, RunStatus.RUNNING):
        return False
    again_s = run.retry_awake_s
    return not run.only_waits or (again_s is not None and again_s <= draft.now.awake_s)


def follow(draft: Draft, run_id: str) -> tuple[tuple[Step, ...], str | None]:
    """Do what follows for a run. Returns the steps its worker is to begin now, and where to merge (None: nowhere)."""
    run = draft.world.runs.live.get(run_id)
    steps: tuple[Step, ...] = ()
    join = None
    if run is not None and run.status is RunStatus.RUNNING:
        if is_stopped(draft, run):
            if not run.having(PlaceStatus.RUNNING):
                _settle(draft, run)
        elif run.loaded:
            steps, join = _begin(draft, run)
            _rest(draft, run_id)
    schedule(draft)
    return steps, join


def is_stopped(draft: Draft, run: Run) -> bool:
    """Whether no further step of it is begun."""
    return bool(run.stopping or draft.world.process.leaving)


def _begin(draft: Draft, run: Run) -> tuple[tuple[Step, ...], str | None]:
    if run.joins and run.main.status is PlaceStatus.FORKED:
        return (), run.main.join
    steps = []
    for place in run.having(PlaceStatus.READY, PlaceStatus.WAITING):
        if place.retry_awake_s is not None and place.retry_awake_s > draft.now.awake_s:
            continue
        if is_spent(run):
            _over_max_steps(draft, run, place)
            return (), None
        step: dict[str, Any] = {
            "branch": place.branch,
            "state": place.state,
            "visit": place.visit,
            "attempt": place.attempt + 1,
        }
        draft.record(rr.StepStarted(run.run_id, **step))
        steps.append(step)
    return tuple(steps), None


def _rest(draft: Draft, run_id: str) -> None:
    """Keep no worker, and no sleep, for what only waits for a later attempt."""
    run = draft.world.runs.live.get(run_id)
    if run is None or not run.only_waits or run.worker == 0:
        return
    left_s = (run.retry_awake_s or 0.0) - draft.now.awake_s
    tries = max(place.attempt for place in run.having(PlaceStatus.WAITING))
    if run.cycle and (left_s > CYCLE_PATIENCE_S or tries >= CYCLE_ATTEMPTS):
        give_way(draft)
        due_ts = draft.now.wall_s + left_s
        draft.record(r.SleepCycleSkipped("it waits for its next attempt", due_ts))
    elif left_s > WORKER_IDLE_S:
        draft.effects.append(fx.StopWorker(run_id, run.worker, broken_off=False))
        draft.record(rr.WorkerEnded(run_id, run.worker, "nothing to do for a while", crashed=False))


def is_spent(run: Run) -> bool:
    """Whether it has done all the steps it may."""
    return run.steps + run.again - run.steps_before >= run.max_steps


def _over_max_steps(draft: Draft, run: Run, place: Place) -> None:
    message = f"{run.max_steps} steps were done: a loop, or a run that needs a larger max_steps"
    fail(draft, run, {"type": "MaxSteps", "message": message, "state": place.state, "branch": place.branch})


def _settle(draft: Draft, run: Run) -> None:
    """Take a run that was to stop, and has, to where it was to go."""
    if run.worker and run.stopping is not Stopping.FAIL:  # `fail` ends it by itself
        draft.effects.append(fx.StopWorker(run.run_id, run.worker, broken_off=False))
    match run.stopping:
        case Stopping.PAUSE:
            paused(draft, run, "asked for")
        case Stopping.FAIL:
            fail(draft, run, None)
        case Stopping.YIELD:
            draft.record(rr.RunInterrupted(run.run_id, "a request goes first"))
        case Stopping.NOT:
            draft.record(rr.RunInterrupted(run.run_id, "the daemon goes down"))


def paused(draft: Draft, run: Run, reason: str) -> None:
    """Record that a run rests; a sleep cycle is over with it, for this SLEEP."""
    was_cycle = _is_running_cycle(draft, run)
    draft.record(rr.RunPaused(run.run_id, reason))
    if was_cycle:
        draft.record(r.SleepCycleSkipped(f"its run {run.run_id} is paused: {reason}", None))


def _is_running_cycle(draft: Draft, run: Run) -> bool:
    cycle = draft.world.cycle
    return run.run_id == cycle.run_id and cycle.phase == "running"


def fail(draft: Draft, run: Run, error: Mapping[str, Any] | None) -> None:
    """End a run as failed: by `error`, or by those of its places."""
    failed = run.having(PlaceStatus.FAILED)
    errors = tuple(
        {**(place.error or {"type": "Error", "message": ""}), "state": place.state, "branch": place.branch}
        for place in failed[:MOST_ERRORS]  # the steps have all of them
    )
    first = error or errors[0]
    broken = run.having(PlaceStatus.RUNNING)
    for place in broken:  # else a retry would find them under way, with nobody at work
        draft.record(rr.StepInterrupted(**broken_off(draft, run, place), why="the run failed"))
    if run.worker:
        draft.effects.append(fx.StopWorker(run.run_id, run.worker, bool(broken)))
    draft.record(rr.RunFailed(run.run_id, first, (error, *errors) if error else errors))
    if run.run_id == draft.world.cycle.run_id:
        cycle_failed(draft, run, first)


def give_way(draft: Draft) -> None:
    """Interrupt the sleep cycle: no failure, no strike. Its running steps get `yield_within` to end by themselves."""
    cycle = draft.world.cycle
    if cycle.phase != "running":
        return
    run = draft.world.cycle_run
    draft.record(r.SleepCycleInterrupted(cycle.run_id, run.at if run else ""))
    if run is not None and run.worker and not run.stopping:
        draft.record(rr.RunStopping(run.run_id, Stopping.YIELD.value))
        warn(draft, run)
        follow(draft, run.run_id)


def warn(draft: Draft, run: Run) -> None:
    """Tell its worker to end its steps soon, or be ended."""
    if run.having(PlaceStatus.RUNNING):
        draft.effects.append(fx.YieldWorker(run.run_id, run.worker, draft.world.policy.yield_within_s))


def leave(draft: Draft) -> None:
    """Have all steps end, because the daemon does: what they do in that time is kept."""
    give_way(draft)
    for run in list(draft.world.runs.live.values()):
        if run.worker:
            if not run.stopping:
                warn(draft, run)
            follow(draft, run.run_id)


def worker_loaded(draft: Draft, event: re.WorkerLoaded) -> Reply:
    """Begin what is to be done, now that the flow's code is there; pause a run whose state is not in it any more."""
    run = of_worker(draft, event)
    if isinstance(run, Refusal):
        return run
    wanted = [place.state for place in run.places if place.status is not PlaceStatus.AT_JOIN]
    wanted += [place.join for place in run.places]
    gone = [state for state in wanted if state and state not in event.states]
    if gone and not run.steps and run.main.attempt == 0:
        there = ", ".join(sorted(event.states)[:20])
        message = f"flow {run.flow} has no state {gone[0]!r}; it has {there}: start it at one of these"
        fail(draft, run, {"type": "FlowError", "message": message, "state": gone[0], "branch": MAIN})
        schedule(draft)
        return {"steps": (), "join": None}
    if gone:
        draft.effects.append(fx.StopWorker(run.run_id, run.worker, broken_off=False))
        # In the middle of a parallel there is no one place to resume at.
        or_else = ", or resume at another state" if len(run.places) == 1 else ", or cancel the run"
        reason = f"flow {run.flow} has no state {gone[0]!r} any more: bring it back{or_else}"
        paused(draft, run, reason)
        schedule(draft)
        return {"steps": (), "join": None}
    draft.record(rr.FlowLoaded(run.run_id, event.version, event.initial, len(event.states)))
    return answer(draft, run)


def worker_cannot_load(draft: Draft, event: re.WorkerCannotLoad) -> Reply:
    """Fail a run whose flow's code does not load: when it does again, a retry goes on where it was."""
    run = of_worker(draft, event)
    if isinstance(run, Refusal):
        return run
    error = {"type": event.error["type"], "message": event.error["message"][:2000], "state": run.at, "branch": MAIN}
    fail(draft, run, error)
    schedule(draft)
    return {"steps": (), "join": None}


def worker_outdated(draft: Draft, event: re.WorkerOutdated) -> Reply:
    """Leave a run to the next process: no run is carried out by the code of two versions.

    Nobody is to blame. Where the next start is the other version, the daemon goes down as soon as nothing is busy.
    """
    run = of_worker(draft, event)
    if isinstance(run, Refusal):
        return run
    was_cycle = _is_running_cycle(draft, run)
    broken = run.having(PlaceStatus.RUNNING)  # none, but for code of an author that speaks for its worker
    for place in broken:
        draft.record(rr.StepInterrupted(**broken_off(draft, run, place), why=event.why))
    draft.effects.append(fx.StopWorker(run.run_id, run.worker, bool(broken)))
    draft.record(rr.RunInterrupted(run.run_id, event.why, awaits_start=True))
    if was_cycle:
        draft.record(r.SleepCycleSkipped(event.why, None))
    if event.replaced and not draft.world.lifecycle.wish:
        draft.record(r.HibernateRequested(now=False))
    schedule(draft)
    return {"steps": (), "join": None}


def worker_gone(draft: Draft, event: re.WorkerGone) -> None:
    """Take the steps that a dead worker was at as tries that did not end, whoever's fault that was."""
    run = of_worker(draft, event)
    if isinstance(run, Refusal):
        return
    crashed = event.blame and not is_stopped(draft, run)
    draft.record(rr.WorkerEnded(run.run_id, event.worker, event.how, crashed))
    for place in run.having(PlaceStatus.RUNNING):
        ended = broken_off(draft, run, place, event.cpu_s, event.peak_rss_bytes)
        if crashed:
            blame: dict[str, Any] = {"how": "crashed", "error_type": "WorkerDied", "message": event.how}
            draft.record(rr.StepFailed(**ended, **blame, counted=False, retry_in_s=0.0, output=event.output))
        else:
            draft.record(rr.StepInterrupted(**ended, why=event.how))
    now = draft.world.runs.live[run.run_id]
    if crashed and now.crashes >= MOST_CRASHES and not now.stopping:
        message = (
            f"the worker died {now.crashes} times without the end of a step in between; the last time: {event.how}"
        )
        if event.output:
            message += f"; it had said: {event.output[-500:].strip()}"
        fail(draft, now, {"type": "WorkerDied", "message": message, "state": now.at, "branch": MAIN})
    elif run.cycle and draft.world.cycle.phase != "running" and not now.stopping:
        draft.record(rr.RunInterrupted(run.run_id, event.how))
    follow(draft, run.run_id)


def broken_off(
    draft: Draft, run: Run, place: Place, cpu_s: float | None = None, peak_rss_bytes: int | None = None
) -> dict[str, Any]:
    """Return the fields of a record about an attempt that ends now, without a word of its own."""
    took_s = max(0.0, round(draft.now.wall_s - place.since_ts, 6))
    return fields(run.run_id, place, took_s, cpu_s, peak_rss_bytes)


def fields(
    run_id: str, place: Place, duration_s: float, cpu_s: float | None, peak_rss_bytes: int | None
) -> dict[str, Any]:
    """Return the fields that all records of an attempt's end have."""
    return {
        "run_id": run_id,
        "branch": place.branch,
        "state": place.state,
        "visit": place.visit,
        "attempt": place.attempt,
        "started_ts": place.since_ts,
        "duration_s": duration_s,
        "cpu_s": cpu_s,
        "peak_rss_bytes": peak_rss_bytes,
    }


def of_worker(draft: Draft, event: re.WorkerEvent) -> Run | Refusal:
    """Return the run an event is about, if its worker is still the one that sent it."""
    run = draft.world.runs.live.get(event.run_id)
    if run is None or run.worker != event.worker:
        return Refusal("conflict", "this worker is not the run's any more")
    return run


def answer(draft: Draft, run: Run) -> Reply:
    """Answer a worker: what follows for its run, and so what it is to do next."""
    steps, join = follow(draft, run.run_id)
    return {"steps": steps, "join": join}


def retry_due(draft: Draft) -> None:
    """Begin the attempts whose time has come."""
    for run in list(draft.world.runs.live.values()):
        again_s = run.retry_awake_s
        if run.worker and run.loaded and again_s is not None and again_s <= draft.now.awake_s:
            worker = run.worker
            steps, join = follow(draft, run.run_id)
            if steps or join:
                draft.effects.append(fx.BeginSteps(run.run_id, worker, steps, join))
    schedule(draft)


def process_started(draft: Draft) -> None:
    """Go on with every run where it is: no worker outlives the daemon that started it."""
    for run in list(draft.world.runs.live.values()):
        if run.worker:
            worker_gone(draft, re.WorkerGone(draft.cause, run.run_id, run.worker, "the daemon ended", blame=False))
        elif run.awaits_start:
            draft.record(rr.RunResumed(run.run_id))
