"""What the daemon says of agents and slots, in replies, lists, `status` and `why`. Pure; looking changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from torpor import wire
from torpord.core.agents import Agent, Agents, Doing, Slot, SlotState
from torpord.core.moment import Now
from torpord.core.persistent import Map
from torpord.core.planned import armed, nobody_else, planned
from torpord.core.report import iso
from torpord.core.world import World

# Of an agent with many slots, or with large ones; all of them are in `slot.list`. A reply is smaller than a page of it.
MOST_SLOTS_SHOWN = 100
_MOST_SLOTS_BYTES = wire.MAX_PAGE_BYTES // 2
_A_SLOT_BYTES = 800  # about, but for its payload; names of 128 characters with it
_FEW = 1000
MOST_NAMED = 3
_DOING = {Doing.BUSY: "it is busy", Doing.ON_CALL: "it is on call", Doing.IDLE: "it is idle"}


def word(world: World, agent_id: str, *, changed: bool, slots: Sequence[Mapping[str, Any]], now: Now) -> dict[str, Any]:
    """Answer an agent's word about itself: what it is now, what it is offered, and until when it is exhausted."""
    agents = world.agents
    agent = agents.by_id[agent_id]
    exhausted = agent.exhaustion
    until = {}
    if exhausted is not None:
        until = {"recovery_at": iso(exhausted.recovery_ts), "recovery_source": exhausted.source}
    return {
        "agent_id": agent_id,
        "status": agent.status.value,
        "changed": changed,
        "slots": list(slots),
        "due": sum(1 for _ in due_slots(agents, agent, now)),
        "seq": world.ledger_seq,
        **until,
    }


def due_slots(agents: Agents, agent: Agent, now: Now) -> Iterator[Slot]:
    """Give the slots of an agent that wait to be taken."""
    for slot_id in agent.slots:
        slot = agents.slots[slot_id]
        # One that was offered, or waits to be, has been due, and stays so when the wall clock is set back.
        if slot.due_s <= now.wall_s if slot.state is SlotState.PLANNED else slot.state is not SlotState.TAKEN:
            yield slot


def agent_view(world: World, agent: Agent, holds: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Show an agent as `agent.list` does; `holds` are the ids of those it has, by owner."""
    seen, exhausted, card = world.agents.seen.get(agent.agent_id), agent.exhaustion, agent.card
    return {
        "agent_id": agent.agent_id,
        "status": agent.status.value,
        "since_ts": iso(agent.since_ts),
        "online": agent.online,
        "quiet": agent.quiet,
        "doing": agent.doing.value,
        "seen_ts": None if seen is None else iso(seen.wall_s),
        "source": agent.source,
        "exhausted_at": iso(exhausted.at_ts) if exhausted else None,
        "exhaust_reason": exhausted.reason if exhausted else None,
        "recovery_at": iso(exhausted.recovery_ts) if exhausted else None,
        "recovery_source": exhausted.source if exhausted else None,
        "parent_id": card.parent_id if card else None,
        "pid": card.pid if card else None,
        "slot_id": agent.slot_id,
        "slots": len(agent.slots),
        "next_slot_ts": iso(_next_due_s(world.agents, agent)),
        "holds": list(holds.get(agent.agent_id, ())),
    }


def _next_due_s(agents: Agents, agent: Agent) -> float | None:
    waiting = (agents.slots[slot_id] for slot_id in agent.slots)
    return min((slot.due_s for slot in waiting if slot.state is not SlotState.TAKEN), default=None)


def whole_agent(world: World, agent: Agent, now: Now) -> dict[str, Any]:
    """Show an agent as `agent.get` does: with what it told of itself, and its first slots."""
    card = agent.card
    command = card.wake_command if card else None
    slots = (world.agents.slots[slot_id] for slot_id in agent.slots)
    return {
        **agent_view(world, agent, holds_by_owner(world, (agent.agent_id,))),
        "wake_command": list(command) if isinstance(command, tuple) else command,
        "meta": json.loads(card.meta) if card and card.meta else None,
        "slots": slot_views(slots, world, now),
    }


def holds_by_owner(world: World, owners: Iterable[str]) -> dict[str, list[str]]:
    """Return the ids of the holds whose owner calls itself like one of these agents."""
    found: dict[str, list[str]] = {owner: [] for owner in owners}
    for hold in world.holds.by_id.values():
        if hold.who in found:
            found[hold.who].append(hold.hold_id)
    return found


def slot_views(slots: Iterable[Slot], world: World, now: Now) -> list[dict[str, Any]]:
    """Show the first of some slots, as many as a reply has room for, and one in any case."""
    shown: list[dict[str, Any]] = []
    size = 0
    for slot in islice(slots, MOST_SLOTS_SHOWN):
        size += _A_SLOT_BYTES + len((slot.payload or "").encode())
        if shown and size > _MOST_SLOTS_BYTES:
            break
        shown.append(slot_view(slot, world, now))
    return shown


def slot_view(slot: Slot, world: World, now: Now) -> dict[str, Any]:
    """Show a slot. `offered_again_ts` is an estimate: it moves when the machine is suspended."""
    again = None
    if slot.state is SlotState.OFFERED and slot.again_awake_s is not None:
        again = now.wall_s + slot.again_awake_s - now.awake_s
    return {
        "slot_id": slot.slot_id,
        "agent_id": slot.agent_id,
        "type": slot.type,
        "at": iso(slot.at_ts),
        "due_ts": iso(slot.due_s),
        "duration_s": slot.duration_s,
        "priority": slot.priority,
        "payload": None if slot.payload is None else json.loads(slot.payload),
        "status": slot.state.value,
        "offers": slot.offers,
        "offered_again_ts": iso(again),
        "taken_ts": iso(slot.taken_ts),
        "armed": armed(world),
    }


def busy_agents(world: World, most: int) -> list[dict[str, str]]:
    """Name the agents that keep it busy, the first by name, as `decide.busy_because` does."""
    agents = world.agents
    named = [
        {"kind": "agent", "agent_id": agent.agent_id, "who": agent.agent_id, "why": _working(agents, agent)}
        for agent in _first(agents, agents.working, most)
    ]
    return named + [
        {"kind": "wake_command", "agent_id": agent.agent_id, "who": agent.agent_id, "why": _command(agent)}
        for agent in _first(agents, agents.waking, most - len(named))
    ]


def busy_in_words(world: World) -> list[str]:
    """Say of the agents that keep it busy in a few words: of many, only of the first, and how many more there are."""
    named = [f"{each['who']}: {each['why']}" for each in busy_agents(world, MOST_NAMED)]
    more = len(world.agents.working) + len(world.agents.waking) - len(named)
    if more:
        named.append(f"and {more} more agent{'s' if more > 1 else ''}")
    return named


def silent_reasons(world: World, most: int) -> list[dict[str, Any]]:
    """Say which agents work, as they said last, and do not keep it awake: nothing is heard of them any more."""
    return [
        {
            "kind": "agent",
            "who": agent.agent_id,
            "why": f"{_working(world.agents, agent)} and quiet: its process lives, and nothing was heard of it in time",
            "since": iso(world.agents.seen[agent.agent_id].wall_s),
            "until": None,
        }
        for agent in _first(world.agents, world.agents.silent, most)
    ]


def awake_reasons(world: World, most: int) -> list[dict[str, Any]]:
    """Say which agents keep it awake, as `report.why` does."""
    return [
        {
            "kind": each["kind"],
            "who": each["who"],
            "why": each["why"],
            "since": iso(world.agents.by_id[each["agent_id"]].since_ts) if each["kind"] == "agent" else None,
            "until": None,
        }
        for each in busy_agents(world, most)
    ]


def planned_reason(world: World, text: str, now: Now) -> dict[str, Any] | None:
    """Explain what forbids the exit where it is a planned wake; None where it is something else."""
    if text not in planned(world, now):
        return None
    slot = world.agents.slots[next(iter(world.agents.wakes.due(world.agents.wakes.first or 0.0, 1)))]
    return {
        "kind": "planned",
        "who": slot.agent_id,
        "why": f"slot {slot.slot_id} is due then, and {nobody_else(world)}",
        "since": iso(world.lifecycle.since_ts),
        "until": iso(slot.due_s),
    }


def _first(agents: Agents, marked: Map[str, None], most: int) -> list[Agent]:
    """Return the first of those that are marked, by name: the order of a Map is another one in each process."""
    if len(marked) <= _FEW:
        names: Iterable[str] = sorted(marked.keys())
    else:  # nearly every name is one of them then, or there are so many that sorting them would take longer
        names = (name for _, name in agents.ids if name in marked)
    return [agents.by_id[name] for name in islice(names, max(0, most))]


def _working(agents: Agents, agent: Agent) -> str:
    slot = agents.slots.get(agent.slot_id) if agent.slot_id else None
    return _DOING[agent.doing] + (f" with slot {slot.slot_id} ({slot.type})" if slot else "")


def _command(agent: Agent) -> str:
    command = agent.card.wake_command if agent.card else None
    text = command if isinstance(command, str) else " ".join(command or ())
    return f"its wake command runs: {text[:200]}"
