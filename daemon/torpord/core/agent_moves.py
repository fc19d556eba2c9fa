"""What an agent's moves bring with them: its slots go with it. Nothing is judged here."""

from __future__ import annotations

from torpord.core import agent_records as ar
from torpord.core import effects as fx
from torpord.core.agents import Agent, Card, Doing, Exhaustion, SlotState
from torpord.core.draft import Draft
from torpord.core.replacing import replace


def do(draft: Draft, agent_id: str, doing: Doing, *, reason: str = "") -> None:
    """Let an agent do something else. Nothing: then the slot it had taken is finished."""
    agent = draft.world.agents.by_id[agent_id]
    if doing is Doing.IDLE and agent.slot_id is not None:
        draft.record(ar.SlotFinished(agent_id, agent.slot_id))
    draft.record(ar.AgentDoing(agent_id, doing.value, reason=reason))


def exhaust(
    draft: Draft, agent_id: str, reason: str, recovery_ts: float, source: str, said_ts: float | None = None
) -> None:
    """Let an agent be exhausted until then, and put its slots off."""
    agent = draft.world.agents.by_id[agent_id]
    moved = agent.exhaustion is not None
    draft.record(ar.AgentExhausted(agent_id, reason, recovery_ts, source, moved, said_ts))
    for slot_id in agent.slots:
        slot = draft.world.agents.slots[slot_id]
        # What an earlier report put off too far comes nearer with the report that says so.
        too_far = slot.until_ts is not None and slot.until_ts > recovery_ts
        if slot.state is SlotState.TAKEN or slot.due_s < recovery_ts or too_far:
            draft.record(ar.SlotDeferred(agent_id, slot_id, recovery_ts))


def counts(new_ts: float, new_source: str, known: Exhaustion, *, force: bool) -> bool:
    """Whether a report moves the end of an exhaustion that is known.

    Later is believed, for a quota is not used less by asking. Earlier is, if the known time was nobody's word, or by
    force: two requests that ran into the same limit may report in any order. An estimate moves no provider's word.
    """
    estimated = new_source == "estimated"
    if (new_ts, estimated) == (known.recovery_ts, known.estimated):
        return False
    if force or (known.estimated and not estimated):
        return True
    return new_ts > known.recovery_ts and (known.estimated or not estimated)


def leave(draft: Draft, agent_id: str, how: str, reason: str = "") -> None:
    """Let an agent go offline. What it was doing, and its slot, are kept for its return."""
    draft.record(ar.AgentOffline(agent_id, how, reason))


def fall_silent(draft: Draft, agent_id: str) -> None:
    """Let an agent of which nothing was heard in time go, or be quiet where its process is watched."""
    if draft.world.agents.by_id[agent_id].said.pid is None:
        leave(draft, agent_id, "timeout")
    else:
        draft.record(ar.AgentQuiet(agent_id))


def untie(draft: Draft, agent: Agent) -> None:
    """Let an agent hang on no process any more."""
    draft.record(registered(agent.agent_id, replace(agent.said, pid=None, pid_start=None)))


def forget(draft: Draft, agent_id: str, how: str) -> None:
    """Forget an agent, and its slots with it. Whoever is its child is left alone."""
    for slot_id in draft.world.agents.by_id[agent_id].slots:
        draft.record(ar.SlotCancelled(agent_id, slot_id, "agent_forgotten"))
    draft.record(ar.AgentForgotten(agent_id, how))


def watch(draft: Draft, agent: Agent) -> None:
    """Have an agent's process watched, if it has one."""
    card = agent.said
    if card.pid is not None and card.pid_start is not None:
        draft.effects.append(fx.WatchAgent(agent.agent_id, card.pid, card.pid_start))


def registered(agent_id: str, card: Card, said_ts: float | None = None) -> ar.AgentRegistered:
    """Return the record of a card."""
    return ar.AgentRegistered(agent_id, card.parent_id, card.pid, card.pid_start, card.wake_command, card.meta, said_ts)
