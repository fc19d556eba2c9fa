"""What clients ask of slots: added, taken once, finished, cancelled; which of it is granted, and what follows."""

from __future__ import annotations

from typing import Any

from torpor import wire
from torpord.core import agent_events as ae
from torpord.core import agent_records as ar
from torpord.core import offering
from torpord.core.agent_refusals import command, too_much, unknown_agent, unknown_slot
from torpord.core.agent_report import due_slots, slot_view, word
from torpord.core.agent_requests import present
from torpord.core.agents import DOING_OF_SLOT, Agent, Doing, Slot, SlotState, Status
from torpord.core.decide import touch
from torpord.core.draft import Draft, Refusal, Reply
from torpord.core.events import AgentEvent
from torpord.core.lifecycle import Trigger
from torpord.core.planned import armed
from torpord.core.policy import DAY_S
from torpord.core.report import iso

# A year and a day: beyond it a mistake in the year is likelier than a plan.
MOST_AHEAD_S = 366 * DAY_S


def decided(draft: Draft, event: AgentEvent) -> Reply:
    """Decide an event about slots."""
    match event:
        case ae.SlotWanted():
            return _wanted(draft, event)
        case ae.SlotTakeWanted():
            return _take(draft, event)
        case ae.SlotFinishWanted():
            return _finish(draft, event)
        case ae.SlotCancelWanted():
            return _cancel(draft, event)
        case ae.WakeCommandEnded():
            offering.wake_ended(draft, event.agent_id, event.slot_id, event.problem)
            return None
        case _:
            raise AssertionError(f"decide has no arm for the event {type(event).__name__}")


def _wanted(draft: Draft, event: ae.SlotWanted) -> Reply:
    agents = draft.world.agents
    agent = agents.by_id.get(event.agent_id)
    if agent is None:
        return Refusal("not_found", unknown_agent(event.agent_id), {"agent_id": event.agent_id})
    if event.at_ts > draft.now.wall_s + MOST_AHEAD_S:
        message = f"{iso(event.at_ts)} is more than 366 days ahead: is the year right?"
        return Refusal("invalid_params", message, {"field": "at"})
    if len(agents.slots) >= wire.MAX_SLOTS or len(agent.slots) >= wire.MAX_AGENT_SLOTS:
        message = (
            f"there are {len(agents.slots)} slots, {len(agent.slots)} of them this agent's, and at most "
            f"{wire.MAX_SLOTS} and {wire.MAX_AGENT_SLOTS} may be: finish or cancel some (slot.list names them, "
            f"{command('slot ls')})"
        )
        return Refusal("too_many", message, {"slots": len(agents.slots), "agent_slots": len(agent.slots)})
    if (refusal := too_much(agents, len((event.payload or "").encode()), "payload")) is not None:
        return refusal
    touch(draft, Trigger.REQUEST_ARRIVED)
    draft.record(
        ar.SlotAdded(
            agent_id=agent.agent_id,
            slot_id=event.slot_id,
            type=event.type,
            at_ts=event.at_ts,
            duration_s=event.duration_s,
            priority=event.priority,
            payload=event.payload,
        )
    )
    if agent.exhaustion is not None and event.at_ts < agent.exhaustion.recovery_ts:
        draft.record(ar.SlotDeferred(agent.agent_id, event.slot_id, agent.exhaustion.recovery_ts))
    slot = draft.world.agents.slots[event.slot_id]
    return {
        "slot_id": slot.slot_id,
        "due_ts": iso(slot.due_s),
        "armed": armed(draft.world),
        "status": slot.state.value,
    }


def _take(draft: Draft, event: ae.SlotTakeWanted) -> Reply:
    slot = draft.world.agents.slots.get(event.slot_id)
    if slot is None or event.agent_id not in (None, slot.agent_id):
        return _unknown(event.slot_id, event.agent_id)
    agent = draft.world.agents.by_id[slot.agent_id]
    refusal = _not_taken(draft, slot, agent)
    if refusal is not None:
        return refusal
    touch(draft, Trigger.REQUEST_ARRIVED)
    present(draft, agent, event.said_ts)
    draft.record(ar.SlotTaken(agent.agent_id, slot.slot_id))
    draft.record(ar.AgentDoing(agent.agent_id, DOING_OF_SLOT[slot.type].value, slot.slot_id))
    taken = draft.world.agents.slots[slot.slot_id]
    answer = word(draft.world, agent.agent_id, changed=True, slots=(), now=draft.now)
    return {**answer, "slot": slot_view(taken, draft.world, draft.now)}


def _not_taken(draft: Draft, slot: Slot, agent: Agent) -> Refusal | None:
    """Say why a slot cannot be taken now, or None. Who is offline is judged as what it was: taking brings it back."""
    known: dict[str, Any] = {"slot_id": slot.slot_id, "agent_id": agent.agent_id, "status": slot.state.value}
    doing = DOING_OF_SLOT[slot.type]
    if slot.state is SlotState.TAKEN:
        message = f"slot {slot.slot_id} was taken at {iso(slot.taken_ts)}: a slot is taken once"
        return Refusal("conflict", message, {**known, "taken_ts": iso(slot.taken_ts)})
    if agent.exhaustion is not None:
        until = iso(agent.exhaustion.recovery_ts)
        message = f"agent {agent.agent_id!r} is exhausted until {until}, and its slots are deferred to then"
        more = {"agent_status": Status.EXHAUSTED.value, "until": until, "due_ts": iso(slot.due_s)}
        return Refusal("conflict", message, {**known, **more})
    if slot not in due_slots(draft.world.agents, agent, draft.now):
        message = f"slot {slot.slot_id} is not due before {iso(slot.due_s)}: take it then"
        return Refusal("conflict", message, {**known, "due_ts": iso(slot.due_s)})
    if agent.slot_id is not None:
        by = command("slot finish", agent.slot_id)
        message = f"agent {agent.agent_id!r} has slot {agent.slot_id}: finish or cancel that first ({by})"
        return Refusal("conflict", message, {**known, "has": agent.slot_id, "agent_status": agent.doing.value})
    if agent.doing not in (Doing.IDLE, doing):
        needed = f"a slot of type {slot.type} needs idle: say idle first ({command('agent idle', agent.agent_id)})"
        message = f"agent {agent.agent_id!r} is {agent.doing}: {needed}"
        needs = [Doing.IDLE.value, doing.value]
        return Refusal("conflict", message, {**known, "agent_status": agent.doing.value, "needs": needs})
    return None


def _finish(draft: Draft, event: ae.SlotFinishWanted) -> Reply:
    slot = draft.world.agents.slots.get(event.slot_id)
    if slot is None:
        return _unknown(event.slot_id, None)
    if slot.state is not SlotState.TAKEN:
        by = command("slot cancel", slot.slot_id)
        message = (
            f"slot {slot.slot_id} is {slot.state}: only a taken one is finished; slot.cancel ends any other ({by})"
        )
        return Refusal("conflict", message, {"slot_id": slot.slot_id, "status": slot.state.value})
    touch(draft, Trigger.REQUEST_ARRIVED)
    agent = present(draft, draft.world.agents.by_id[slot.agent_id], event.said_ts)
    draft.record(ar.SlotFinished(agent.agent_id, slot.slot_id))
    agent = draft.world.agents.by_id[agent.agent_id]
    if next(due_slots(draft.world.agents, agent, draft.now), None) is None:
        _rests(draft, agent)
    offered = offering.offered_to(draft, agent, everything=True)
    return word(draft.world, agent.agent_id, changed=True, slots=offered, now=draft.now)


def _cancel(draft: Draft, event: ae.SlotCancelWanted) -> Reply:
    slot = draft.world.agents.slots.get(event.slot_id)
    if slot is None:
        return _unknown(event.slot_id, None)
    touch(draft, Trigger.REQUEST_ARRIVED)
    draft.record(ar.SlotCancelled(slot.agent_id, slot.slot_id, "asked", event.reason))
    if slot.state is SlotState.TAKEN:
        _rests(draft, draft.world.agents.by_id[slot.agent_id])
    return {"slot_id": slot.slot_id, "cancelled": True}


def _rests(draft: Draft, agent: Agent) -> None:
    if agent.doing is not Doing.IDLE:
        draft.record(ar.AgentDoing(agent.agent_id, Doing.IDLE.value))


def _unknown(slot_id: str, agent_id: str | None) -> Refusal:
    return Refusal("not_found", unknown_slot(slot_id, agent_id), {"slot_id": slot_id})
