"""What became true of a run. `unledgered` fields go to the run's own rows in the store, and not into the ledger.

Those of them that are data, arguments or results are JSON texts.

A record of a run says all that `core/run_history.py` needs to fold it; data, results and tracebacks would drown it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

from torpord.core.records import Record
from torpord.core.value import value


@value
class RunRecord(Record):
    """The root of all records of a run."""

    run_id: str


@value
class RunCreated(RunRecord):
    """There is a new run. `state` "" is the flow's initial one."""

    kind: ClassVar[str] = "run_created"
    unledgered: ClassVar[frozenset[str]] = frozenset({"data_", "metadata"})
    flow: str
    state: str
    purpose: str
    session_id: str
    max_steps: int
    cycle: bool
    data_: Mapping[str, str] = field(default_factory=dict)
    metadata: str = "{}"


@value
class RunStarted(RunRecord):
    """A worker is started for it, the how manieth."""

    kind: ClassVar[str] = "run_started"
    worker: int


@value
class FlowLoaded(RunRecord):
    """The worker has the flow: `version`, its `initial` state, how many `states`."""

    kind: ClassVar[str] = "flow_loaded"
    version: int
    initial: str
    states: int


@value
class WorkerEnded(RunRecord):
    """The run's worker is gone. `crashed`: by itself, with nobody having asked for it."""

    kind: ClassVar[str] = "worker_ended"
    worker: int
    how: str
    crashed: bool


@value
class StepRecord(RunRecord):
    """The root of the records of one attempt at a state."""

    branch: str
    state: str
    visit: int
    attempt: int


@value
class StepStarted(StepRecord):
    """An attempt was begun."""

    kind: ClassVar[str] = "step_started"


@value
class StepDone(StepRecord):
    """The root of how an attempt ended. Memory is the worker's peak so far; times in seconds."""

    started_ts: float
    duration_s: float
    cpu_s: float | None
    peak_rss_bytes: int | None


@value
class StepEnded(StepDone):
    """A step is done: `outcome` is "next", "parallel", "at_join" or "complete".

    `next` is where it goes on, each `{branch, state, visit}`; `join` of a parallel, where its branches meet. `begins`:
    the first attempt there was begun in the same instant.
    """

    kind: ClassVar[str] = "step_ended"
    unledgered: ClassVar[frozenset[str]] = frozenset({"set_", "removed"})
    outcome: str
    next: tuple[Mapping[str, Any], ...]
    join: str
    begins: bool
    set_: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


@value
class StepFailed(StepDone):
    """An attempt failed; `how` is "failed", "retry", "timeout" or "crashed".

    `counted`: against the state's retries. `retry_in_s` None: there is no further attempt.
    """

    kind: ClassVar[str] = "step_failed"
    unledgered: ClassVar[frozenset[str]] = frozenset({"traceback", "output"})
    how: str
    error_type: str
    message: str
    counted: bool
    retry_in_s: float | None
    traceback: str = ""
    output: str = ""


@value
class StepInterrupted(StepDone):
    """An attempt was broken off, and no failure: `why` is what it gave way to."""

    kind: ClassVar[str] = "step_interrupted"
    why: str


@value
class CallBegun(StepRecord):
    """A step is about to do something outside, once: its intent."""

    kind: ClassVar[str] = "call_begun"
    unledgered: ClassVar[frozenset[str]] = frozenset({"args"})
    key: str
    tool: str
    args: str = "null"


@value
class CallEnded(StepRecord):
    """It was done, or failed: its outcome."""

    kind: ClassVar[str] = "call_ended"
    unledgered: ClassVar[frozenset[str]] = frozenset({"result"})
    key: str
    ok: bool
    result: str = "null"


@value
class RunJoined(RunRecord):
    """All branches are merged, and the main one goes on at `state`."""

    kind: ClassVar[str] = "run_joined"
    unledgered: ClassVar[frozenset[str]] = frozenset({"set_", "removed"})
    state: str
    visit: int
    begins: bool
    set_: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


@value
class RunStopping(RunRecord):
    """No further step is begun: `why` is "pause", "yield" or "fail"."""

    kind: ClassVar[str] = "run_stopping"
    why: str


@value
class RunPaused(RunRecord):
    """It rests until it is resumed. `leaves_cycle`: it is the sleep cycle no more."""

    kind: ClassVar[str] = "run_paused"
    reason: str
    leaves_cycle: bool = False


@value
class RunResumed(RunRecord):
    """It goes on; with another `flow` or at another `state`, where they are not ""."""

    kind: ClassVar[str] = "run_resumed"
    flow: str = ""
    state: str = ""


@value
class RunInterrupted(RunRecord):
    """It gave way, and goes on where it is. `awaits_start`: in the daemon's next process."""

    kind: ClassVar[str] = "run_interrupted"
    why: str
    awaits_start: bool = False


@value
class RunCompleted(RunRecord):
    """It is done."""

    kind: ClassVar[str] = "run_completed"
    unledgered: ClassVar[frozenset[str]] = frozenset({"result"})
    steps: int
    result: str = "null"


@value
class RunFailed(RunRecord):
    """It failed: `error` is the first one, `{type, message, state, branch}`, and `errors` are those of all branches."""

    kind: ClassVar[str] = "run_failed"
    error: Mapping[str, Any]
    errors: tuple[Mapping[str, Any], ...]


@value
class RunCancelled(RunRecord):
    """It was cancelled."""

    kind: ClassVar[str] = "run_cancelled"
    reason: str


@value
class RunRetried(RunRecord):
    """A failed run goes on from what had failed; `run` is its document after that."""

    kind: ClassVar[str] = "run_retried"
    by_request: bool
    run: Mapping[str, Any]


@value
class RunImported(RunRecord):
    """A run came as a document; `run` is what it became here."""

    kind: ClassVar[str] = "run_imported"
    unledgered: ClassVar[frozenset[str]] = frozenset({"rows"})
    run: Mapping[str, Any]
    rows: object = None


@value
class RunRemoved(RunRecord):
    """An ended run and all of its history are gone: by request, or because it was older than runs are kept."""

    kind: ClassVar[str] = "run_removed"
    status: str
    why: str
