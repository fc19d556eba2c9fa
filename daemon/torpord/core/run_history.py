"""What a record makes of a run: the only thing that changes one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torpord.core import run_records as rr
from torpord.core.records import Entry
from torpord.core.replacing import replace
from torpord.core.runs import MAIN, Place, PlaceStatus, Run, RunStatus, Stopping


def evolve_run(run: Run | None, entry: Entry, record: rr.RunRecord) -> Run:
    """Return the run after one of its records. `run` is None only before the record that brings it."""
    match record:
        case rr.RunCreated():
            return _created(entry, record)
        case rr.RunImported() | rr.RunRetried():
            return from_document(record.run)
    if run is None:
        raise AssertionError(f"{record.kind} of the run {record.run_id}, which is not there")
    match record:
        case rr.StepEnded():
            return _step_ended(run, entry, record)
        case rr.StepStarted():
            begun = PlaceStatus.RUNNING
            return _placed(
                run,
                record,
                status=begun,
                attempt=record.attempt,
                since_ts=entry.wall_s,
                retry_awake_s=None,
                retry_ts=None,
            )
        case rr.StepFailed():
            return _step_failed(replace(run, worked_s=_worked_s(run, record)), entry, record)
        case rr.StepInterrupted():
            return _placed(
                replace(run, worked_s=_worked_s(run, record)), record, status=PlaceStatus.READY, since_ts=entry.wall_s
            )
        case rr.CallBegun() | rr.CallEnded():
            return run
        case rr.RunJoined():
            return _joined(run, entry, record)
        case rr.RunStarted():
            started_ts = entry.wall_s if run.started_ts is None else run.started_ts
            begun_run = replace(run, status=RunStatus.RUNNING, reason="", started_ts=started_ts)
            return replace(begun_run, worker=record.worker, workers=record.worker, loaded=False)
        case rr.FlowLoaded():
            places = tuple(replace(p, state=record.initial) if not p.state else p for p in run.places)
            return replace(run, version=record.version, states=record.states, loaded=True, places=places)
        case rr.WorkerEnded():
            return replace(run, worker=0, loaded=False, crashes=run.crashes + record.crashed)
        case rr.RunStopping():
            return replace(run, stopping=Stopping(record.why))
        case _:
            return _moved(run, entry, record)


def _moved(run: Run, entry: Entry, record: rr.RunRecord) -> Run:
    rest = replace(run, stopping=Stopping.NOT, worker=0, loaded=False, awaits_start=False)
    match record:
        case rr.RunPaused():
            if run.status is RunStatus.FAILED:  # it only leaves the cycle, and is as any failed run then
                return replace(rest, cycle=False)
            cycle = run.cycle and not record.leaves_cycle
            return replace(rest, status=RunStatus.PAUSED, reason=record.reason, cycle=cycle)
        case rr.RunInterrupted():
            return replace(rest, status=RunStatus.PENDING, reason=record.why, awaits_start=record.awaits_start)
        case rr.RunResumed():
            moved = replace(rest, status=RunStatus.PENDING, reason="", flow=record.flow or run.flow)
            if record.state in ("", run.main.state):
                return moved
            # A visit of its own, and so keys of its own: no state was entered more often than steps have ended, or
            # another resume led to it, since when there was another worker.
            visit = max(run.steps + run.workers, run.main.visit) + 2
            return replace(moved, places=(Place(MAIN, record.state, visit, since_ts=entry.wall_s),))
        case rr.RunCompleted():
            return replace(rest, status=RunStatus.COMPLETED, reason="", ended_ts=entry.wall_s, error=None)
        case rr.RunFailed():
            why = f"{record.error['type']}: {record.error['message']}"[:500]
            failed = replace(rest, status=RunStatus.FAILED, reason=why, ended_ts=entry.wall_s)
            return replace(failed, error=record.error)
        case rr.RunCancelled():
            return replace(rest, status=RunStatus.CANCELLED, reason=record.reason, ended_ts=entry.wall_s)
        case rr.RunRemoved():
            return rest
        case _:
            raise AssertionError(f"evolve_run has no arm for the record {record.kind!r}")


def run_status(record: rr.RunRecord) -> RunStatus | None:
    """Return the status a record brings a run to; None for one that leaves it as it is, or takes the run away."""
    match record:
        case rr.RunImported() | rr.RunRetried():
            return RunStatus(record.run["status"])
        case rr.RunCreated() | rr.RunInterrupted() | rr.RunResumed():
            return RunStatus.PENDING
        case rr.RunStarted():
            return RunStatus.RUNNING
        case rr.RunPaused():
            return None if record.leaves_cycle else RunStatus.PAUSED
        case rr.RunCompleted():
            return RunStatus.COMPLETED
        case rr.RunFailed():
            return RunStatus.FAILED
        case rr.RunCancelled():
            return RunStatus.CANCELLED
        case _:
            return None


def retried(run: Run) -> Run:
    """Return a failed run as it is when it goes on: what had failed is to be done again, what was done stays done."""
    places = tuple(
        replace(p, status=PlaceStatus.READY, failures=0, error=None, retry_awake_s=None, retry_ts=None)
        if p.status in (PlaceStatus.FAILED, PlaceStatus.WAITING)
        else p
        for p in run.places
    )
    again = replace(run, places=places, status=RunStatus.PENDING, reason="", error=None, ended_ts=None, crashes=0)
    return replace(again, steps_before=run.steps + run.again, worker=0, loaded=False, stopping=Stopping.NOT)


def shifted(run: Run, shift_s: float) -> Run:
    """Return a run with its times of the awake clock moved: that clock began anew with another boot."""
    places = tuple(
        p if p.retry_awake_s is None else replace(p, retry_awake_s=p.retry_awake_s + shift_s) for p in run.places
    )
    return replace(run, places=places)


def from_document(document: Mapping[str, Any]) -> Run:
    """Build a run from its JSON document. Raises KeyError, TypeError or ValueError for one that is not."""
    places = tuple(Place(**{**each, "status": PlaceStatus(each["status"])}) for each in document["places"])
    rest = {**document, "places": places, "status": RunStatus(document["status"])}
    return Run(**{**rest, "stopping": Stopping(document["stopping"])})


def _worked_s(run: Run, record: rr.StepDone) -> float:
    return round(run.worked_s + record.duration_s, 6)


def _created(entry: Entry, record: rr.RunCreated) -> Run:
    return Run(
        run_id=record.run_id,
        flow=record.flow,
        created_ts=entry.wall_s,
        places=(Place(MAIN, record.state, since_ts=entry.wall_s),),
        origin=record.run_id,
        purpose=record.purpose,
        session_id=record.session_id,
        cycle=record.cycle,
        max_steps=record.max_steps,
    )


def _placed(run: Run, record: rr.StepRecord, **changes: Any) -> Run:
    places = tuple(replace(p, **changes) if p.branch == record.branch else p for p in run.places)
    return replace(run, places=places)


def _step_failed(run: Run, entry: Entry, record: rr.StepFailed) -> Run:
    place = run.place(record.branch)
    failures = (place.failures if place else 0) + record.counted
    error = {"type": record.error_type, "message": record.message[:300]}  # the step has all of it
    if record.how == "retry":  # it is no failure, but a loop of these is a loop
        run = replace(run, again=run.again + 1)
    if record.retry_in_s is None:
        status, waits_s = PlaceStatus.FAILED, None
    elif record.retry_in_s > 0:
        status, waits_s = PlaceStatus.WAITING, record.retry_in_s
    else:
        status, waits_s = PlaceStatus.READY, None
    times = {"since_ts": entry.wall_s, "retry_awake_s": None, "retry_ts": None}
    if waits_s is not None:
        times |= {"retry_awake_s": entry.awake_s + waits_s, "retry_ts": entry.wall_s + waits_s}
    return _placed(run, record, status=status, failures=failures, error=error, **times)


def _step_ended(run: Run, entry: Entry, record: rr.StepEnded) -> Run:
    """Move the place to the next state, which is what a crash after this instant finds."""
    status = PlaceStatus.RUNNING if record.begins else PlaceStatus.READY
    attempt, ts = int(record.begins), entry.wall_s
    was = run.place(record.branch)
    join = was.join if was is not None and was.branch != MAIN else ""
    added: tuple[Place, ...] = ()
    if record.outcome == "next":
        (to,) = record.next
        here = Place(record.branch, to["state"], to["visit"], attempt, status, since_ts=ts, join=join)
    else:
        # "at_join" and "complete", where the record that ends the run is behind this one, are the end of a branch.
        at, onward = PlaceStatus.AT_JOIN, join
        if record.outcome == "parallel":
            at, onward = PlaceStatus.FORKED, record.join
            added = tuple(
                Place(b["branch"], b["state"], b["visit"], attempt, status, since_ts=ts, join=record.join)
                for b in record.next
            )
        here = Place(record.branch, record.state, record.visit, record.attempt, at, since_ts=ts, join=onward)
    places = tuple(here if p.branch == record.branch else p for p in run.places) + added
    return replace(run, places=places, steps=run.steps + 1, crashes=0, worked_s=_worked_s(run, record))


def _joined(run: Run, entry: Entry, record: rr.RunJoined) -> Run:
    status = PlaceStatus.RUNNING if record.begins else PlaceStatus.READY
    place = Place(MAIN, record.state, record.visit, int(record.begins), status, since_ts=entry.wall_s)
    return replace(run, places=(place,))
