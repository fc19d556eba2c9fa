"""Planned wakes: for a slot that will be due, somebody must be there (`client/PROTOCOL.md`, "Agents and slots")."""

from __future__ import annotations

from torpord.core.moment import Now
from torpord.core.report import iso
from torpord.core.world import World


def armed(world: World) -> bool:  # noqa: ARG001 - who asks has it, and a service manager's timer will be in it
    """Whether a timer would start a daemon that is down when its next slot is due. None would, in this version."""
    return False


def planned(world: World, now: Now) -> tuple[str, ...]:
    """Name the wake the process must stay for: one within `planned_reach` that nothing else would bring.

    For a later one it does not stay: it is taken up at the next start, and whoever planned it was told so.
    """
    wakes = world.agents.wakes
    if wakes.first is None or armed(world) or wakes.first > now.wall_s + world.policy.planned_reach_s:
        return ()
    (slot_id,) = wakes.due(wakes.first, 1)
    slot = world.agents.slots[slot_id]
    at = iso(wakes.first)
    return (f"a planned wake at {at}: slot {slot_id} of {slot.agent_id}; nothing could start the daemon then",)
