"""Agents and slots as the wire shows them, page by page: from the world as it is, never more than a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import orjson

from torpor import wire
from torpord.control.desk import Desk
from torpord.control.params import RefusedError
from torpord.core.agent_refusals import command
from torpord.core.agent_report import agent_view, holds_by_owner, slot_view, whole_agent
from torpord.core.agents import Agent, Agents
from torpord.core.draft import Refusal

DEFAULT_ROWS = 100
# Names looked at for one page. With a status that few have, a page may be empty: who asks goes on, and others have
# their turn in between.
MOST_LOOKED_AT = 2000
# As a slot's id in a cursor: ids are hexadecimal digits.
_BEHIND_ALL = "~"
# Half a page of text: what it is wrapped in on the wire comes on top.
_PAGE_BYTES = wire.MAX_PAGE_BYTES // 2


def _found(desk: Desk, agent_id: str) -> Agent:
    agent = desk.world.agents.by_id.get(agent_id)
    if agent is None:
        never = "it was never registered, or is forgotten"
        message = f"no agent {agent_id!r} is known: {never}; agent.list names them ({command('agent ls')})"
        raise RefusedError(Refusal("not_found", message, {"field": "agent_id", "agent_id": agent_id}))
    return agent


def agent_get(desk: Desk, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `agent.get`. Raises RefusedError."""
    return {"agent": whole_agent(desk.world, _found(desk, params["agent_id"]), desk.now())}


def agent_list(desk: Desk, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `agent.list`: by name, so that what comes and goes between two pages moves nothing else."""
    world, status, exhausted = desk.world, params.get("status"), params.get("exhausted")
    limit = params.get("limit", DEFAULT_ROWS)
    names = list(islice(_names(world.agents, params.get("cursor", ""), exhausted=exhausted), MOST_LOOKED_AT + 1))
    all_seen = len(names) <= MOST_LOOKED_AT
    wanted = [world.agents.by_id[name] for name in names[:MOST_LOOKED_AT]]
    if status is not None:
        wanted = [agent for agent in wanted if agent.status == status]
    if exhausted is not None:
        wanted = [agent for agent in wanted if (agent.exhaustion is not None) is exhausted]
    holds = holds_by_owner(world, (agent.agent_id for agent in wanted[:limit]))
    page: list[dict[str, Any]] = []
    size = 0
    for agent in wanted:
        view = agent_view(world, agent, holds)
        size += len(orjson.dumps(view))
        if page and (len(page) == limit or size > _PAGE_BYTES):
            return {"agents": page, "cursor": page[-1]["agent_id"]}
        page.append(view)
    return {"agents": page, "cursor": None if all_seen else names[MOST_LOOKED_AT - 1]}


def _names(agents: Agents, after: str, *, exhausted: bool | None) -> Iterable[str]:
    """Give names in order: of those that may be wanted alone, where they are few."""
    if exhausted and len(agents.recoveries) <= MOST_LOOKED_AT:
        return sorted(name for _, name in agents.recoveries if name > after)
    return (name for _, name in agents.ids.after(0.0, after))


def slot_list(desk: Desk, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `slot.list`: by agent, and then by id. Raises RefusedError.

    By id alone would be to sort all of them for each page, a tenth of a second with as many as there may be.
    """
    world, now, status = desk.world, desk.now(), params.get("status")
    last_id, last_agent = _place(params.get("cursor"))
    limit, agents = params.get("limit", DEFAULT_ROWS), world.agents
    page: list[dict[str, Any]] = []
    size = looked = 0
    for name in (_found(desk, params["agent_id"]).agent_id,) if "agent_id" in params else _from(agents, last_agent):
        agent = agents.by_id[name]
        for slot_id in sorted(agent.slots):
            slot = agents.slots[slot_id]
            if (name == last_agent and slot_id <= last_id) or (status is not None and slot.state != status):
                continue
            view = slot_view(slot, world, now)
            size += len(orjson.dumps(view))
            if page and (len(page) == limit or size > _PAGE_BYTES):
                return {"slots": page, "cursor": f"{page[-1]['slot_id']} {page[-1]['agent_id']}"}
            page.append(view)
        looked += 1 + len(agent.slots)
        if looked >= MOST_LOOKED_AT and "agent_id" not in params:
            return {"slots": page, "cursor": f"{_BEHIND_ALL} {name}"}
    return {"slots": page, "cursor": None}


def _place(cursor: str | None) -> tuple[str, str]:
    """Return the slot and the agent that a page has to begin behind. Raises RefusedError."""
    last_id, space, last_agent = (cursor or " ").partition(" ")
    if not space or (cursor is not None and not (last_id and last_agent)):
        raise RefusedError(Refusal("invalid_params", "cursor is not one that was given", {"field": "cursor"}))
    return last_id, last_agent


def _from(agents: Agents, name: str) -> Iterator[str]:
    """Give the names of agents, from this one on."""
    if name in agents.by_id:
        yield name
    for _, each in agents.ids.after(0.0, name):
        yield each
