"""Folding records back into a world, by way of what the ledger keeps of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import orjson

from torpord.core import records as r
from torpord.core.kinds import parse
from torpord.core.persistent import Map
from torpord.core.world import World, evolve

# What a folded ledger does not give: times of activity, of heartbeats and of looking again, how often there was any,
# and what the service manager is being asked. These fields and no others, and whether an agent has heard of an offer;
# `test_ledger.py` shows for each of them that it must be left out.
NOT_IN_THE_LEDGER = {
    "activity": ("last_ts", "event_seq", "idle_since_awake_s", "by"),
    "sleep": ("unreadable", "recheck_awake_s", "recheck_wall_s", "blocked_recheck_awake_s"),
    "agents": ("seen", "presence"),
    "planned": ("tries", "asked", "asked_ts", "tried_awake_s", "next_awake_s"),
}


def fold(entries: Iterable[r.Entry]) -> World:
    world = World()
    for entry in entries:
        world = evolve(world, entry)
    return world


def read_back(entry: r.Entry) -> r.Entry:
    """Take an entry through what the ledger keeps of it."""
    cause = orjson.loads(orjson.dumps(entry.cause))
    data = orjson.loads(orjson.dumps(entry.record.data()))
    return replace(entry, record=parse(entry.record.kind, data), cause=cause)


def in_the_ledger(world: World) -> World:
    """Return the world without what no ledger keeps."""
    for part, names in NOT_IN_THE_LEDGER.items():
        had = getattr(world, part)
        blank = type(had)()
        kept = replace(had, **{name: getattr(blank, name) for name in names})
        world = replace(world, **{part: kept})
    agents = world.agents
    untold = Map.of((slot.slot_id, replace(slot, told=False)) for slot in agents.slots.values())
    return replace(world, agents=replace(agents, slots=untold))
