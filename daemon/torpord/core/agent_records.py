"""What became true of agents and their slots. Loaded with the first of them: most daemons at rest have none.

That an agent was heard of is said by `agent_seen`, `agent_online` and the `agent_registered` that brings it, and by no
other record: those say what became of it, whoever said so. `said_ts`: when that was said, by the wall clock, where it
was left in a file; None where it was said when it was heard.
"""

from __future__ import annotations

from typing import ClassVar

from torpord.core.records import AgentRecord, PresenceRecord
from torpord.core.value import value


@value
class AgentRegistered(AgentRecord):
    """There is a new agent; or one that is known has another card. `meta` is JSON text."""

    kind: ClassVar[str] = "agent_registered"
    unledgered: ClassVar[frozenset[str]] = frozenset({"said_ts"})
    parent_id: str | None = None
    pid: int | None = None
    pid_start: str | None = None
    wake_command: str | tuple[str, ...] | None = None
    meta: str = ""
    said_ts: float | None = None  # of one that is new


@value
class AgentSeen(AgentRecord):
    """It was heard of. `active`: it works, so that is somebody's use of the daemon, too."""

    kind: ClassVar[str] = "agent_seen"
    ledgered: ClassVar[bool] = False
    deferred: ClassVar[bool] = True
    active: bool = False
    said_ts: float | None = None


@value
class PresenceLooked(PresenceRecord):
    """These were heard of since they were filed, and are filed anew."""

    kind: ClassVar[str] = "presence_looked"
    ledgered: ClassVar[bool] = False
    deferred: ClassVar[bool] = True


@value
class AgentOnline(AgentRecord):
    """It is heard of again, with whatever it was before: it was offline, or quiet. `how`: "heartbeat"."""

    kind: ClassVar[str] = "agent_online"
    unledgered: ClassVar[frozenset[str]] = frozenset({"said_ts"})
    how: str = "heartbeat"
    said_ts: float | None = None


@value
class AgentOffline(AgentRecord):
    """It is not there any more; `how`: "said", "timeout" or "process_ended". What it was doing is kept."""

    kind: ClassVar[str] = "agent_offline"
    how: str
    reason: str = ""


@value
class AgentQuiet(AgentRecord):
    """It was not heard of in time, and its process lives: it stays what it is, and keeps nobody awake."""

    kind: ClassVar[str] = "agent_quiet"


@value
class AgentDoing(AgentRecord):
    """It does something else, for the slot it has taken, if any."""

    kind: ClassVar[str] = "agent_doing"
    doing: str
    slot_id: str | None = None
    reason: str = ""


@value
class AgentExhausted(AgentRecord):
    """Its quota is used up, and what it was doing ends. `moved`: it was so before, with another end."""

    kind: ClassVar[str] = "agent_exhausted"
    reason: str
    recovery_ts: float
    recovery_source: str
    moved: bool = False
    said_ts: float | None = None


@value
class AgentRecovered(AgentRecord):
    """It has a quota again: `how` is "reached", its time has come, or "said"."""

    kind: ClassVar[str] = "agent_recovered"
    how: str


@value
class AgentForgotten(AgentRecord):
    """It is not known any more: `how` is "asked", or "expired" after long silence. Its slots went before it."""

    kind: ClassVar[str] = "agent_forgotten"
    how: str


@value
class AgentWakeStarted(AgentRecord):
    """Its wake command is run for a slot. `command` is for people to read, and may be cut."""

    kind: ClassVar[str] = "agent_wake_started"
    slot_id: str
    command: str


@value
class AgentWakeEnded(AgentRecord):
    """Its wake command has ended; `problem` is "" where it went well."""

    kind: ClassVar[str] = "agent_wake_ended"
    slot_id: str
    problem: str = ""


@value
class SlotRecord(AgentRecord):
    """The root of all records of one slot; `agent_id` is whose it is."""

    slot_id: str


@value
class SlotAdded(SlotRecord):
    """There is a new slot: `type` is "work" or "on_call", `payload` JSON text."""

    kind: ClassVar[str] = "slot_added"
    type: str
    at_ts: float
    duration_s: float | None = None
    priority: int = 0
    payload: str | None = None


@value
class SlotOffered(SlotRecord):
    """A slot that is due is offered, the `offers`th time, and again `pause_s` from now.

    `via`: its "agent" is there to hear it, or its wake "command" is run for it.
    """

    kind: ClassVar[str] = "slot_offered"
    offers: int
    via: str
    pause_s: float


@value
class SlotWaiting(SlotRecord):
    """A slot is due, and nobody can be told of it until its agent comes back."""

    kind: ClassVar[str] = "slot_waiting"


@value
class SlotQueued(SlotRecord):
    """A slot is due, and its wake command cannot be run for it yet: it runs already, or as many run as may.

    `pause_s`: it runs already, and so long from now that is looked at again.
    """

    kind: ClassVar[str] = "slot_queued"
    pause_s: float | None = None


@value
class SlotDeferred(SlotRecord):
    """A slot is put off until its agent has recovered, also one that was taken: it is taken again then."""

    kind: ClassVar[str] = "slot_deferred"
    until_ts: float


@value
class SlotsTold(AgentRecord):
    """An agent was told of these offers, and is not told of them again before the next one."""

    kind: ClassVar[str] = "slots_told"
    ledgered: ClassVar[bool] = False
    deferred: ClassVar[bool] = True
    slot_ids: tuple[str, ...]


@value
class SlotTaken(SlotRecord):
    """Its agent took a slot. Nobody else can."""

    kind: ClassVar[str] = "slot_taken"


@value
class SlotFinished(SlotRecord):
    """What a slot was for is done."""

    kind: ClassVar[str] = "slot_finished"


@value
class SlotCancelled(SlotRecord):
    """A slot is off: `how` is "asked", or "agent_forgotten"."""

    kind: ClassVar[str] = "slot_cancelled"
    how: str
    reason: str = ""
