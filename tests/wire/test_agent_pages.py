"""Pages of more agents and slots than one page may look at: nothing is lost, and none takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from torpord.control.agent_pages import MOST_LOOKED_AT, agent_list, slot_list
from torpord.core.agents import Agent, Agents, Exhaustion, Seen, Slot
from torpord.core.moment import Now
from torpord.core.replacing import replace
from torpord.core.world import World

COUNT = 3 * MOST_LOOKED_AT + 1
LAST = f"{COUNT - 1:05}"


def desk(exhausted_every: int = 0) -> Any:
    """A daemon with thousands of agents: one in a hundred has a slot, and the last alone is offline."""
    out = Exhaustion(0.0, "rate_limit", 60.0, "estimated")
    agents = [
        Agent(
            f"{number:05}",
            online=number < COUNT - 1,
            slots=(f"{number:x}",) if number % 100 == 0 else (),
            exhaustion=out if exhausted_every and number % exhausted_every == 0 else None,
        )
        for number in range(COUNT)
    ]
    seen = {agent.agent_id: Seen(0.0, 0.0, 0.0) for agent in agents}
    slots = [Slot(slot_id, agent.agent_id, "work", 60.0) for agent in agents for slot_id in agent.slots]
    world = replace(World(), agents=Agents.of(agents, seen, slots))
    return SimpleNamespace(world=world, now=lambda: Now(1.0, 1.0))


def pages(
    ask: Callable[[Any, dict[str, Any]], dict[str, Any]], exhausted_every: int = 0, **params: Any
) -> Iterator[list[dict[str, Any]]]:
    asked = desk(exhausted_every)
    while True:
        rows, cursor = ask(asked, params).values()
        yield rows
        if cursor is None:
            return
        params["cursor"] = cursor


def test_all_agents_come_in_order() -> None:
    found = [row["agent_id"] for rows in pages(agent_list, limit=1000) for row in rows]
    assert found == [f"{number:05}" for number in range(COUNT)]


def test_a_page_without_any_of_that_status_has_a_cursor_all_the_same() -> None:
    found = [[row["agent_id"] for row in rows] for rows in pages(agent_list, status="offline")]
    assert found == [[], [], [], [LAST]]


@pytest.mark.parametrize("every", [1, 7, 3_000])
def test_those_out_of_quota_come_in_order_however_many_they_are(every: int) -> None:
    found = [row["agent_id"] for rows in pages(agent_list, every, exhausted=True, limit=1000) for row in rows]
    assert found == [f"{number:05}" for number in range(0, COUNT, every)]
    others = [row["agent_id"] for rows in pages(agent_list, every, exhausted=False, limit=1000) for row in rows]
    assert others == [f"{number:05}" for number in range(COUNT) if number % every]


def test_a_few_out_of_quota_take_no_empty_pages_also_where_they_are_offline() -> None:
    found = [[row["agent_id"] for row in rows] for rows in pages(agent_list, COUNT - 1, exhausted=True)]
    assert found == [["00000", LAST]]
    found = [[row["agent_id"] for row in rows] for rows in pages(agent_list, COUNT - 1, exhausted=True, limit=1)]
    assert found == [["00000"], [LAST]]
    (rows,) = pages(agent_list, COUNT - 1, exhausted=True, status="offline")
    assert [row["agent_id"] for row in rows] == [LAST]


def test_all_slots_come_by_agent() -> None:
    found = [row["agent_id"] for rows in pages(slot_list, limit=13) for row in rows]
    assert found == [f"{number:05}" for number in range(0, COUNT, 100)]
    assert [len(rows) for rows in pages(slot_list, status="taken")] == [0, 0, 0, 0]
