"""Agents and slots as the wire shows them, page by page: from the world as it is, never more than a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import orjson

from torpor import wire
from torpord.control.desk import Desk
from torpord.control.params import RefusedError
from torpord.core.agent_report import agent_view, holds_by_owner, slot_view, whole_agent
from torpord.core.agents import Agent
from torpord.core.draft import Refusal

DEFAULT_ROWS = 100
# Names looked at for one page. With a status that few have, a page may be empty: who asks goes on, and others have
# their turn in between.
MOST_LOOKED_AT = 2000
# Half a page of text: what it is wrapped in on the wire comes on top.
_PAGE_BYTES = wire.MAX_PAGE_BYTES // 2


def _found(desk: Desk, agent_id: str) -> Agent:
    agent = desk.world.agents.by_id.get(agent_id)
    if agent is None:
        message = f"no agent {agent_id} is known: it was never registered, or is forgotten; agent.list names them"
        raise RefusedError(Refusal("not_found", message, {"field": "agent_id", "agent_id": agent_id}))
    return agent


def agent_get(desk: Desk, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `agent.get`. Raises RefusedError."""
    return {"agent": whole_agent(desk.world, _found(desk, params["agent_id"]), desk.now())}


def agent_list(desk: Desk, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `agent.list`: by name, so that what comes and goes between two pages moves nothing else."""
    world, status = desk.world, params.get("status")
    limit = params.get("limit", DEFAULT_ROWS)
    names = [name for _, name in islice(world.agents.ids.after(0.0, params.get("cursor", "")), MOST_LOOKED_AT + 1)]
    all_seen = len(names) <= MOST_LOOKED_AT
    wanted = [world.agents.by_id[name] for name in names[:MOST_LOOKED_AT]]
    if status is not None:
        wanted = [agent for agent in wanted if agent.status == status]
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


def slot_list(desk: Desk, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `slot.list`: by id, as `agent.list` by name. Raises RefusedError."""
    world, now, status, after = desk.world, desk.now(), params.get("status"), params.get("cursor", "")
    slots, limit = world.agents.slots, params.get("limit", DEFAULT_ROWS)
    ids = _found(desk, params["agent_id"]).slots if "agent_id" in params else slots.keys()
    page: list[dict[str, Any]] = []
    size = 0
    # All of them are sorted for each page: 40 ms with as many as there may be, and nobody has so many.
    for slot_id in sorted(each for each in ids if each > after):
        slot = slots[slot_id]
        if status is not None and slot.state != status:
            continue
        view = slot_view(slot, world, now)
        size += len(orjson.dumps(view))
        if page and (len(page) == limit or size > _PAGE_BYTES):
            return {"slots": page, "cursor": page[-1]["slot_id"]}
        page.append(view)
    return {"slots": page, "cursor": None}
