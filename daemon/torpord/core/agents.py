"""Agents and their slots, as far as the daemon decides about them.

Three facts about an agent are kept apart: is it online, is it exhausted, what is it doing. What is reported of it
follows from them (`Agent.status`), and coming back online forgets none of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import NamedTuple

from torpord.core.agenda import Agenda
from torpord.core.persistent import Map
from torpord.core.replacing import replace
from torpord.core.value import part

# So many agents or slots are looked at in one decision: a commit of them takes some milliseconds, and then others have
# their turn.
SLICE = 256
# So many wake commands run at once: each starts a program, and they are not to take the machine from those at work.
MOST_WAKING = 4
# Up to here `Agents.presence` is exact: beyond, a heartbeat leaves an entry where it was filed, and it is looked at
# when its time comes.
MOST_EXACT = 64


class Doing(StrEnum):
    """What an agent does."""

    IDLE = "idle"
    BUSY = "busy"
    ON_CALL = "on_call"


class Status(StrEnum):
    """How an agent is, as it is reported."""

    OFFLINE = "offline"
    EXHAUSTED = "exhausted"
    BUSY = "busy"
    ON_CALL = "on_call"
    IDLE = "idle"


STATUSES = tuple(Status)
_AS_REPORTED = {doing: Status(doing) for doing in Doing}
# Three hundred years: of two slots the one of the higher priority comes first, whenever they are due. Times are still
# told apart to two milliseconds beside the highest priority there is.
_LONGER_THAN_ANY_TIME_S = 1e10
DOING_OF_SLOT = {"work": Doing.BUSY, "on_call": Doing.ON_CALL}


class Seen(NamedTuple):
    """When an agent was last heard of, by both clocks. `filed_s`: where `Agents.presence` has it, or had it last."""

    awake_s: float
    wall_s: float
    filed_s: float

    def later(self, awake_s: float, wall_s: float) -> Seen:
        """Return this, or what was heard then where that is later. It stays filed where it was."""
        return Seen(max(self.awake_s, awake_s), max(self.wall_s, wall_s), self.filed_s)


@part
class Exhaustion:
    """A quota that is used up, since when and until when.

    `source` says how its end is known: "recovery_at", "retry_after", "headers", "message", or it is "estimated".
    """

    at_ts: float
    reason: str
    recovery_ts: float
    source: str

    @property
    def estimated(self) -> bool:
        """Whether nobody said when it ends."""
        return self.source == "estimated"


@part
class Card:
    """What an agent said of itself that most say nothing about. `meta` is JSON text, "" where there is none."""

    parent_id: str | None = None
    pid: int | None = None
    pid_start: str | None = None
    wake_command: str | tuple[str, ...] | None = None
    meta: str = ""

    @property
    def carried_bytes(self) -> int:
        """How much of it somebody else has written: what may be large."""
        command = self.wake_command or ()
        return len((self.meta + (command if isinstance(command, str) else "".join(command))).encode())


NO_CARD = Card()


@part
class Agent:
    """One agent. `since_ts` and `source` are the status's: since when, and by whom it came (a program, a deadline)."""

    agent_id: str
    online: bool = True
    doing: Doing = Doing.IDLE
    since_ts: float = 0.0
    source: str = ""
    exhaustion: Exhaustion | None = None
    card: Card | None = None  # None where it would say nothing
    slots: tuple[str, ...] = ()  # the live ones, by (at_ts, slot_id)
    slot_id: str | None = None  # the one it has taken
    waking: str | None = None  # the slot its wake command is under way for
    quiet: bool = False  # online, and not heard of in time: its process lives, and that it is watched is its presence

    @property
    def status(self) -> Status:
        """Its status, as it is reported."""
        if not self.online:
            return Status.OFFLINE
        return Status.EXHAUSTED if self.exhaustion is not None else _AS_REPORTED[self.doing]

    @property
    def heard(self) -> bool:
        """Whether it is online by its words: a deadline says until when, if no other word comes."""
        return self.online and not self.quiet

    @property
    def at_work(self) -> bool:
        """Whether it works, as it said last."""
        return self.online and self.exhaustion is None and self.doing is not Doing.IDLE

    @property
    def working(self) -> bool:
        """Whether the daemon stays awake for what it does: while its words come, and no longer."""
        return self.at_work and not self.quiet

    @property
    def silent(self) -> bool:
        """Whether it works, as it said last, and the daemon does not stay awake for it."""
        return self.at_work and self.quiet

    @property
    def said(self) -> Card:
        """Its card, also where there is none."""
        return self.card or NO_CARD


class SlotState(StrEnum):
    """How a slot is. Of one that is due and was not offered: it may be that nobody can be told now.

    Its agent is offline and has no wake command: then it is waiting. Or that command is to be run, and cannot be yet:
    then it is queued, until there is a place among those that run, or for a pause, where it runs already.
    """

    PLANNED = "planned"
    WAITING = "waiting"
    QUEUED = "queued"
    OFFERED = "offered"
    TAKEN = "taken"


@part
class Slot:
    """A piece of work for an agent, at a time. `payload` is JSON text.

    `offers` counts how often it was offered, `again_awake_s` is when that is repeated (or tried again, for a queued one
    that does not wait for a place), and `told` says whether its agent has heard of the last offer.
    """

    slot_id: str
    agent_id: str
    type: str
    at_ts: float
    duration_s: float | None = None
    priority: int = 0
    payload: str | None = None
    state: SlotState = SlotState.PLANNED
    until_ts: float | None = None  # it was deferred to then
    offers: int = 0
    again_awake_s: float | None = None
    told: bool = False
    taken_ts: float | None = None

    @property
    def carried_bytes(self) -> int:
        """How large its payload is."""
        return 0 if self.payload is None else len(self.payload.encode())

    @property
    def due_s(self) -> float:
        """When it is due, by the wall clock: at its time, or when its agent has recovered."""
        return self.at_ts if self.until_ts is None else max(self.at_ts, self.until_ts)

    @property
    def turn(self) -> float:
        """Where it stands among those that wait for a place: by its priority, then by when it is due."""
        return max(self.due_s, 0.0) - self.priority * _LONGER_THAN_ANY_TIME_S

    @property
    def wants_place(self) -> bool:
        """Whether it is offered as soon as one more wake command may run."""
        return self.state is SlotState.QUEUED and self.again_awake_s is None


@part
class Agents:
    """All agents and slots, and in which order their times come.

    Where each entry of an agenda lies follows from the agent or slot alone, and nothing else knows it: an exhausted
    agent is in `recoveries` at its `recovery_ts`, one that is online and not quiet in `presence` at its `Seen.filed_s`,
    a planned slot in `wakes` at its `due_s`, one with an `again_awake_s` in `offers` at that, one that wants a place in
    `queue` at its `turn`.
    """

    by_id: Map[str, Agent] = field(default_factory=Map[str, Agent])
    seen: Map[str, Seen] = field(default_factory=Map[str, Seen])
    ids: Agenda = field(default_factory=Agenda)  # all at 0.0: their names in order, for pages
    presence: Agenda = field(default_factory=Agenda)  # awake time
    recoveries: Agenda = field(default_factory=Agenda)  # wall clock
    working: Map[str, None] = field(default_factory=Map[str, None])
    silent: Map[str, None] = field(default_factory=Map[str, None])
    waking: Map[str, None] = field(default_factory=Map[str, None])
    tied: Map[str, None] = field(default_factory=Map[str, None])  # to a process
    slots: Map[str, Slot] = field(default_factory=Map[str, Slot])
    wakes: Agenda = field(default_factory=Agenda)  # wall clock; these are the planned wakes
    offers: Agenda = field(default_factory=Agenda)  # awake time
    queue: Agenda = field(default_factory=Agenda)  # by turn
    counts: tuple[int, ...] = (0,) * len(STATUSES)  # as STATUSES
    carried_bytes: int = 0  # by all agents and slots

    @staticmethod
    def of(agents: Iterable[Agent], seen: Mapping[str, Seen], slots: Iterable[Slot] = ()) -> Agents:
        """Build from single ones, as the store gives them: `seen` says of each of them when it was heard of."""
        by_id = {agent.agent_id: agent for agent in agents}
        by_slot = {slot.slot_id: slot for slot in slots}
        found = [agent.status for agent in by_id.values()]
        at_work = [agent for agent in by_id.values() if agent.at_work]
        carded = [agent for agent in by_id.values() if agent.card is not None]
        return Agents(
            by_id=Map.of(by_id),
            seen=Map.of(seen),
            ids=Agenda.of((0.0, agent_id) for agent_id in by_id),
            presence=Agenda.of((seen[each.agent_id].filed_s, each.agent_id) for each in by_id.values() if each.heard),
            recoveries=Agenda.of((a.exhaustion.recovery_ts, a.agent_id) for a in by_id.values() if a.exhaustion),
            working=Map.of((each.agent_id, None) for each in at_work if each.working),
            silent=Map.of((each.agent_id, None) for each in at_work if each.silent),
            waking=Map.of((each.agent_id, None) for each in by_id.values() if each.waking is not None),
            tied=Map.of((each.agent_id, None) for each in carded if each.said.pid is not None),
            slots=Map.of(by_slot),
            wakes=Agenda.of((s.due_s, s.slot_id) for s in by_slot.values() if s.state is SlotState.PLANNED),
            offers=Agenda.of((s.again_awake_s, s.slot_id) for s in by_slot.values() if s.again_awake_s is not None),
            queue=Agenda.of((s.turn, s.slot_id) for s in by_slot.values() if s.wants_place),
            counts=tuple(found.count(status) for status in STATUSES),
            carried_bytes=sum(each.said.carried_bytes for each in carded)
            + sum(each.carried_bytes for each in by_slot.values()),
        )

    @property
    def has_place(self) -> bool:
        """Whether one more wake command may run."""
        return len(self.waking) < MOST_WAKING

    @property
    def next_wake_ts(self) -> float | None:
        """When the next slot is due that was not offered yet: until then somebody must be there to offer it."""
        return self.wakes.first

    def effective_seen(self, agent_id: str, floor_s: float) -> float:
        """Return when an agent's presence counts from, awake time: a daemon that was away gives everyone time anew."""
        return max(self.seen[agent_id].awake_s, floor_s)

    def with_agent(self, before: Agent | None, after: Agent | None) -> Agents:
        """Return these with an agent as it is now, new (`before` None) or gone (`after` None).

        The only place that keeps in step what follows from agents alone: all but `seen`, `presence` and the slots.
        """
        changes: dict[str, object] = {}
        if after is not None:
            agent_id = after.agent_id
            changes["by_id"] = self.by_id.set(agent_id, after)
            if before is None:
                changes["ids"] = self.ids.with_(0.0, agent_id)
        else:
            agent_id = before.agent_id if before is not None else ""  # nobody: a KeyError, here
            changes["by_id"] = self.by_id.delete(agent_id)
            changes["ids"] = self.ids.without(0.0, agent_id)
        was, now = before.status if before else None, after.status if after else None
        if was is not now:
            changes["counts"] = tuple(
                count + (status is now) - (status is was) for count, status in zip(self.counts, STATUSES, strict=True)
            )
        had_card, has_card = before and before.card, after and after.card
        if had_card is not has_card:
            more = (has_card or NO_CARD).carried_bytes - (had_card or NO_CARD).carried_bytes
            changes["carried_bytes"] = self.carried_bytes + more
        for name, had, has in (
            ("working", before and before.working, after and after.working),
            ("silent", before and before.silent, after and after.silent),
            ("waking", before and before.waking is not None, after and after.waking is not None),
            ("tied", before and before.said.pid is not None, after and after.said.pid is not None),
        ):
            if bool(had) is not bool(has):
                marked: Map[str, None] = getattr(self, name)
                changes[name] = marked.set(agent_id, None) if has else marked.delete(agent_id)
        ended = before.exhaustion.recovery_ts if before and before.exhaustion else None
        ends = after.exhaustion.recovery_ts if after and after.exhaustion else None
        if ended != ends:
            left = self.recoveries if ended is None else self.recoveries.without(ended, agent_id)
            changes["recoveries"] = left if ends is None else left.with_(ends, agent_id)
        return replace(self, **changes)
