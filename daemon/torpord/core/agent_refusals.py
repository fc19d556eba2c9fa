"""What is said to who is refused about agents and slots: what to do about it, on the wire and by hand."""

from __future__ import annotations

from shlex import quote


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


def command(words: str, name: str = "") -> str:
    """Return a command of torpor's as it is typed."""
    return f"`torpor {words} {quote(name)}`" if name else f"`torpor {words}`"
