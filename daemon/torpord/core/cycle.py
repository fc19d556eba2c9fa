"""The sleep cycle: when the run of `[sleep] flow` begins, gives way, and is tried again. The run itself is any run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torpord.core import records as r
from torpord.core import run_records as rr
from torpord.core.draft import Draft
from torpord.core.policy import DAY_S
from torpord.core.run_history import retried
from torpord.core.runs import CYCLE_PATIENCE_S, DEFAULT_MAX_STEPS, Run, RunStatus
from torpord.core.world import World

FIRST_RETRY_S = 600.0
FAILURES_TO_QUARANTINE = 3
QUARANTINE_S = DAY_S
ASKED_AT_ONCE = "hibernation was asked for at once"


def due(world: World, wall_s: float, awake_s: float) -> tuple[str, float | None]:
    """Say why no cycle can begin now, and when one can (wall clock; None: not by itself). "": it can."""
    cycle, run = world.cycle, world.cycle_run
    if world.lifecycle.wish == "now":
        return ASKED_AT_ONCE, None
    if world.policy.sleep_flow != cycle.flow:
        if run is not None and run.worker and run.flow != world.policy.sleep_flow:
            return f"its run {run.run_id}, of the flow before, still ends its step", None
        return "", wall_s
    if cycle.quarantine_until_ts is not None and wall_s < cycle.quarantine_until_ts:
        return "quarantine", cycle.quarantine_until_ts
    if cycle.retry_ts is not None and wall_s < cycle.retry_ts:
        return "it failed lately", cycle.retry_ts
    if run is not None and run.flow == world.policy.sleep_flow:
        if run.status is RunStatus.PAUSED:
            return f"its run {run.run_id} is paused: {run.reason}", None
        if run.awaits_start:
            return run.reason, None
        again_s = run.retry_awake_s if run.only_waits else None
        if again_s is not None and again_s - awake_s > CYCLE_PATIENCE_S:
            return "it waits for its next attempt", wall_s + again_s - awake_s
        return "", wall_s
    if cycle.completed_ts is not None:
        due_ts = cycle.completed_ts + world.policy.sleep_min_interval_s
        # A completion in the future is a wall clock that was set back: then it is due, rather than not for years.
        if cycle.completed_ts <= wall_s < due_ts:
            return "not due yet", due_ts
    return "", wall_s


def begin_cycle(draft: Draft) -> None:
    """Begin the sleep cycle, or go on with it; or say why there is none in this SLEEP."""
    reason, due_ts = due(draft.world, draft.now.wall_s, draft.now.awake_s)
    if reason:
        draft.record(r.SleepCycleSkipped(reason, due_ts))
        return
    if draft.world.cycle.quarantine_until_ts is not None:
        draft.record(r.QuarantineLifted(draft.world.cycle.failed_step))
    run = _set_aside(draft, draft.world.cycle_run)
    resumed = run is not None
    if run is None:
        run = _created(draft)
    elif run.status is RunStatus.FAILED:
        draft.record(rr.RunRetried(run.run_id, by_request=False, run=document(retried(run))))
    draft.record(r.SleepCycleStarted(run.run_id, run.flow, run.at, resumed))


def _set_aside(draft: Draft, run: Run | None) -> Run | None:
    """Leave a run that is not the settings' flow any more to whoever resumes it; not lost, and not guessed."""
    if run is None or run.flow == draft.world.policy.sleep_flow:
        return run
    reason = f"[sleep] flow is {draft.world.policy.sleep_flow} now: resume it as a run of its own, or cancel it"
    draft.record(rr.RunPaused(run.run_id, reason, leaves_cycle=True))
    return None


def _created(draft: Draft) -> Run:
    # Unique for ever, also beside a new store's: keys of calls are made of it.
    run_id = f"sleep-{int(draft.now.wall_s * 1000):x}-{draft.world.ledger_seq + 1:x}"
    draft.record(
        rr.RunCreated(
            run_id=run_id,
            flow=draft.world.policy.sleep_flow,
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
