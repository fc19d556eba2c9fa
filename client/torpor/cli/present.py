"""The agents and the planned wake in a status: what has to be asked for beyond the status itself, and the lines.

The questions are steps without I/O, as in `torpor.talk`: `status` asks them blocking, `watch` with asyncio.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from torpor import home as homes
from torpor.cli import agent_names, agent_words, look, show, standing, streams
from torpor.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

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
    """The first agents that are there or out of quota, their folders, and the slot that is the next planned wake."""

    agents: Sequence[Agent] = ()
    slot: Slot | None = None
    folders: Mapping[str, str] = field(default_factory=dict)


def questions(found: Status) -> Generator[Question, Any, Present]:
    """Yield what is to be asked, the answers being sent in or Refused thrown, and return what they tell.

    Without agents it is nothing.
    """
    counts = _shown_counts(found)
    agents: list[Agent] = []
    for status in _THERE:
        left, cursor = min(counts.get(status, 0), _SHOWN - len(agents)), None
        # Out of quota are some that are offline, too; the first daemons with agents cannot be asked for those.
        is_all = status == "exhausted" and found.get("recovering") is not None
        of = {"exhausted": True} if is_all else {"status": status}
        for _ in range(_MOST_PAGES if left > 0 else 0):
            page = yield "agent_list", {**of, "cursor": cursor, "limit": left}
            agents += page["agents"]
            left, cursor = left - len(page["agents"]), page["cursor"]
            if left <= 0 or cursor is None:
                break
    folders: dict[str, str] = {}
    for agent in filter(agent_names.has_folder, agents):
        try:
            whole = yield "agent_get", {"agent_id": agent["agent_id"]}
        except Refused:
            continue  # it was forgotten meanwhile
        folders[agent["agent_id"]] = agent_names.folder(whole["agent"]["meta"])
    slot, cursor = None, None
    for _ in range(_MOST_PAGES_OF_SLOTS if found.get("next_wake_ts") else 0):
        page = yield "slot_list", {"status": "planned", "cursor": cursor, "limit": 100}
        slot = next((each for each in page["slots"] if each["due_ts"] == found["next_wake_ts"]), None)
        cursor = page["cursor"]
        if slot is not None or cursor is None:
            break
    return Present(agents, slot, folders)


def ask(client: Client, found: Status) -> Present:
    """Ask `client` all of it. Raises torpor's errors."""
    asking = questions(found)
    try:
        method, params = next(asking)
        while True:
            try:
                answer = getattr(client, method)(**params)
            except Refused as refusal:
                method, params = asking.throw(refusal)
            else:
                method, params = asking.send(answer)
    except StopIteration as end:
        told: Present = end.value
        return told


def _shown_counts(found: Status) -> dict[str, int]:
    """Return how many there are of each status that is shown, an offline one being shown where its quota is used up."""
    counts: dict[str, int] = {str(status): count for status, count in (found.get("agents") or {}).items()}
    recovering = found.get("recovering")
    return counts | {"exhausted": recovering["count"]} if recovering else counts


def lines(found: Status, present: Present) -> list[str]:
    """Return the lines of a status about agents, and the next planned wake."""
    told: list[str] = []
    counts = found.get("agents") or {}
    if any(counts.values()):
        told.append(f"  agents    {', '.join(f'{counts[status]} {status}' for status in _ORDER if counts.get(status))}")
    if present.agents:
        holds = {hold["hold_id"]: hold["why"] for hold in found["holds"]}
        told += [streams.fitted(f"    {line}") for line in agent_words.table(present.agents, holds, present.folders)]
    shown = _shown_counts(found)
    more = sum(shown.get(status, 0) for status in _THERE) - len(present.agents)
    if more > 0:
        told.append(f"    and {more} more: `{homes.command('torpor agent', found['home'])}` lists them")
    told += look.quota(found)
    if found.get("next_wake_ts"):
        slot = present.slot
        when = "due now" if show.is_past(found["next_wake_ts"]) else show.moment(found["next_wake_ts"])
        which = f"slot {slot['slot_id']} of {agent_words.name(slot['agent_id'])}" if slot else "a slot"
        told.append(f"  wakes     {when} ({which}){standing.armed(found, is_up=True)}")
    return told
