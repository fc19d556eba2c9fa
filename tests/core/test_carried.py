"""What all agents and slots carry together has a bound: one that is counted, and reached by nobody's mistake alone."""

from __future__ import annotations

import pytest

from core.life import CLIENT, started
from core.some_agents import AgentLife, assert_in_step, granted, refused
from torpor import wire
from torpord.core import agent_events as ae

KB = 1000


def text(chars: int, char: str = "m") -> str:
    """Return JSON of a text, so many characters long with its quotes."""
    return f'"{char * (chars - 2)}"'


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> AgentLife:
    """Two agents that may carry 10 kB, and carry four."""
    monkeypatch.setattr(wire, "MAX_AGENT_BYTES", 10 * KB)
    agents = AgentLife(started())
    granted(agents.register("a", meta=text(3 * KB)))
    granted(agents.register("b", wake_command=("w" * 400, "w" * 600)))
    assert agents.life.world.agents.carried_bytes == 4 * KB
    return agents


def test_what_would_be_too_much_is_refused_and_leaves_nothing(agents: AgentLife) -> None:
    granted(agents.add("s", payload=text(3 * KB + 1, "é")))
    before = agents.life.world
    assert before.agents.carried_bytes == 10 * KB, "bytes, and not characters"
    for said, field in (
        (agents.add("t", payload="1"), "payload"),
        (agents.register("b", meta="1"), "meta"),
        (agents.register("c", wake_command="1"), "wake_command"),
        (agents.register("a", meta=text(3 * KB + 1)), "meta"),
    ):
        refusal = refused(said)
        assert (refusal.name, refusal.data) == ("too_many", {"field": field, "agent_bytes": 10 * KB})
        assert "leave it in a file" in refusal.message
    assert agents.life.world is before
    granted(agents.add("t"))
    granted(agents.register("c"))
    granted(agents.register("a", meta=text(3 * KB, "n")))


def test_what_is_taken_back_is_carried_no_more(agents: AgentLife) -> None:
    granted(agents.add("s", payload=text(6 * KB)))
    granted(agents.add("t"))
    agents.life.pass_("slots_due")
    agents.take("s")
    agents.finish("s")
    assert agents.life.world.agents.carried_bytes == 4 * KB
    granted(agents.add("s", payload=text(6 * KB)))
    agents.cancel("s")
    granted(agents.register("a", meta=None))
    assert agents.life.world.agents.carried_bytes == KB
    granted(agents.add("s", payload=text(6 * KB), agent_id="b"))
    assert_in_step(agents.life.world)
    agents.life.tell("exhausted", "b")
    agents.life.start()
    assert_in_step(agents.life.world)
    agents.life.do(ae.AgentForgetWanted(CLIENT, "b"))
    assert agents.life.world.agents.carried_bytes == 0
