"""What the daemon answers, as types. For type checkers and readers; nothing that runs imports this module."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

State = Literal["WAKE", "DROWSY", "SLEEP", "HIBERNATION"]


class Hello(TypedDict):
    """Who answers, and what it takes."""

    protocol: int
    daemon: dict[str, Any]
    state: State
    limits: dict[str, int]


class Event(TypedDict):
    """What an event did. `seq` is the ledger's position after it."""

    state: State
    seq: int
    changed: bool
    wrapper_event_seq: int
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


class Status(TypedDict):
    """The daemon in figures. Times ISO 8601 in UTC, durations in seconds, memory in bytes."""

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
    sleep: dict[str, Any]
    supervisor: str | None
    next_wake_ts: str | None
    shadow_run: bool
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


class Why(TypedDict):
    """Why the daemon is where it is, and what comes next."""

    state: State
    awake_because: list[Reason]
    next: Next
    not_yet_because: list[Reason]


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
