"""What is said to who is refused about agents and slots: what to do about it, on the wire and by hand."""

from __future__ import annotations

from shlex import quote

from torpor import wire
from torpord.core.agents import Agents
from torpord.core.draft import Refusal


def unknown_agent(agent_id: str) -> str:
    """Say that no agent of this name is known."""
    return f"no agent {agent_id!r} is known: agent.register comes first ({command('agent beat', agent_id)})"


def unknown_slot(slot_id: str, agent_id: str | None = None) -> str:
    """Say that there is no such slot, or that it is not this agent's."""
    whose = "" if agent_id is None else f" of agent {agent_id!r}"
    return (
        f"there is no slot {slot_id!r}{whose}: it was finished or cancelled, or never was; slot.list names them "
        f"({command('slot ls')})"
    )


def too_much(agents: Agents, more_bytes: int, field: str) -> Refusal | None:
    """Refuse what would be more than all agents and slots together may carry; None where it is not, or is less."""
    if more_bytes <= 0 or agents.carried_bytes + more_bytes <= wire.MAX_AGENT_BYTES:
        return None
    message = (
        f"{field} would be {more_bytes} bytes more, and agents and slots carry {agents.carried_bytes} of at most "
        f"{wire.MAX_AGENT_BYTES} together: leave it in a file and give its path, or finish, cancel or forget some"
    )
    return Refusal("too_many", message, {"field": field, "agent_bytes": agents.carried_bytes})


def command(words: str, name: str = "") -> str:
    """Return a command of torpor's as it is typed."""
    return f"`torpor {words} {quote(name)}`" if name else f"`torpor {words}`"
