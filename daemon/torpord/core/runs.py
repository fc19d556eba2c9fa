"""Runs: durable executions of flows, as far as the daemon decides about them.

A run stands at one *place* a branch: the state it is to do next, or is doing. The places are all of a run that is kept
in memory; its data, its finished steps and its calls are rows of the store, and the flow's code is the worker's.

    READY    to be begun as soon as a worker is there        FORKED   the main branch, while others go
    RUNNING  an attempt is under way                         AT_JOIN  a branch that is done
    WAITING  for the time of its next attempt                FAILED   its attempts are used up
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from torpord.core.value import part

MAIN = ""
# Workers at one time; a run beyond them is pending. Each is a process of some 20 MB.
MAX_WORKERS = 4
# Runs that have not ended; one more is refused. Each is some hundred bytes of memory.
MAX_LIVE_RUNS = 1000
MAX_BRANCHES = 256
DEFAULT_MAX_STEPS = 1000
# A worker that dies so often without the end of a step in between does not get better by another try.
MOST_CRASHES = 5
FIRST_STEP_RETRY_S = 1.0
LAST_STEP_RETRY_S = 600.0
# A worker that has nothing to do for so long is not kept for it; a sleep cycle goes on in a later sleep.
WORKER_IDLE_S = 10.0
CYCLE_PATIENCE_S = 60.0


class RunStatus(StrEnum):
    """How a run is. The last three are ends; a failed run can be retried."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})


class PlaceStatus(StrEnum):
    """How a place is; see the module."""

    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    FORKED = "forked"
    AT_JOIN = "at_join"
    FAILED = "failed"


class Stopping(StrEnum):
    """Why no further step of a run is begun until its running steps have ended."""

    NOT = ""
    PAUSE = "pause"
    YIELD = "yield"
    FAIL = "fail"


@part
class Place:
    """Where one branch stands. `state` "" is the flow's initial one, which only its code knows.

    `visit` counts how often the branch entered the state, `attempt` the tries of this visit, `failures` those of them
    that count against the state's `retries`. `join` is where the branch ends; of a forked main branch, where it goes
    on.
    """

    branch: str
    state: str
    visit: int = 1
    attempt: int = 0
    status: PlaceStatus = PlaceStatus.READY
    failures: int = 0
    retry_awake_s: float | None = None
    retry_ts: float | None = None  # about when that is, should the machine not be suspended meanwhile
    since_ts: float = 0.0
    join: str = ""
    error: Mapping[str, str] | None = None  # type and message of the last failure


@part
class Run:
    """One run. `worker` numbers the process that carries it out, 0 while there is none."""

    run_id: str
    flow: str
    created_ts: float
    places: tuple[Place, ...]
    origin: str = ""  # what idempotency keys are made of: the id, but for what was imported
    status: RunStatus = RunStatus.PENDING
    reason: str = ""
    purpose: str = ""
    session_id: str = ""
    cycle: bool = False  # it is the sleep cycle
    legacy: bool = False  # it came as a document of version 1
    version: int | None = None  # of the flow as it was last loaded
    states: int = 0  # how many the flow has
    max_steps: int = DEFAULT_MAX_STEPS
    steps: int = 0  # that ended
    again: int = 0  # attempts that asked for another one
    steps_before: int = 0  # those a retry does not count any more
    worked_s: float = 0.0  # by all steps together
    started_ts: float | None = None
    ended_ts: float | None = None
    worker: int = 0
    workers: int = 0  # how many there were
    loaded: bool = False  # the worker has the flow, and can begin steps
    stopping: Stopping = Stopping.NOT
    crashes: int = 0
    error: Mapping[str, Any] | None = None
    awaits_start: bool = False  # of the daemon: the code of this process is not the installed one any more

    @property
    def main(self) -> Place:
        """The main branch's place."""
        return self.places[0]

    def place(self, branch: str) -> Place | None:
        """Return a branch's place, if there is one."""
        return next((place for place in self.places if place.branch == branch), None)

    def having(self, *statuses: PlaceStatus) -> tuple[Place, ...]:
        """Return the places that are in one of these."""
        return tuple(place for place in self.places if place.status in statuses)

    @property
    def retry_awake_s(self) -> float | None:
        """When the first waiting place goes on, by the awake clock."""
        times = [place.retry_awake_s for place in self.places if place.status is PlaceStatus.WAITING]
        return min((at_s for at_s in times if at_s is not None), default=None)

    @property
    def only_waits(self) -> bool:
        """Whether it goes on by itself, later, and does nothing now: not even load its flow."""
        if self.awaits_start or (self.worker and not self.loaded):
            return False
        waits = False
        for place in self.places:
            if place.status in (PlaceStatus.RUNNING, PlaceStatus.READY):
                return False
            waits = waits or place.status is PlaceStatus.WAITING
        return waits

    @property
    def joins(self) -> bool:
        """Whether every branch has come to the join."""
        branches = self.places[1:]
        return bool(branches) and all(place.status is PlaceStatus.AT_JOIN for place in branches)

    @property
    def is_busy(self) -> bool:
        """Whether the daemon stays awake for it."""
        active = self.status in (RunStatus.PENDING, RunStatus.RUNNING)
        return active and not self.cycle and not self.only_waits and not self.awaits_start

    @property
    def at(self) -> str:
        """Name the states it is at."""
        open_ = [p.state for p in self.places if p.status not in (PlaceStatus.AT_JOIN, PlaceStatus.FORKED)]
        return ", ".join(dict.fromkeys(open_)) or self.main.join or self.main.state


@part
class Runs:
    """All runs that have not ended, and the sleep cycle's even if it failed; and how many others ended how."""

    live: Mapping[str, Run] = field(default_factory=lambda: MappingProxyType({}))
    ended: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def with_(self, run: Run) -> Runs:
        """Return these with a run as it is now. Copies: live runs are few (MAX_LIVE_RUNS bounds them)."""
        return Runs(MappingProxyType({**self.live, run.run_id: run}), self.ended)

    def without(self, run_id: str) -> Runs:
        """Return these without one."""
        return Runs(MappingProxyType({key: run for key, run in self.live.items() if key != run_id}), self.ended)

    def counting(self, status: RunStatus, by: int) -> Runs:
        """Return these with so many more that ended so."""
        ended = {**self.ended, status.value: self.ended.get(status.value, 0) + by}
        # As counting the rows of the store gives them: none is no number.
        return Runs(self.live, MappingProxyType({name: count for name, count in ended.items() if count}))

    @property
    def busy(self) -> Iterator[Run]:
        """Those the daemon stays awake for."""
        return (run for run in self.live.values() if run.is_busy)

    def counts(self) -> dict[str, int]:
        """Count all runs by status."""
        counts = {status.value: self.ended.get(status.value, 0) for status in RunStatus}
        for run in self.live.values():
            counts[run.status.value] += 1
        return counts
