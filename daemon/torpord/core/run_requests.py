"""What clients may ask of runs: which of it is granted, and what follows. Saying what already holds succeeds."""

from __future__ import annotations

from torpord.core import effects as fx
from torpord.core import records as r
from torpord.core import run_events as re
from torpord.core import run_records as rr
from torpord.core import running
from torpord.core.cycle import document
from torpord.core.draft import Draft, Refusal, Reply
from torpord.core.run_history import retried
from torpord.core.runs import ENDED, MAX_LIVE_RUNS, PlaceStatus, Run, RunStatus, Stopping
from torpord.core.world import World

_PENDING, _RUNNING, _PAUSED = RunStatus.PENDING, RunStatus.RUNNING, RunStatus.PAUSED
_COMPLETED, _FAILED, _CANCELLED = RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED

# order: the statuses it can be carried out in, or where it holds already
ORDERS = {
    "pause": frozenset({_PENDING, _RUNNING, _PAUSED}),
    "resume": frozenset({_PENDING, _RUNNING, _PAUSED}),
    "cancel": frozenset({_PENDING, _RUNNING, _PAUSED, _CANCELLED}),
    "retry": frozenset({_FAILED}),
    "remove": frozenset(ENDED),
}

Asked = re.RunWanted | re.RunOrdered | re.RunImportWanted


def refusal(world: World, event: Asked) -> Refusal | None:
    """Say why a request about runs is not granted, or None."""
    match event:
        case re.RunWanted():
            return _flow_refused(world, event.flow) or _too_many(world)
        case re.RunImportWanted():
            return None if event.run.status in ENDED else _too_many(world)
        case re.RunOrdered():
            return _order_refused(world, event)


def _too_many(world: World) -> Refusal | None:
    if len(world.runs.live) < MAX_LIVE_RUNS:
        return None
    message = f"there are {MAX_LIVE_RUNS} runs that have not ended: cancel some, or wait"
    return Refusal("too_many", message)


def _flow_refused(world: World, flow: str) -> Refusal | None:
    if flow in world.policy.flows:
        return None
    known = ", ".join(world.policy.flows)
    message = f"there is no flow {flow!r} in the settings; there are: {known}. After an edit: torpor reload"
    return Refusal("not_found", message, {"field": "flow"})


def _order_refused(world: World, event: re.RunOrdered) -> Refusal | None:
    run = world.runs.live.get(event.run_id)
    if run is None:
        stored = event.stored
        if stored is None:
            message = "there is no such run: it was removed, or never was; run.list names them"
            return Refusal("not_found", message, {"field": "run_id"})
        if stored.status not in ENDED:
            # It was live when the batch began, and ended in it.
            return Refusal("conflict", "the run has ended this very moment: ask again", {"run_id": event.run_id})
        run = stored
    needed = ORDERS[event.order]
    if run.status not in needed:
        would = ", ".join(sorted(needed))
        hint = {_FAILED: "; use retry, or remove", _COMPLETED: "; start a new one"}.get(run.status, "")
        message = f"the run is {run.status}; {event.order} needs one that is {would}{hint}"
        return Refusal("conflict", message, {"status": run.status.value})
    if event.order == "resume" and event.state and len(run.places) > 1:
        message = (
            "it is in the middle of a parallel, where no one state is its place: bring the state back, or cancel it"
        )
        return Refusal("invalid_params", message, {"field": "state"})
    if event.order == "resume" and run.status is _PAUSED:
        return _flow_refused(world, event.flow or run.flow) if event.flow or run.flow else _flowless()
    if event.order == "retry":
        return _flow_refused(world, run.flow) or (_too_many(world) if event.run_id not in world.runs.live else None)
    return None


def _flowless() -> Refusal:
    message = "an imported run of version 1 does not know its flow: name it, run.resume with flow"
    return Refusal("invalid_params", message, {"field": "flow"})


def granted(draft: Draft, event: Asked) -> Reply:
    """Carry a request out that was not refused."""
    match event:
        case re.RunWanted():
            return _created(draft, event)
        case re.RunImportWanted():
            draft.record(rr.RunImported(event.run.run_id, run=document(event.run), rows=event.rows))
            return {"run_id": event.run.run_id, "status": event.run.status.value}
        case re.RunOrdered():
            return _ordered(draft, event)


def _created(draft: Draft, event: re.RunWanted) -> Reply:
    draft.record(
        rr.RunCreated(
            run_id=event.run_id,
            flow=event.flow,
            state=event.state,
            purpose=event.purpose,
            session_id=event.session_id,
            max_steps=event.max_steps,
            cycle=False,
            data_=event.data,
            metadata=event.metadata,
        )
    )
    running.schedule(draft)
    return {"run_id": event.run_id, "status": draft.world.runs.live[event.run_id].status.value}


def _ordered(draft: Draft, event: re.RunOrdered) -> Reply:
    run = draft.world.runs.live.get(event.run_id) or event.stored
    if run is None:
        raise AssertionError("an order for no run is refused before")
    status = run.status
    match event.order:
        case "pause" if status is not _PAUSED:
            _pause(draft, run)
        case "resume" if status is _PAUSED:
            draft.record(rr.RunResumed(run.run_id, event.flow, event.state))
        case "resume" if run.stopping is Stopping.PAUSE:
            # A cycle that is paused in its SLEEP gives way by that request as well: it still has to.
            awake = run.cycle and draft.world.cycle.phase != "running"
            draft.record(rr.RunStopping(run.run_id, (Stopping.YIELD if awake else Stopping.NOT).value))
            _go_on(draft, run)
        case "cancel" if status is not _CANCELLED:
            _cancel(draft, run)
        case "retry":
            draft.record(rr.RunRetried(run.run_id, by_request=True, run=document(retried(run))))
            flow = draft.world.cycle.flow_of(run.run_id)
            known = draft.world.cycle.of(flow or "")
            if known.quarantine_until_ts is not None:
                draft.record(r.QuarantineLifted(known.failed_step, known.flow))
        case "remove":
            draft.record(rr.RunRemoved(run.run_id, status.value, "asked for"))
            return {"run_id": run.run_id, "status": "removed"}
        case _:
            pass  # it holds already
    running.schedule(draft)
    now = draft.world.runs.live.get(run.run_id)
    ended = _CANCELLED if event.order == "cancel" else status
    return {"run_id": run.run_id, "status": (now.status if now else ended).value}


def _pause(draft: Draft, run: Run) -> None:
    if run.worker == 0:
        running.paused(draft, run, "asked for")
    elif run.stopping not in (Stopping.PAUSE, Stopping.FAIL):
        draft.record(rr.RunStopping(run.run_id, Stopping.PAUSE.value))
        running.follow(draft, run.run_id)


def _go_on(draft: Draft, run: Run) -> None:
    worker = run.worker
    steps, join = running.follow(draft, run.run_id)
    if steps or join:
        draft.effects.append(fx.BeginSteps(run.run_id, worker, steps, join))


def _cancel(draft: Draft, run: Run) -> None:
    """End it at once: whatever its worker still reports is discarded."""
    running_places = run.having(PlaceStatus.RUNNING) if run.worker else ()
    for place in running_places:
        draft.record(rr.StepInterrupted(**running.broken_off(draft, run, place), why="cancelled"))
    if run.worker:
        draft.effects.append(fx.StopWorker(run.run_id, run.worker, bool(running_places)))
    was_cycle = run.run_id == draft.world.cycle.run_id and draft.world.cycle.phase == "running"
    draft.record(rr.RunCancelled(run.run_id, "asked for"))
    if was_cycle:
        draft.record(r.SleepCycleSkipped(f"its run {run.run_id} was cancelled", None))


def expired(draft: Draft, event: re.RunExpired) -> None:
    """Forget a run that has ended, with all of its history."""
    run = event.stored
    if run is not None and run.status in ENDED and event.run_id not in draft.world.runs.live:
        draft.record(rr.RunRemoved(run.run_id, run.status.value, "kept no longer"))
