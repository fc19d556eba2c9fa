"""What the daemon answers about runs, as types. As `replies`: nothing that runs imports this module."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from torpor.replies import RunStatus


class RunIs(TypedDict):
    """The status a run is in after what was asked of it."""

    run_id: str
    status: RunStatus
    replayed: NotRequired[bool]


class RunPlace(TypedDict):
    """Where one branch of a run stands. The main branch has the name ""."""

    branch: str
    state: str
    visit: int
    attempt: int
    status: Literal["ready", "running", "waiting", "at_join", "forked", "failed"]
    retry_at: str | None
    since_ts: str
    error: NotRequired[PlaceError | None]


class PlaceError(TypedDict):
    """What the last attempt of a state failed with."""

    type: str
    message: str


class RunProgress(TypedDict):
    """How far a step says it is. Not durable: forgotten with the step."""

    done: float
    of: float | None
    note: str | None


class RunError(TypedDict):
    """What ended a run, and where."""

    type: str
    message: str
    state: NotRequired[str | None]
    branch: NotRequired[str | None]


class Run(TypedDict):
    """A run in brief. `cycle`: it is a sleep cycle; `steps`: how many have ended; `worked_s`: how long, all together.

    `stopping`: no further step is begun, because of "pause", "yield" (something goes first) or "fail"; else "".
    """

    run_id: str
    flow: str | None
    status: RunStatus
    reason: str | None
    stopping: Literal["", "pause", "yield", "fail"]
    purpose: str | None
    session_id: str | None
    cycle: bool
    created_ts: str
    started_ts: str | None
    ended_ts: str | None
    worked_s: float
    steps: int
    max_steps: int
    places: list[RunPlace]
    progress: dict[str, RunProgress]
    error: RunError | None
    worker_pid: int | None


class WholeRun(Run):
    """A run with its data. `data_omitted`: what is too large to be shown, and its bytes; an export has it."""

    version: int | None
    metadata: dict[str, Any]
    data: dict[str, Any]
    data_omitted: dict[str, int]
    result: Any
    errors: list[Any]
    origin: str
    legacy: bool


class StepError(TypedDict):
    """What a step failed with."""

    type: str
    message: str
    traceback: str | None


class RunStep(TypedDict):
    """One attempt at one state that has ended. `output`: what its process printed last."""

    id: int
    branch: str
    state: str
    visit: int
    attempt: int
    outcome: str
    next: list[str]
    started_ts: str
    duration_s: float | None
    cpu_s: float | None
    peak_rss_bytes: int | None
    error: StepError | None
    output: str | None


class RunCall(TypedDict):
    """One call that a step made: recorded before, its result kept after."""

    key: str
    branch: str
    state: str
    visit: int
    attempt: int
    tool: str
    args: Any
    status: Literal["begun", "done", "failed"]
    result: Any
    error: Any
    begun_ts: str
    ended_ts: str | None


class Runs(TypedDict):
    """A page of runs, the newest first. `cursor` is for the next one, None on the last."""

    runs: list[Run]
    cursor: str | None


class RunPage(TypedDict):
    """A run, and a page of its history, the oldest first. `cursor` is for the next one, None on the last."""

    run: WholeRun
    steps: list[RunStep]
    calls: list[RunCall]
    cursor: str | None


class RunPiece(TypedDict):
    """A piece of a run's document. `cursor` is for the next one, None on the last."""

    text: str
    cursor: str | None


class RunTaken(TypedDict):
    """What became of a piece of a run's document: `cursor` is for the next one; with the last one it is a run."""

    cursor: NotRequired[str | None]
    run_id: NotRequired[str]
    status: NotRequired[RunStatus]
    replayed: NotRequired[bool]


class WaitedRun(TypedDict):
    """The status of a run that was waited for."""

    run_id: str
    status: RunStatus
    seq: int
