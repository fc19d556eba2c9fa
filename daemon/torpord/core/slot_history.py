"""What a record makes of slots, and what becomes of them with their agent: the only thing that changes them. Pure."""

from __future__ import annotations

from bisect import bisect_left

from torpord.core import agent_records as ar
from torpord.core.agents import Agents, Slot, SlotState
from torpord.core.records import AgentRecord, Entry
from torpord.core.replacing import replace


def evolve_slot(agents: Agents, entry: Entry, record: AgentRecord) -> Agents:
    """Return agents and slots after one record of slots. What their agents do is said by records of agents."""
    if isinstance(record, ar.SlotsTold):
        return _told(agents, record.slot_ids)
    if isinstance(record, ar.SlotAdded):
        return _added(agents, record)
    assert isinstance(record, ar.SlotRecord), record.kind  # noqa: S101 - who calls this has looked
    slot = agents.slots[record.slot_id]
    match record:
        case ar.SlotOffered():
            again_s = entry.awake_s + record.pause_s
            return with_slot(agents, slot, _as(slot, SlotState.OFFERED, offers=record.offers, again_awake_s=again_s))
        case ar.SlotWaiting():
            return with_slot(agents, slot, _as(slot, SlotState.WAITING))
        case ar.SlotQueued():
            until_s = None if record.pause_s is None else entry.awake_s + record.pause_s
            return with_slot(agents, slot, _as(slot, SlotState.QUEUED, again_awake_s=until_s))
        case ar.SlotDeferred():
            left = _let_go(agents, slot)
            return with_slot(left, slot, _as(slot, SlotState.PLANNED, until_ts=record.until_ts))
        case ar.SlotTaken():
            return with_slot(agents, slot, _as(slot, SlotState.TAKEN, taken_ts=entry.wall_s))
        case ar.SlotFinished() | ar.SlotCancelled():
            return _gone(agents, slot)
        case _:
            raise AssertionError(f"evolve_slot has no arm for the record {record.kind!r}")


def with_slot(agents: Agents, before: Slot | None, after: Slot | None) -> Agents:
    """Return these with a slot as it is now, new (`before` None) or gone (`after` None).

    The only place that keeps in step what follows from slots alone. Raises KeyError if `before` is not what is there.
    """
    slots, wakes, offers, queue = agents.slots, agents.wakes, agents.offers, agents.queue
    carried = agents.carried_bytes
    if before is None or after is None:  # a slot that stays carries what it did
        carried += (after.carried_bytes if after else 0) - (before.carried_bytes if before else 0)
    if before is not None:
        if before.state is SlotState.PLANNED:
            wakes = wakes.without(before.due_s, before.slot_id)
        if before.again_awake_s is not None:
            offers = offers.without(before.again_awake_s, before.slot_id)
        elif before.wants_place:
            queue = queue.without(before.turn, before.slot_id)
        slots = slots if after is not None else slots.delete(before.slot_id)
    if after is not None:
        if after.state is SlotState.PLANNED:
            wakes = wakes.with_(after.due_s, after.slot_id)
        if after.again_awake_s is not None:
            offers = offers.with_(after.again_awake_s, after.slot_id)
        elif after.wants_place:
            queue = queue.with_(after.turn, after.slot_id)
        slots = slots.set(after.slot_id, after)
    return replace(agents, slots=slots, wakes=wakes, offers=offers, queue=queue, carried_bytes=carried)


def came_back(agents: Agents, agent_id: str) -> Agents:
    """Return these where an agent has come back: what waited for it is due."""
    for slot in _slots_of(agents, agent_id):
        if slot.state is SlotState.WAITING:
            agents = with_slot(agents, slot, _as(slot, SlotState.PLANNED))
    return agents


def recovered(agents: Agents, agent_id: str) -> Agents:
    """Return these where an agent has recovered: its slots are due when they would have been."""
    for slot in _slots_of(agents, agent_id):
        if slot.until_ts is not None and slot.state is SlotState.PLANNED:
            agents = with_slot(agents, slot, _as(slot, SlotState.PLANNED, until_ts=None))
    return agents


def unoffered(agents: Agents) -> Agents:
    """Return these with every offer taken back: a daemon that has just started does not know who heard of it."""
    for _, slot_id in agents.offers:
        slot = agents.slots[slot_id]
        agents = with_slot(agents, slot, _as(slot, SlotState.PLANNED))
    return agents


def _slots_of(agents: Agents, agent_id: str) -> list[Slot]:
    return [agents.slots[slot_id] for slot_id in agents.by_id[agent_id].slots]


def _as(slot: Slot, state: SlotState, **changes: object) -> Slot:
    """Return a slot in a state: of what belongs to states alone, it has what is given here."""
    return replace(slot, **{"state": state, "again_awake_s": None, "told": False, "taken_ts": None, **changes})


def _added(agents: Agents, record: ar.SlotAdded) -> Agents:
    slot = Slot(
        slot_id=record.slot_id,
        agent_id=record.agent_id,
        type=record.type,
        at_ts=record.at_ts,
        duration_s=record.duration_s,
        priority=record.priority,
        payload=record.payload,
    )
    agents = with_slot(agents, None, slot)
    agent = agents.by_id[slot.agent_id]
    place = bisect_left(agent.slots, (slot.at_ts, slot.slot_id), key=lambda each: (agents.slots[each].at_ts, each))
    slots = (*agent.slots[:place], slot.slot_id, *agent.slots[place:])
    return agents.with_agent(agent, replace(agent, slots=slots))


def _gone(agents: Agents, slot: Slot) -> Agents:
    agents = with_slot(_let_go(agents, slot), slot, None)
    agent = agents.by_id[slot.agent_id]
    return agents.with_agent(agent, replace(agent, slots=tuple(each for each in agent.slots if each != slot.slot_id)))


def _let_go(agents: Agents, slot: Slot) -> Agents:
    """Return these where a slot's agent does not have it taken."""
    agent = agents.by_id[slot.agent_id]
    return agents.with_agent(agent, replace(agent, slot_id=None)) if agent.slot_id == slot.slot_id else agents


def _told(agents: Agents, slot_ids: tuple[str, ...]) -> Agents:
    slots = agents.slots
    for slot_id in slot_ids:
        slot = slots.get(slot_id)
        if slot is not None and slot.state is SlotState.OFFERED:
            slots = slots.set(slot_id, replace(slot, told=True))
    return replace(agents, slots=slots)
