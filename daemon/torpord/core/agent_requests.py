"""What agents say of themselves, and what is said of them: granted or refused, and what follows from it."""

from __future__ import annotations

from torpord.core import agent_records as ar
from torpord.core.agents import Agent
from torpord.core.draft import Draft, Reply
from torpord.core.events import AgentEvent


def decided(draft: Draft, event: AgentEvent) -> Reply:  # noqa: ARG001
    """Decide an event about agents or slots."""
    raise AssertionError(f"no arm for the event {type(event).__name__}")


def deadline_passed(draft: Draft, name: str) -> None:  # noqa: ARG001
    """Pass a deadline of agents, for as many of them as one decision takes."""
    raise AssertionError(f"no arm for the deadline {name!r}")


def present(draft: Draft, agent: Agent, *, active: bool = False) -> Agent:
    """Record that an agent was heard of, which brings one that was offline back. Returns it as it is then.

    For every granted word of an agent about itself, before what the word says is recorded.
    """
    draft.record(ar.AgentSeen(agent.agent_id, active) if agent.online else ar.AgentOnline(agent.agent_id))
    return draft.world.agents.by_id[agent.agent_id]
