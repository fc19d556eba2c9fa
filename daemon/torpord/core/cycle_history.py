"""The sleep cycle as the world knows it, and what its records make of it. The work itself is a run like any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torpord.core import records as r
from torpord.core import run_records as rr
from torpord.core.replacing import replace
from torpord.core.runs import Run, RunStatus


@dataclass(frozen=True, slots=True)
class Cycle:
    """The sleep cycle.

    `phase` is about this SLEEP: "none" (not begun), "running", or "ended" (nothing more to do in it). `run_id` is about
    the work: the run that goes on in this SLEEP or a later one; "" when none is unfinished. `flow` is the one that the
    failures and the last completion are about: another one owes nothing for them.
    """

    phase: str = "none"
    run_id: str = ""
    flow: str = "housekeeping"
    failures: int = 0
    failed_step: str = ""
    retry_ts: float | None = None
    quarantine_until_ts: float | None = None
    completed_ts: float | None = None
    last: Mapping[str, Any] | None = None  # outcome, run_id, started_ts, ended_ts, duration_s, step, error, result

    def without(self, run_id: str) -> Cycle:
        """Return it with no unfinished run, if that one was it."""
        return replace(self, run_id="") if run_id == self.run_id else self

    def followed(self, run: Run, record: rr.RunRecord) -> Cycle:
        """Return it after a record of its run. A retry that was asked for is not put off."""
        if run.status in (RunStatus.COMPLETED, RunStatus.CANCELLED) or not run.cycle:
            return replace(self, run_id="")
        match record:
            case rr.RunRetried(by_request=True):
                return replace(self, failures=0, retry_ts=None)
            case rr.StepEnded(state=self.failed_step):
                return replace(self, failures=0, failed_step="")  # failures behind a success are not in a row
            case _:
                return self


def evolve_cycle(cycle: Cycle, run: Run | None, entry: r.Entry, record: r.Record) -> Cycle:
    """Return the cycle after one of its records; `run` is its run, while that has not ended."""
    match record:
        case r.SleepCycleStarted():
            known = cycle if record.flow == cycle.flow else Cycle(flow=record.flow, last=cycle.last)
            return replace(known, phase="running", run_id=record.run_id)
        case r.SleepCycleInterrupted():
            return replace(cycle, phase="none")
        case r.SleepCycleDone():
            last = _last(entry, "completed", record.run_id, record.started_ts, record.worked_s)
            cleared = replace(cycle, failures=0, failed_step="", retry_ts=None, quarantine_until_ts=None)
            done = {**last, "result": record.result}
            return replace(cleared, phase="ended", run_id="", completed_ts=entry.wall_s, last=done)
        case r.SleepCycleSkipped():
            return replace(cycle, phase="ended")
        case r.SleepCycleFailed():
            started_ts, worked_s = (run.started_ts, run.worked_s) if run else (None, 0.0)
            last = _last(entry, "failed", record.run_id, started_ts, worked_s, record.step, record.error)
            failed = replace(cycle, phase="ended", last=last, retry_ts=record.retry_ts)
            return replace(failed, failures=record.failures, failed_step=record.step)
        case r.QuarantineEntered():
            return replace(cycle, quarantine_until_ts=record.until_ts)
        case r.QuarantineLifted():
            return replace(cycle, quarantine_until_ts=None, failures=0, retry_ts=None)
        case _:
            raise AssertionError(f"evolve has no arm for the record {record.kind!r}")


def _last(
    entry: r.Entry,
    outcome: str,
    run_id: str,
    started_ts: float | None,
    worked_s: float,
    step: str = "",
    error: str = "",
) -> Mapping[str, Any]:
    return {
        "outcome": outcome,
        "run_id": run_id,
        "started_ts": started_ts,
        "ended_ts": entry.wall_s,
        "duration_s": round(worked_s, 6),
        "step": step,
        "error": error,
        "result": None,
    }
