"""What an agent may say of itself in which status, as one literal table: what it leads to, and what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from torpord.core.agents import STATUSES, Agent, Status


class Act(StrEnum):
    """What a word leads to."""

    SAME = "same"  # it holds already: nothing changes but when the agent was seen
    DOING = "doing"  # it does that from now on; a slot it had taken is finished where that is nothing
    CONFLICT = "conflict"  # refused
    EXHAUST = "exhaust"
    MERGE = "merge"  # another report of what is known: `agent_moves.counts` says whether it moves anything
    RECOVER = "recover"  # its quota is back, and it does nothing
    DISPROVE = "disprove"  # it works, so an exhaustion that was only estimated is over; a conflict where it was not
    LEAVE = "leave"  # it goes offline
    RETURN = "return"  # it is online, and does nothing; an exhaustion goes on
    AS_WAS = "as_was"  # it is judged as what it was before it went offline, and is online


_IDLE, _BUSY, _ON_CALL, _EXHAUSTED, _OFFLINE = (
    Status.IDLE,
    Status.BUSY,
    Status.ON_CALL,
    Status.EXHAUSTED,
    Status.OFFLINE,
)

# TABLE[the status it is in][what it says].
TABLE: Mapping[Status, Mapping[Status, Act]] = MappingProxyType(
    {
        _IDLE: {
            _IDLE: Act.SAME,
            _BUSY: Act.DOING,
            _ON_CALL: Act.DOING,
            _EXHAUSTED: Act.EXHAUST,
            _OFFLINE: Act.LEAVE,
        },
        _BUSY: {
            _IDLE: Act.DOING,
            _BUSY: Act.SAME,
            _ON_CALL: Act.CONFLICT,
            _EXHAUSTED: Act.EXHAUST,
            _OFFLINE: Act.LEAVE,
        },
        _ON_CALL: {
            _IDLE: Act.DOING,
            _BUSY: Act.CONFLICT,
            _ON_CALL: Act.SAME,
            _EXHAUSTED: Act.EXHAUST,
            _OFFLINE: Act.LEAVE,
        },
        _EXHAUSTED: {
            _IDLE: Act.RECOVER,
            _BUSY: Act.DISPROVE,
            _ON_CALL: Act.CONFLICT,
            _EXHAUSTED: Act.MERGE,
            _OFFLINE: Act.LEAVE,
        },
        _OFFLINE: {
            _IDLE: Act.RETURN,
            _BUSY: Act.AS_WAS,
            _ON_CALL: Act.AS_WAS,
            _EXHAUSTED: Act.AS_WAS,
            _OFFLINE: Act.SAME,
        },
    }
)


def act(agent: Agent, to: Status, *, by_heartbeat: bool = False) -> Act:
    """Return what an agent's word leads to; CONFLICT where it is refused.

    In a heartbeat, "idle" is no word about a quota: an editor says it a minute after the limit was reached, by itself.
    """
    found = TABLE[agent.status][to]
    if found is Act.AS_WAS:
        found = TABLE[was(agent)][to]
    if found is Act.DISPROVE:
        return found if agent.exhaustion is not None and agent.exhaustion.estimated else Act.CONFLICT
    return Act.SAME if found is Act.RECOVER and by_heartbeat else found


def was(agent: Agent) -> Status:
    """Return the status an agent has apart from being offline."""
    return Status.EXHAUSTED if agent.exhaustion is not None else Status(agent.doing)


def needs(to: Status) -> tuple[Status, ...]:
    """Return the statuses in which an agent may always begin this."""
    return tuple(status for status in STATUSES if TABLE[status][to] is Act.DOING)
