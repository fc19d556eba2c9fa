"""What the daemon answers about agents and slots, as types. As `replies`: nothing that runs imports this module."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from torpor.replies import AgentStatus

Doing = Literal["idle", "busy", "on_call"]
RecoverySource = Literal["recovery_at", "retry_after", "headers", "message", "estimated"]
SlotType = Literal["work", "on_call"]
SlotStatus = Literal["planned", "waiting", "queued", "offered", "taken"]


class Slot(TypedDict):
    """One slot: work that is planned for an agent. `at` is what was asked for, `due_ts` later where it was deferred.

    `waiting`: it is due and its agent is away. `queued`: its wake command waits for its turn. `armed`: a timer starts
    the daemon for it where that is down.
    """

    slot_id: str
    agent_id: str
    type: SlotType
    at: str
    due_ts: str
    duration_s: float | None
    priority: int
    payload: Any
    status: SlotStatus
    offers: int
    offered_again_ts: str | None
    taken_ts: str | None
    armed: bool


class Word(TypedDict):
    """What became of an agent's word. `slots`: those it is offered now; `due`: how many wait to be taken."""

    agent_id: str
    status: AgentStatus
    changed: bool
    slots: list[Slot]
    due: int
    seq: int
    recovery_at: NotRequired[str | None]
    recovery_source: NotRequired[RecoverySource | None]
    replayed: NotRequired[bool]


class Registered(Word):
    """An agent that is known now. `heartbeat_s`: how often it is to say that it is there."""

    heartbeat_s: float


class SlotTaken(Word):
    """A slot that is the agent's now."""

    slot: Slot


class AgentFacts(TypedDict):
    """What is known of an agent. `source`: who said what it is; `slot_id`: the one it has taken; `holds`: their ids.

    `doing` is what it last said, also while it is offline. `next_slot_ts`: when the next of its slots is due.
    `quiet`: its process is there, and it has not been heard of in time.
    """

    agent_id: str
    status: AgentStatus
    since_ts: str
    online: bool
    doing: Doing
    seen_ts: str | None
    source: str | None
    exhausted_at: str | None
    exhaust_reason: Literal["rate_limit", "billing"] | None
    recovery_at: str | None
    recovery_source: RecoverySource | None
    parent_id: str | None
    pid: int | None
    slot_id: str | None
    next_slot_ts: str | None
    holds: list[str]
    quiet: NotRequired[bool]


class Agent(AgentFacts):
    """One agent in a list. `slots`: how many it has, the one it has taken among them."""

    slots: int


class WholeAgent(AgentFacts):
    """An agent with what it gave about itself. `slots`: the first hundred of its slots."""

    wake_command: str | list[str] | None
    meta: Any
    slots: list[Slot]


class WholeAgentIs(TypedDict):
    """The agent that was asked for."""

    agent: WholeAgent


class Agents(TypedDict):
    """A page of agents, by name; it may be empty with others to come. `cursor` is None on the last."""

    agents: list[Agent]
    cursor: str | None


class Forgotten(TypedDict):
    """An agent that is not known any more."""

    agent_id: str
    forgotten: bool
    replayed: NotRequired[bool]


class WaitedAgent(TypedDict):
    """The status of an agent that was waited for."""

    agent_id: str
    status: AgentStatus
    seq: int


class SlotAdded(TypedDict):
    """A slot that is planned. Not `armed`: where the daemon is down then, it is taken up at the next start."""

    slot_id: str
    due_ts: str
    armed: bool
    status: SlotStatus
    replayed: NotRequired[bool]


class SlotCancelled(TypedDict):
    """A slot that was taken back."""

    slot_id: str
    cancelled: bool
    replayed: NotRequired[bool]


class Slots(TypedDict):
    """A page of slots. `cursor` is for the next one, None on the last."""

    slots: list[Slot]
    cursor: str | None
