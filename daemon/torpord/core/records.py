"""What became true: the only things that change the world, and the lines of the ledger.

Each record is a past-tense fact made of JSON scalars, so that the ledger holds it as it is and `parse` gives it back.
A record whose class says `ledgered = False` changes times and counts only: it is stored with the world, in the same
transaction, but writes no history (ten heartbeats a second would drown it). One whose class says `deferred = True` is
true before it is stored, and is stored within five seconds: losing it loses a time, and nothing that was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from torpord.core.value import value


@value
class Record:
    """The root of all records."""

    kind: ClassVar[str] = ""
    ledgered: ClassVar[bool] = True
    deferred: ClassVar[bool] = False
    unledgered: ClassVar[frozenset[str]] = frozenset()  # fields the ledger does not have

    def data(self) -> dict[str, Any]:
        """Return the record's fields as the ledger and the wire show them (`from_` is `from` there)."""
        names = _SHOWN.get(type(self))
        if names is None:  # once a kind: a run brings thousands of a kind a second
            shown = (f.name for f in fields(self) if f.name not in self.unledgered)
            names = _SHOWN[type(self)] = tuple((name.rstrip("_"), name) for name in shown)
        return {key: getattr(self, name) for key, name in names}


# By class of record: the fields its ledger lines have, each with its name there.
_SHOWN: dict[type[Record], tuple[tuple[str, str], ...]] = {}


@value
class Started(Record):
    """A process took the home: a new generation. The clock fields let awake times of an earlier boot be rebased."""

    kind: ClassVar[str] = "started"
    generation: int
    pid: int
    version: str
    start_cause: str
    supervisor: str
    boot_id: str
    after_crash: bool
    rebase_s: float  # to add to every stored awake time: 0 within one boot
    suspended_s: float
    policy: Mapping[str, Any]
    # What an older version's line does not have.
    timer: str = ""
    manager: str = ""
    unit: str = ""
    wake_file: bool = False


@value
class StopRequested(Record):
    """Somebody asked the process to end (`how`: "stop", "signal"); from here on nothing else is accepted."""

    kind: ClassVar[str] = "stop_requested"
    how: str


@value
class Stopped(Record):
    """The point of no return of an orderly end. The next start knows by it that nothing crashed."""

    kind: ClassVar[str] = "stopped"
    reason: str
    state: str


@value
class SettingsLoaded(Record):
    """Other settings than before came into force."""

    kind: ClassVar[str] = "settings_loaded"
    policy: Mapping[str, Any]


@value
class StateTransition(Record):
    """The lifecycle moved."""

    kind: ClassVar[str] = "state_transition"
    from_: str
    to: str
    trigger: str


@value
class ActivitySeen(Record):
    """Somebody used the daemon: the idle time starts anew. `count` is 1 for what `wrapper_event_seq` counts."""

    kind: ClassVar[str] = "activity_seen"
    ledgered: ClassVar[bool] = False
    count: int = 1


@value
class ShadowRunWarning(Record):
    """HIBERNATION was reached and the process stays, because the settings say so."""

    kind: ClassVar[str] = "shadow_run_warning"
    would_action: str
    blocked_by: str
    note: str


@value
class ResumedFromSuspend(Record):
    """The machine had been suspended for about this long."""

    kind: ClassVar[str] = "resumed_from_suspend"
    asleep_s: float
    suspended_s: float


@value
class ResumedFromStall(Record):
    """The process had not run for about this long, or could take nothing in, while agents' words were waited for."""

    kind: ClassVar[str] = "resumed_from_stall"
    stalled_s: float


@value
class HoldAcquired(Record):
    """Somebody holds the daemon awake: until a connection, a process or a time ends."""

    kind: ClassVar[str] = "hold_acquired"
    hold_id: str
    who: str
    why: str
    ttl_s: float | None
    pid: int | None
    pid_start: str | None
    connection: int | None


@value
class HoldReleased(Record):
    """A hold ended: `how` is "released", "connection_closed", "process_ended", "expired" or "daemon_ended"."""

    kind: ClassVar[str] = "hold_released"
    hold_id: str
    how: str


@value
class HibernateRequested(Record):
    """Somebody asked for hibernation as soon as nothing is busy; `now` gives the sleep cycle no time."""

    kind: ClassVar[str] = "hibernate_requested"
    now: bool


@value
class HibernateRevoked(Record):
    """The wish to hibernate was taken back before it could be carried out."""

    kind: ClassVar[str] = "hibernate_revoked"


@value
class SleepPostponed(Record):
    """Sleep is due and conditions stand in its way. Each is `{name, found}`."""

    kind: ClassVar[str] = "sleep_postponed"
    conditions: tuple[Mapping[str, Any], ...]


@value
class SleepRechecked(Record):
    """The conditions were read; the next reading is due then (awake time, or wall clock; None: not by that clock)."""

    kind: ClassVar[str] = "sleep_rechecked"
    ledgered: ClassVar[bool] = False
    next_awake_s: float | None
    next_wall_s: float | None
    unreadable: tuple[str, ...]


@value
class HibernationBlocked(Record):
    """Everything is done and the process must stay: each of these forbids the exit. Empty: nothing does any more."""

    kind: ClassVar[str] = "hibernation_blocked"
    by: tuple[str, ...]


@value
class HibernationRechecked(Record):
    """What forbids hibernation was looked at again, and is looked at next then."""

    kind: ClassVar[str] = "hibernation_rechecked"
    ledgered: ClassVar[bool] = False
    next_awake_s: float


@value
class SleepCycleStarted(Record):
    """The sleep cycle began, or went on at `step`: it is the run `run_id` of `flow`."""

    kind: ClassVar[str] = "sleep_cycle_started"
    run_id: str
    flow: str
    step: str
    resumed: bool


@value
class SleepCycleInterrupted(Record):
    """The cycle gave way: no failure. It goes on at `step` in the next SLEEP."""

    kind: ClassVar[str] = "sleep_cycle_interrupted"
    run_id: str
    step: str


@value
class SleepCycleDone(Record):
    """The cycle completed. `worked_s` leaves out the time it was interrupted; `result` None: none, or a large one."""

    kind: ClassVar[str] = "sleep_cycle_done"
    run_id: str
    started_ts: float
    worked_s: float
    result: Any


@value
class SleepCycleSkipped(Record):
    """There is no cycle to run in this SLEEP, for `reason`. `due_ts`: when there will be one (None: not by itself)."""

    kind: ClassVar[str] = "sleep_cycle_skipped"
    reason: str
    due_ts: float | None


@value
class SleepCycleFailed(Record):
    """The cycle failed at `step`; it is tried again no sooner than `retry_ts`."""

    kind: ClassVar[str] = "sleep_cycle_failed"
    run_id: str
    step: str
    error: str
    failures: int
    retry_ts: float


@value
class QuarantineEntered(Record):
    """Three failures in a row at one step: the cycle rests until `until_ts`."""

    kind: ClassVar[str] = "quarantine_entered"
    step: str
    until_ts: float


@value
class QuarantineLifted(Record):
    """The quarantine of a flow is over; "" in a line of an earlier version: of the one there was."""

    kind: ClassVar[str] = "quarantine_lifted"
    step: str
    flow: str = ""


@value
class WakeRejected(Record):
    """A file in `wake.d/` could not be taken; it lies in `wake.rejected/` with its reason."""

    kind: ClassVar[str] = "wake_rejected"
    name: str
    why: str


@value
class HookFailed(Record):
    """A hook of the settings failed, or was ended for taking too long. It stops nothing."""

    kind: ClassVar[str] = "hook_failed"
    hook: str
    command: str
    problem: str


@value
class WakeAsked(Record):
    """The service manager is asked for a timer at `at_ts` (None: for none); it is asked again no sooner than then."""

    kind: ClassVar[str] = "wake_asked"
    ledgered: ClassVar[bool] = False
    at_ts: float | None
    next_awake_s: float


@value
class WakeRechecked(Record):
    """The service manager is asked for nothing now, and no sooner than then. `tries`: how often in vain, in a row."""

    kind: ClassVar[str] = "wake_rechecked"
    ledgered: ClassVar[bool] = False
    tries: int
    next_awake_s: float


@value
class WakeArmed(Record):
    """A timer of the service manager's (`by`: one of `wire.MANAGERS`) starts a daemon that is down at `at_ts`."""

    kind: ClassVar[str] = "wake_armed"
    at_ts: float
    by: str


@value
class WakeDisarmed(Record):
    """No timer of the service manager's starts a daemon that is down."""

    kind: ClassVar[str] = "wake_disarmed"


@value
class WakeNotArmed(Record):
    """The service manager did not do as it was asked; whether a timer is set is not known."""

    kind: ClassVar[str] = "wake_not_armed"
    at_ts: float | None
    why: str


@value
class WayProven(Record):
    """A test of the ways back found that this one works, and took so much time."""

    kind: ClassVar[str] = "way_proven"
    way: str
    took_s: float | None


@value
class AgentRecord(Record):
    """The root of all records of an agent or of its slots (`core/agent_records.py`)."""

    agent_id: str


@value
class PresenceRecord(Record):
    """The root of the record of agents that were looked at together (`core/agent_records.py`)."""

    agent_ids: tuple[str, ...]


@dataclass(slots=True)  # frozen ones take three times as long to make, and this is made for every record
class Entry:
    """A record with its place: `seq` in the ledger (None: not ledgered), when, and who or what caused it."""

    seq: int | None
    wall_s: float
    awake_s: float
    record: Record
    cause: Mapping[str, Any] = field(default_factory=dict)
