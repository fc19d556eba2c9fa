"""What a record makes of agents and slots: the only thing that changes them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torpord.core.records import AgentRecord, Entry, PresenceRecord

if TYPE_CHECKING:  # it evolves the world by this module
    from torpord.core.world import World


def evolve_agents(world: World, entry: Entry, record: AgentRecord | PresenceRecord) -> World:  # noqa: ARG001
    """Return the world after one record of agents or slots."""
    raise AssertionError(f"evolve_agents has no arm for the record {record.kind!r}")
