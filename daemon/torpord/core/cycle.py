"""The sleep cycle: when the run of `[sleep] flow` begins, gives way, and is tried again. The run itself is any run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torpord.core import records as r
from torpord.core import run_records as rr
from torpord.core.cycle_due import due, first_pause, flows
from torpord.core.draft import Draft
from torpord.core.policy import DAY_S
from torpord.core.run_history import retried
from torpord.core.runs import DEFAULT_MAX_STEPS, Run, RunStatus

FIRST_RETRY_S = 600.0
FAILURES_TO_QUARANTINE = 3
QUARANTINE_S = DAY_S


def begin_cycle(draft: Draft) -> None:
    """Begin the sleep cycle, or go on with it; or say why there is none in this SLEEP."""
    world, now = draft.world, draft.now
    if not _begun(draft, lasting=False):
        draft.record(r.SleepCycleSkipped(*due(world, now.wall_s, now.awake_s)))


def go_on(draft: Draft) -> None:
    """Begin what else this sleep has to do, where its cycle has just ended."""
    _begun(draft, lasting=True)


def _begun(draft: Draft, *, lasting: bool) -> bool:
    world, now = draft.world, draft.now
    if world.lifecycle.wish == "now":
        return False
    for flow in flows(world.policy):
        if first_pause(world, flow, now.wall_s, now.awake_s, lasting=lasting) is None:
            _begin(draft, flow)
            return True
    return False


def _begin(draft: Draft, flow: str) -> None:
    known = draft.world.cycle.of(flow)
    if known.quarantine_until_ts is not None:
        draft.record(r.QuarantineLifted(known.failed_step, flow))
    _set_aside(draft)
    run = draft.world.runs.live.get(known.run_id)
    resumed = run is not None
    if run is None:
        run = _created(draft, flow)
    elif run.status is RunStatus.FAILED:
        draft.record(rr.RunRetried(run.run_id, by_request=False, run=document(retried(run))))
    draft.record(r.SleepCycleStarted(run.run_id, run.flow, run.at, resumed))


def _set_aside(draft: Draft) -> None:
    """Leave a run that is not the settings' flow any more to whoever resumes it; not lost, and not guessed."""
    world = draft.world
    reason = f"[sleep] flow is {world.policy.sleep_flow} now: resume it as a run of its own, or cancel it"
    for run_id in world.cycle.run_ids:
        run = world.runs.live.get(run_id)
        if run is not None and run.flow not in flows(world.policy):
            draft.record(rr.RunPaused(run.run_id, reason, leaves_cycle=True))


def _created(draft: Draft, flow: str) -> Run:
    # Unique for ever, also beside a new store's: keys of calls are made of it.
    run_id = f"sleep-{int(draft.now.wall_s * 1000):x}-{draft.world.ledger_seq + 1:x}"
    draft.record(
        rr.RunCreated(
            run_id=run_id,
            flow=flow,
            state="",
            purpose="sleep cycle",
            session_id="",
            max_steps=DEFAULT_MAX_STEPS,
            cycle=True,
        )
    )
    return draft.world.runs.live[run_id]


def document(run: Run) -> Mapping[str, Any]:
    """Return a run as the JSON document that records carry."""
    names = Run.__dataclass_fields__
    places = tuple({name: getattr(place, name) for name in place.__dataclass_fields__} for place in run.places)
    return {**{name: getattr(run, name) for name in names}, "places": places}


def cycle_completed(draft: Draft, run: Run, result: object) -> None:
    """Record that the cycle's run is done."""
    started_ts = draft.now.wall_s if run.started_ts is None else run.started_ts
    draft.record(r.SleepCycleDone(run.run_id, started_ts, run.worked_s, result))


def cycle_failed(draft: Draft, run: Run, error: Mapping[str, Any]) -> None:
    """Put off the next try: 10 minutes, doubling to a day; three failures in a row at one state: quarantine."""
    cycle, wall_s, step = draft.world.cycle, draft.now.wall_s, str(error.get("state", ""))
    if error["type"] == "MaxSteps":
        step = "max_steps"  # a loop passes the state it ends at: that it did so is no success of it
    failures = cycle.failures + 1 if cycle.failed_step == step else 1
    retry_ts = wall_s + min(FIRST_RETRY_S * 2 ** (failures - 1), DAY_S)
    message = f"{error['type']}: {error['message']}"[:2000]
    draft.record(r.SleepCycleFailed(run.run_id, step, message, failures, retry_ts))
    if failures >= FAILURES_TO_QUARANTINE:
        draft.record(r.QuarantineEntered(step, wall_s + QUARANTINE_S))
