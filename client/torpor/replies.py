"""What the daemon answers, as types; about agents and runs in `agent_replies` and `run_replies`.

For type checkers and readers: nothing that runs imports this module.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

State = Literal["WAKE", "DROWSY", "SLEEP", "HIBERNATION"]
AgentStatus = Literal["offline", "exhausted", "busy", "on_call", "idle"]
RunStatus = Literal["pending", "running", "paused", "completed", "failed", "cancelled"]


class Hello(TypedDict):
    """Who answers, and what it takes."""

    protocol: int
    daemon: dict[str, Any]
    state: State
    limits: dict[str, int]


class NoCycle(TypedDict):
    """Why a sleep has no cycle, and when one is due; None: not by itself."""

    skipped: str
    due_ts: str | None


class Event(TypedDict):
    """What an event did. `seq` is the ledger's position after it. `cycle`, of force_sleep: why there is none."""

    state: State
    seq: int
    changed: bool
    wrapper_event_seq: int
    cycle: NotRequired[NoCycle | None]
    replayed: NotRequired[bool]


class Next(TypedDict):
    """The transition that is due next, and what stands in its way."""

    state: State | None
    in_s: float | None
    at: str | None
    blocked_by: list[Any]


class Hold(TypedDict):
    """One hold: who keeps the daemon awake, why, and until when."""

    hold_id: str
    who: str
    why: str
    since_ts: str
    until_ts: str | None
    bound: Literal["connection", "process", "time"]
    pid: int | None


class Recovering(TypedDict):
    """How many agents' quotas are used up, of those that are offline, too, and when the first of them is back."""

    count: int
    next_ts: str | None


class WayBack(TypedDict):
    """When a way back last worked, in which version. `took_s`: what that version's last test measured, or None."""

    ts: str
    took_s: float | None
    how: Literal["seen", "wake-test"]
    version: str


class Status(TypedDict):
    """The daemon in figures. Times ISO 8601 in UTC, durations in seconds, memory in bytes.

    `resumes_ts`: the earliest time at which a run that waits wants to go on. `manager`, `unit`: who starts it, and what
    it is called there. `wake_armed`: for when a timer of the service manager is set, as far as is known.
    """

    state: State
    since_ts: str
    generation: int
    pid: int
    version: str
    protocol: int
    started_ts: str
    start_cause: str
    uptime_s: float
    last_activity_ts: str | None
    wrapper_event_seq: int
    ledger_seq: int
    next: Next
    holds: list[Hold]
    agents: dict[AgentStatus, int]
    recovering: NotRequired[Recovering]
    runs: dict[RunStatus, int]
    sleep: dict[str, Any]
    supervisor: str | None
    manager: NotRequired[str]
    unit: NotRequired[str]
    ways_back: NotRequired[dict[str, WayBack]]
    wake_armed: NotRequired[str | None]
    next_wake_ts: str | None
    resumes_ts: NotRequired[str | None]
    shadow_run: bool
    safe_mode: dict[str, Any] | None
    installed: dict[str, Any]
    rss_bytes: int
    cpu_s: float
    home: str


class Reason(TypedDict):
    """One reason for being awake, or for not being asleep yet."""

    kind: str
    who: NotRequired[str | None]
    why: NotRequired[str | None]
    since: NotRequired[str | None]
    until: NotRequired[str | None]


class PlannedTimer(TypedDict):
    """The service manager's timer: for when it is wanted and set, and why it cannot be; None: there is none of it."""

    wanted: str | None
    armed: str | None
    problem: str | None


class Why(TypedDict):
    """Why the daemon is where it is, and what comes next."""

    state: State
    awake_because: list[Reason]
    next: Next
    not_yet_because: list[Reason]
    quiet: NotRequired[list[Reason]]
    planned: NotRequired[PlannedTimer]


class StoreFigures(TypedDict):
    """The store, as the daemon has it open; bytes None where they cannot be seen.

    `integrity`: what the last sleep cycle found in it, `found` and `ts`; None where it did not look.
    """

    version: int | None
    problem: str | None
    integrity: dict[str, Any] | None
    bytes: int | None
    wal_bytes: int | None
    free_bytes: int | None


class Examined(TypedDict):
    """What only the daemon knows of how well it is.

    `settings`: their `file`, and the `problem` for which `reload` would refuse them, or None. `stuck`: left files that
    cannot be read or taken away, and why. `environ`: what decides which programs and places it finds.
    """

    store: StoreFigures
    settings: dict[str, Any]
    stuck: dict[str, str]
    environ: dict[str, str]
    children: list[dict[str, Any]]


class Record(TypedDict):
    """One entry of the ledger."""

    seq: int
    ts: str
    kind: str
    data: dict[str, Any]
    cause: Any


class LogPage(TypedDict):
    """Some records, and where the next page begins: give `next` as `after`."""

    records: list[Record]
    next: int


class Subscribed(TypedDict):
    """The position from which a subscription tells."""

    next: int


class Waited(TypedDict):
    """The state that was waited for. `seq` is None where the daemon was down and its state file told."""

    state: State
    seq: int | None


class Acquired(TypedDict):
    """A hold that was taken."""

    hold_id: str
    state: State
    replayed: NotRequired[bool]


class Released(TypedDict):
    """A hold that was let go."""

    hold_id: str
    released: bool
    replayed: NotRequired[bool]


class Holds(TypedDict):
    """A page of holds. `cursor` is for the next one, None on the last."""

    holds: list[Hold]
    cursor: NotRequired[str | None]


class Hibernating(TypedDict):
    """What still stands between the daemon and hibernation; empty: it goes now."""

    state: State
    waiting_for: list[Any]
    replayed: NotRequired[bool]


class Stopping(TypedDict):
    """The state the daemon stops in."""

    state: State
    replayed: NotRequired[bool]


class Reloaded(TypedDict):
    """The settings that are different now."""

    changed: list[str]
    replayed: NotRequired[bool]


class WayProven(TypedDict):
    """A way back that was seen to work, and what it took by the client's word."""

    way: str
    took_s: float | None
    replayed: NotRequired[bool]
