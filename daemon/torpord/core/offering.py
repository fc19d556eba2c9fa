"""Offering slots that are due: to an agent that is there, by its wake command, or later; and again after a pause.

An offer is a fact of the ledger, and is heard in three ways: by the agent's next word about itself (`offered_to`), by
whoever follows the ledger, and by the wake command. It takes nothing: the slot is the agent's with `slot.take`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from torpord.core import agent_records as ar
from torpord.core import effects as fx
from torpord.core.agent_report import due_slots, slot_view
from torpord.core.agents import SLICE, Agent, Slot, SlotState
from torpord.core.descent import move
from torpord.core.draft import Draft
from torpord.core.lifecycle import State, Trigger
from torpord.core.moment import Now
from torpord.core.world import World

FIRST_PAUSE_S = 60.0
# Longer than any `sleep_after` is likely to be: agents that never come must not keep the machine from its sleep.
LAST_PAUSE_S = 86_400.0
# What one reply or one wake command is told of; the next one has the rest. With its envelope it is under 256 KiB.
MOST_TOLD = 64
MOST_TOLD_CHARS = 96 * 1024
MOST_SHOWN_CHARS = 200

View = dict[str, object]


@dataclass(frozen=True, slots=True)
class Errand:
    """What a wake command is run for. `slots`: all that its agent is offered, as the wire shows them."""

    command: str | tuple[str, ...]
    slot_id: str
    slots: tuple[View, ...]


def due(draft: Draft, name: str) -> None:
    """Offer what is due for the first time ("slots_due"), or again ("offers_due"): as many as a decision takes.

    "turn_due": what waited for a place among the wake commands, as long as there is one.
    """
    agents, now = draft.world.agents, draft.now
    if name == "turn_due":
        slots = [agents.slots[slot_id] for slot_id in agents.queue.due(inf, SLICE)]
    else:
        slot_ids = agents.wakes.due(now.wall_s, SLICE) if name == "slots_due" else agents.offers.due(now.awake_s, SLICE)
        slots = sorted((agents.slots[slot_id] for slot_id in slot_ids), key=_order)
    if name == "slots_due" and slots and draft.world.lifecycle.state is State.HIBERNATION:
        # On the way out: the timer rings at a process that is still here, and nobody rings again for the next one.
        move(draft, Trigger.WAKE_SIGNAL)
    for slot in slots:
        if name == "turn_due" and not draft.world.agents.has_place:
            return
        # A wake command that was begun for one of them may have taken others along.
        if draft.world.agents.slots[slot.slot_id] is slot:
            _pass_on(draft, slot)


def offered_to(draft: Draft, agent: Agent, *, everything: bool = False) -> list[View]:
    """Offer an agent that is there what is due, and return what it is to hear, as the wire shows slots.

    That is what it has not heard of since it was offered last; with `everything`, for one that has just come back or
    has its hands free, all that is due. What does not fit into a reply is in the next one.
    """
    agent = draft.world.agents.by_id[agent.agent_id]
    if not agent.slots or agent.exhaustion is not None:
        return []
    for slot in list(due_slots(draft.world.agents, agent, draft.now)):
        if _is_ready(slot, draft.now):
            _offer(draft, slot, "agent")
    found = [slot for slot in due_slots(draft.world.agents, agent, draft.now) if everything or not slot.told]
    shown = _that_fit(sorted(found, key=_order))
    news = tuple(slot.slot_id for slot in shown if slot.state is SlotState.OFFERED and not slot.told)
    if news:
        draft.record(ar.SlotsTold(agent.agent_id, news))
    return [slot_view(slot, draft.world, draft.now) for slot in shown]


def wake_ended(draft: Draft, agent_id: str, slot_id: str, problem: str) -> None:
    """Take note that a wake command has ended. Whether it was of use shows when its agent comes."""
    agent = draft.world.agents.by_id.get(agent_id)
    if agent is not None and agent.waking == slot_id:
        draft.record(ar.AgentWakeEnded(agent_id, slot_id, problem))


def errand(world: World, agent_id: str, slot_id: str) -> Errand | None:
    """Return what an agent's wake command, decided for this slot, is to do now; None where nobody needs it any more.

    Its agent may be forgotten, have lost the command, or work; its slots may be cancelled, taken or put off.
    """
    agent = world.agents.by_id.get(agent_id)
    if agent is None or agent.waking != slot_id or agent.at_work or agent.exhaustion is not None:
        return None
    command = agent.said.wake_command
    offered = [slot for slot in map(world.agents.slots.__getitem__, agent.slots) if slot.state is SlotState.OFFERED]
    if command is None or not offered:
        return None
    # The clocks' distance at the start stands for now: nothing that is told depends on how long ago that was.
    now = Now(world.process.started_awake_s, world.process.started_ts)
    told = _that_fit(sorted(offered, key=_order))
    is_for = slot_id if any(slot.slot_id == slot_id for slot in told) else told[0].slot_id
    return Errand(command, is_for, tuple(slot_view(slot, world, now) for slot in told))


def _pass_on(draft: Draft, slot: Slot) -> None:
    """Let a slot that is due go the way it can: to its agent's recovery, to a wake command, to the agent; or wait."""
    agents, now = draft.world.agents, draft.now
    agent = agents.by_id[slot.agent_id]
    if agent.exhaustion is not None:
        if agent.exhaustion.recovery_ts > now.wall_s:
            draft.record(ar.SlotDeferred(agent.agent_id, slot.slot_id, agent.exhaustion.recovery_ts))
            return
        draft.record(ar.AgentRecovered(agent.agent_id, "reached"))  # its own deadline is due, too: this is its turn
        agent, slot = draft.world.agents.by_id[agent.agent_id], draft.world.agents.slots[slot.slot_id]
    command = agent.said.wake_command
    if command is not None and not agent.at_work and agent.waking is None:
        # What has just become due does not go before those that wait.
        if draft.world.agents.has_place and (slot.wants_place or draft.world.agents.queue.first is None):
            _wake(draft, agent, slot, command)
        else:
            draft.record(ar.SlotQueued(agent.agent_id, slot.slot_id))
    elif agent.online:
        _offer(draft, slot, "agent")
    elif command is not None:
        # It runs, and was told of others: what it starts needs its time to come, and then it hears of this one.
        draft.record(ar.SlotQueued(agent.agent_id, slot.slot_id, FIRST_PAUSE_S))
    else:
        draft.record(ar.SlotWaiting(agent.agent_id, slot.slot_id))


def _offer(draft: Draft, slot: Slot, via: str, pause_s: float | None = None) -> None:
    pause_s = _pause_s(slot) if pause_s is None else pause_s
    draft.record(ar.SlotOffered(slot.agent_id, slot.slot_id, slot.offers + 1, via, pause_s))


def _pause_s(slot: Slot) -> float:
    """Return how long a slot rests once it is offered now."""
    return min(FIRST_PAUSE_S * 2.0 ** min(slot.offers, 16), LAST_PAUSE_S)  # 16: far beyond the last, and no overflow


def _wake(draft: Draft, agent: Agent, slot: Slot, command: str | tuple[str, ...]) -> None:
    """Begin an agent's wake command, with all that it could take.

    They rest together, as long as the longest of them: else each would wake it at another time, and for ever.
    """
    all_due = sorted(due_slots(draft.world.agents, agent, draft.now), key=_order)
    taken = [slot, *(each for each in _that_fit(all_due) if each.slot_id != slot.slot_id)]
    pause_s = max(map(_pause_s, taken))
    for each in taken:
        _offer(draft, each, "command", pause_s)
    shown = command if isinstance(command, str) else " ".join(command)
    draft.record(ar.AgentWakeStarted(agent.agent_id, slot.slot_id, shown[:MOST_SHOWN_CHARS]))
    draft.effects.append(fx.RunWakeCommand(agent.agent_id, slot.slot_id))
    if draft.world.lifecycle.state is State.HIBERNATION:
        # On the way out, or kept by shadow_run: somebody is about to come.
        move(draft, Trigger.WAKE_SIGNAL)


def _is_ready(slot: Slot, now: Now) -> bool:
    """Whether a slot that is due is not offered now, or its pause is over."""
    return slot.state is not SlotState.OFFERED or slot.again_awake_s is None or slot.again_awake_s <= now.awake_s


def _that_fit(slots: list[Slot]) -> list[Slot]:
    """Return the first slots that fit into what is told at once: one at least."""
    room = MOST_TOLD_CHARS
    for count, slot in enumerate(slots[:MOST_TOLD]):
        room -= len(slot.payload or "")
        if room < 0 and count:
            return slots[:count]
    return slots[:MOST_TOLD]


def _order(slot: Slot) -> tuple[float, float, str]:
    return (-slot.priority, slot.due_s, slot.slot_id)
