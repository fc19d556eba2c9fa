"""What workers report of their steps: each report is taken, with all that follows from it, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torpord.core import effects as fx
from torpord.core import run_events as re
from torpord.core import run_records as rr
from torpord.core.cycle import cycle_completed
from torpord.core.draft import Draft, Refusal, Reply
from torpord.core.running import Step, answer, fail, fields, follow, is_spent, is_stopped, of_worker, schedule, warn
from torpord.core.runs import (
    FIRST_STEP_RETRY_S,
    LAST_STEP_RETRY_S,
    MAIN,
    MAX_BRANCHES,
    Place,
    PlaceStatus,
    Run,
    Stopping,
)

# A state that asks for another attempt at once, and for ever, does not have the daemon to itself.
LEAST_RETRY_S = 0.1
# The result of a cycle is shown with the status while it is no larger than this as JSON.
_SHOWN_RESULT_CHARS = 4096


def _of_attempt(draft: Draft, event: re.StepReported | re.CallReported) -> tuple[Run, Place] | Refusal:
    """Find what a report is about. Lines from an attempt that has ended are discarded: the first outcome stands."""
    run = of_worker(draft, event)
    if isinstance(run, Refusal):
        return run
    place = run.place(event.branch)
    if place is None or place.status is not PlaceStatus.RUNNING:
        return Refusal("conflict", "this attempt has ended")
    if (place.state, place.visit, place.attempt) != (event.state, event.visit, event.attempt):
        return Refusal("conflict", "this attempt has ended")
    return run, place


def step_reported(draft: Draft, event: re.StepReported) -> Reply:
    """Take the end of an attempt, with what comes after it, in one commit."""
    found = _of_attempt(draft, event)
    if isinstance(found, Refusal):
        return found
    run, place = found
    outcome = event.outcome
    if "failed" in outcome or "retry_after_s" in outcome:
        _step_failed(draft, event, run, place)
        return answer(draft, run)
    if "parallel" in outcome and len(outcome["parallel"]) > MAX_BRANCHES:
        message = f"{len(outcome['parallel'])} branches; a parallel has at most {MAX_BRANCHES}"
        _record_failure(draft, event, place, "failed", {"type": "FlowError", "message": message}, retry_in_s=None)
        return answer(draft, run)
    steps = _record_end(draft, event, run, place)
    if "complete" in outcome:
        _complete(draft, draft.world.runs.live[run.run_id], event)
        schedule(draft)
        return {"steps": (), "join": None}
    more, join = follow(draft, run.run_id)
    return {"steps": (*steps, *more), "join": join}


def _record_end(draft: Draft, event: re.StepReported, run: Run, place: Place) -> tuple[Step, ...]:
    """Record a step's end and, where nothing speaks against it, the begin of the next. Returns what was begun."""
    outcome, join = event.outcome, ""
    next_: tuple[Step, ...] = ()
    begins = not is_stopped(draft, run) and run.steps + run.again + 1 - run.steps_before < run.max_steps
    if "parallel" in outcome:
        kind, join = "parallel", outcome["join"]
        next_ = tuple({"branch": b["branch"], "state": b["state"], "visit": 1} for b in outcome["parallel"])
    elif "complete" in outcome:
        kind = "complete"
    elif place.join and outcome["next"] == place.join:
        kind = "at_join"
    else:
        kind, next_ = "next", ({"branch": place.branch, "state": outcome["next"], "visit": outcome["visit"]},)
    begins = begins and bool(next_)
    draft.record(
        rr.StepEnded(
            **_reported(event, place),
            outcome=kind,
            next=next_,
            join=join,
            begins=begins,
            set_=event.set_,
            removed=event.removed,
        )
    )
    return tuple({**each, "attempt": 1} for each in next_) if begins else ()


def _complete(draft: Draft, run: Run, event: re.StepReported) -> None:
    was_cycle = run.run_id == draft.world.cycle.run_id
    draft.effects.append(fx.StopWorker(run.run_id, run.worker, broken_off=False))
    draft.record(rr.RunCompleted(run.run_id, run.steps, event.result))
    if was_cycle:
        shown = event.outcome["complete"] if len(event.result) <= _SHOWN_RESULT_CHARS else None
        cycle_completed(draft, run, shown)


def _step_failed(draft: Draft, event: re.StepReported, run: Run, place: Place) -> None:
    outcome = event.outcome
    if run.stopping is Stopping.YIELD or draft.world.process.leaving:
        # What is told to give way may do so by failing: an interruption is no failure and no strike.
        why = "it gave way" if "failed" not in outcome else f"it gave way: {outcome['failed']['message'][:500]}"
        draft.record(rr.StepInterrupted(**_reported(event, place), why=why))
        return
    if "retry_after_s" in outcome:
        error = {"type": "Retry", "message": f"again after {outcome['retry_after_s']:g} s"}
        _record_failure(draft, event, place, "retry", error, max(LEAST_RETRY_S, float(outcome["retry_after_s"])))
        return
    retry_in_s = None
    if place.failures < outcome["retries"]:
        base_s = min(LAST_STEP_RETRY_S, FIRST_STEP_RETRY_S * 2 ** min(place.failures, 30))
        retry_in_s = base_s * (0.5 + event.draw)
    _record_failure(draft, event, place, "timeout" if event.timed_out else "failed", outcome["failed"], retry_in_s)


def _record_failure(
    draft: Draft, event: re.StepReported, place: Place, how: str, error: Mapping[str, str], retry_in_s: float | None
) -> None:
    draft.record(
        rr.StepFailed(
            **_reported(event, place),
            how=how,
            error_type=error["type"],
            message=error["message"][:2000],
            counted=how != "retry",
            retry_in_s=retry_in_s,
            traceback=error.get("traceback", ""),
            output=event.output,
        )
    )
    run = draft.world.runs.live[event.run_id]
    if retry_in_s is None and run.stopping is not Stopping.FAIL:  # also of one that was to pause: nothing is left of it
        draft.record(rr.RunStopping(run.run_id, Stopping.FAIL.value))
        warn(draft, run)


def join_reported(draft: Draft, event: re.JoinReported) -> Reply:
    """Go on behind the join with all that the branches wrote; or fail, where two wrote one key differently."""
    run = of_worker(draft, event)
    if isinstance(run, Refusal):
        return run
    if not run.joins or run.main.status is not PlaceStatus.FORKED:
        return Refusal("conflict", "there is nothing to merge")
    join = run.main.join
    if event.error is not None:
        error = {"type": event.error["type"], "message": event.error["message"][:2000]}
        fail(draft, run, {**error, "state": join, "branch": MAIN})
        schedule(draft)
        return {"steps": (), "join": None}
    begins = not is_stopped(draft, run) and not is_spent(run)
    draft.record(rr.RunJoined(run.run_id, join, event.visit, begins, event.set_, event.removed))
    steps: tuple[Step, ...] = ()
    if begins:
        steps = ({"branch": MAIN, "state": join, "visit": event.visit, "attempt": 1},)
    more, _ = follow(draft, run.run_id)
    return {"steps": (*steps, *more), "join": None}


def call_reported(draft: Draft, event: re.CallReported) -> Reply:
    """Record the intent of a call, or its outcome."""
    found = _of_attempt(draft, event)
    if isinstance(found, Refusal):
        return found
    at = (event.run_id, event.branch, event.state, event.visit, event.attempt)
    if event.ok is None:
        draft.record(rr.CallBegun(*at, key=event.key, tool=event.tool, args=event.value))
    else:
        draft.record(rr.CallEnded(*at, key=event.key, ok=event.ok, result=event.value))
    return {}


def _reported(event: re.StepReported, place: Place) -> dict[str, Any]:
    return fields(event.run_id, place, event.duration_s, event.cpu_s, event.peak_rss_bytes)
