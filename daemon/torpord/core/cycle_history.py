"""The sleep cycle as the world knows it, and what its records make of it. The work itself is a run like any other."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import field
from typing import Any

from torpord.core import records as r
from torpord.core import run_records as rr
from torpord.core.policy import UPKEEP
from torpord.core.replacing import replace
from torpord.core.runs import Run, RunStatus
from torpord.core.value import part

# What each flow of a sleep has of its own.
_OWN = ("run_id", "failures", "failed_step", "retry_ts", "quarantine_until_ts", "completed_ts")


@part
class Cycle:
    """The sleep cycle.

    `phase` is about this SLEEP: "none" (not begun), "running", or "ended" (nothing more to do in it). `flow` is the one
    that ran last, or runs; `run_id`, failures and the last completion are its: `run_id` is the run that goes on in this
    SLEEP or a later one, "" when none is unfinished. `others` has the same of the other flow of a sleep, where there
    are two (`cycle_due.flows`). One that is in the settings no more owes nothing.
    """

    phase: str = "none"
    run_id: str = ""
    flow: str = UPKEEP
    failures: int = 0
    failed_step: str = ""
    retry_ts: float | None = None
    quarantine_until_ts: float | None = None
    completed_ts: float | None = None
    last: Mapping[str, Any] | None = None  # how one last ended: as `_last` has it, and with its result
    upkept: Mapping[str, Any] | None = None  # the same of the last upkeep
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by flow

    def of(self, flow: str) -> Cycle:
        """Return what is known of one flow, as this one is of its own."""
        if flow == self.flow:
            return self
        return Cycle(phase=self.phase, flow=flow, last=self.last, upkept=self.upkept, **self.others.get(flow, {}))

    def turned_to(self, flow: str, kept: Container[str]) -> Cycle:
        """Return it as about another flow; what was known of this one is kept if it is among those that are."""
        if flow == self.flow:
            return self
        own = {name: getattr(self, name) for name in _OWN}
        others = {name: each for name, each in {**self.others, self.flow: own}.items() if name in kept and name != flow}
        return replace(self.of(flow), others=others)

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The unfinished runs there are, "" among them where a flow has none."""
        return (self.run_id, *(each["run_id"] for each in self.others.values()))

    def flow_of(self, run_id: str) -> str | None:
        """Name the flow whose unfinished run this is; None: it is none of the cycle's."""
        if run_id == self.run_id:
            return self.flow
        return next((flow for flow, each in self.others.items() if each["run_id"] == run_id), None)

    def changed(self, flow: str | None, **changes: Any) -> Cycle:
        """Return it with what is known of one flow changed; where nothing is, there is nothing to change."""
        if flow == self.flow:
            return replace(self, **changes)
        if flow is None or flow not in self.others:
            return self
        return replace(self, others={**self.others, flow: {**self.others[flow], **changes}})

    def without(self, run_id: str) -> Cycle:
        """Return it with no unfinished run of this id."""
        return self.changed(self.flow_of(run_id), run_id="") if run_id else self

    def followed(self, run: Run, record: rr.RunRecord) -> Cycle:
        """Return it after a record of one of its runs. A retry that was asked for is not put off."""
        if run.status in (RunStatus.COMPLETED, RunStatus.CANCELLED) or not run.cycle:
            return self.without(run.run_id)
        match record:
            case rr.RunRetried(by_request=True):
                return self.changed(self.flow_of(run.run_id), failures=0, retry_ts=None)
            case rr.StepEnded(state=self.failed_step) if run.run_id == self.run_id:
                return replace(self, failures=0, failed_step="")  # failures behind a success are not in a row
            case _:
                return self


def evolve_cycle(cycle: Cycle, run: Run | None, entry: r.Entry, record: r.Record, kept: Container[str]) -> Cycle:
    """Return the cycle after one of its records; `run` is its run, while that has not ended; `kept`: its flows."""
    match record:
        case r.SleepCycleStarted():
            return replace(cycle.turned_to(record.flow, kept), phase="running", run_id=record.run_id)
        case r.SleepCycleInterrupted():
            return replace(cycle, phase="none")
        case r.SleepCycleDone():
            last = _last(entry, cycle, "completed", record.run_id, record.started_ts, record.worked_s)
            cleared = replace(cycle, failures=0, failed_step="", retry_ts=None, quarantine_until_ts=None)
            done = _ended(cleared, {**last, "result": record.result})
            return replace(done, phase="ended", run_id="", completed_ts=entry.wall_s)
        case r.SleepCycleSkipped():
            return replace(cycle, phase="ended")
        case r.SleepCycleFailed():
            started_ts, worked_s = (run.started_ts, run.worked_s) if run else (None, 0.0)
            last = _last(entry, cycle, "failed", record.run_id, started_ts, worked_s, record.step, record.error)
            failed = replace(_ended(cycle, last), phase="ended", retry_ts=record.retry_ts)
            return replace(failed, failures=record.failures, failed_step=record.step)
        case r.QuarantineEntered():
            return replace(cycle, quarantine_until_ts=record.until_ts)
        case r.QuarantineLifted():
            return cycle.changed(record.flow or cycle.flow, quarantine_until_ts=None, failures=0, retry_ts=None)
        case _:
            raise AssertionError(f"evolve has no arm for the record {record.kind!r}")


def _ended(cycle: Cycle, last: Mapping[str, Any]) -> Cycle:
    return replace(cycle, last=last, upkept=last if cycle.flow == UPKEEP else cycle.upkept)


def _last(
    entry: r.Entry,
    cycle: Cycle,
    outcome: str,
    run_id: str,
    started_ts: float | None,
    worked_s: float,
    step: str = "",
    error: str = "",
) -> Mapping[str, Any]:
    return {
        "flow": cycle.flow,
        "outcome": outcome,
        "run_id": run_id,
        "started_ts": started_ts,
        "ended_ts": entry.wall_s,
        "duration_s": round(worked_s, 6),
        "step": step,
        "error": error,
        "result": None,
    }
