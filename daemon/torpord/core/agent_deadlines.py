"""What happens to agents and slots by itself, and when. Each is decided in slices (`agents.SLICE`)."""

from __future__ import annotations

from collections.abc import Iterator

from torpord.core.agents import Agents

# A name, its time, and whether that is of the wall clock. `deadlines` makes its own of them, and cannot be named here.
Due = tuple[str, float, bool]


def agent_deadlines(agents: Agents, floor_s: float, heartbeat_timeout_s: float) -> Iterator[Due]:
    """Give the next time of each kind. `floor_s`: nobody's presence counts from earlier than that, awake time."""
    if agents.recoveries.first is not None:
        yield "recovery_due", agents.recoveries.first, True
    if agents.wakes.first is not None:
        yield "slots_due", agents.wakes.first, True
    if agents.offers.first is not None:
        yield "offers_due", agents.offers.first, False
    if agents.queue.first is not None and agents.has_place:
        yield "turn_due", floor_s, False  # at once
    if agents.presence.first is not None:
        yield "presence_due", max(agents.presence.first, floor_s) + heartbeat_timeout_s, False
