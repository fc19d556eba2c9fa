"""What happens to runs: what clients ask, what workers report, what supervisors see.

Data, arguments and results come as JSON texts, made where they arrived: the core never looks into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from torpord.core.events import Event
from torpord.core.runs import DEFAULT_MAX_STEPS, Run
from torpord.core.value import value


@value
class RunWanted(Event):
    """A client's `run.start`."""

    run_id: str
    flow: str
    state: str = ""
    purpose: str = ""
    session_id: str = ""
    max_steps: int = DEFAULT_MAX_STEPS
    data: Mapping[str, str] = field(default_factory=dict)  # by top-level key
    metadata: str = "{}"


@value
class RunImportWanted(Event):
    """A client's `run.import`: the run as it shall be, and the rows it brings (`store.runs.Rows`)."""

    run: Run
    rows: object


@value
class StoredRunEvent(Event):
    """Something about a run that may have ended. `stored` is what the store has under the id; the writer adds it."""

    run_id: str
    stored: Run | None = None


@value
class RunOrdered(StoredRunEvent):
    """A client's `run.pause`, `resume`, `cancel`, `retry` or `remove`: `order` is that word."""

    order: str = ""
    flow: str = ""
    state: str = ""


@value
class RunExpired(StoredRunEvent):
    """A run has ended so long ago, or so many have since, that it is not kept any more."""


@value
class WorkerEvent(Event):
    """The root of what comes from the worker of that number of a run."""

    run_id: str
    worker: int


@value
class WorkerLoaded(WorkerEvent):
    """It has the flow: its version, initial state and the names of all states."""

    version: int
    initial: str
    states: frozenset[str]


@value
class WorkerCannotLoad(WorkerEvent):
    """The flow's code cannot be loaded: `error` is `{type, message, traceback}`."""

    error: Mapping[str, str]


@value
class WorkerOutdated(WorkerEvent):
    """It began nothing: its code is of another version than the daemon's. `replaced`: by which the next start is."""

    why: str
    replaced: bool = True


@value
class WorkerGone(WorkerEvent):
    """The process has ended. `blame` False: the daemon ended it, for a reason that is not its running steps'."""

    how: str
    blame: bool = True
    output: str = ""
    cpu_s: float | None = None
    peak_rss_bytes: int | None = None


@value
class StepReported(WorkerEvent):
    """An attempt ended, with `outcome` as the pipe's protocol has it. `draw`: chance, 0 to 1, for the retry's time.

    `set_`, `removed`: what changed in the data, by top-level key. `result`: that of a run which completes with this.
    `timed_out`: it was ended, after its time.
    """

    branch: str
    state: str
    visit: int
    attempt: int
    outcome: Mapping[str, Any]
    duration_s: float
    cpu_s: float | None = None
    peak_rss_bytes: int | None = None
    set_: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    result: str = "null"
    output: str = ""
    timed_out: bool = False
    draw: float = 0.5


@value
class JoinReported(WorkerEvent):
    """All branches were merged; or cannot be, for `error`: `{type, message, traceback}`."""

    visit: int = 1
    set_: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    error: Mapping[str, str] | None = None


@value
class CallReported(WorkerEvent):
    """A step is about to call something outside (`ok` None), or has: `value` is its args, or its result or error."""

    branch: str
    state: str
    visit: int
    attempt: int
    key: str
    tool: str
    ok: bool | None
    value: str
