"""The agents and the planned wake in a status: what has to be asked for beyond the status itself, and the lines.

The questions are steps without I/O, as in `torpor.talk`: `status` asks them blocking, `watch` with asyncio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from torpor.cli import agent_words, show, streams

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from torpor.agent_replies import Agent, Slot
    from torpor.client import Client
    from torpor.replies import AgentStatus, Status

    # A method of the clients, and its arguments; the answer is sent in.
    Question: TypeAlias = tuple[str, dict[str, Any]]

_SHOWN = 10
# A page may be short, or empty: 2,000 agents are looked through for one, in a millisecond or two of the daemon's.
_MOST_PAGES = 50
_MOST_PAGES_OF_SLOTS = 5  # where the next one is not among them, a status does without its name
_THERE: tuple[AgentStatus, ...] = ("busy", "on_call", "exhausted", "idle")
_ORDER: tuple[AgentStatus, ...] = (*_THERE, "offline")


@dataclass(frozen=True, slots=True)
class Present:
    """The first agents that are there, and the slot that is the next planned wake."""

    agents: Sequence[Agent] = ()
    slot: Slot | None = None


def questions(found: Status) -> Generator[Question, Any, Present]:
    """Yield what is to be asked, the answers being sent in, and return what they tell. Without agents it is nothing."""
    counts = found.get("agents") or {}
    agents: list[Agent] = []
    for status in _THERE:
        left, cursor = min(counts.get(status, 0), _SHOWN - len(agents)), None
        for _ in range(_MOST_PAGES if left > 0 else 0):
            page = yield "agent_list", {"status": status, "cursor": cursor, "limit": left}
            agents += page["agents"]
            left, cursor = left - len(page["agents"]), page["cursor"]
            if left <= 0 or cursor is None:
                break
    slot, cursor = None, None
    for _ in range(_MOST_PAGES_OF_SLOTS if found.get("next_wake_ts") else 0):
        page = yield "slot_list", {"status": "planned", "cursor": cursor, "limit": 100}
        slot = next((each for each in page["slots"] if each["due_ts"] == found["next_wake_ts"]), None)
        cursor = page["cursor"]
        if slot is not None or cursor is None:
            break
    return Present(agents, slot)


def ask(client: Client, found: Status) -> Present:
    """Ask `client` all of it. Raises torpor's errors."""
    asking = questions(found)
    try:
        method, params = next(asking)
        while True:
            method, params = asking.send(getattr(client, method)(**params))
    except StopIteration as end:
        told: Present = end.value
        return told


def lines(found: Status, present: Present) -> list[str]:
    """Return the lines of a status about agents, and the next planned wake."""
    told: list[str] = []
    counts = found.get("agents") or {}
    if any(counts.values()):
        told.append(f"  agents    {', '.join(f'{counts[status]} {status}' for status in _ORDER if counts.get(status))}")
    if present.agents:
        holds = {hold["hold_id"]: hold["why"] for hold in found["holds"]}
        told += [streams.fitted(f"    {line}") for line in agent_words.table(present.agents, holds)]
    more = sum(counts.get(status, 0) for status in _THERE) - len(present.agents)
    if more > 0:
        told.append(f"    and {more} more: `torpor agent` lists them")
    if found.get("next_wake_ts"):
        slot = present.slot
        which = f"slot {slot['slot_id']} of {agent_words.name(slot['agent_id'])}" if slot else "a slot"
        told.append(f"  wakes     {show.moment(found['next_wake_ts'])} ({which})")
    return told
