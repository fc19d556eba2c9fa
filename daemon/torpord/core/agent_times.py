"""What happens to agents without a word of theirs: times pass, processes end or cannot be watched, a daemon begins."""

from __future__ import annotations

from itertools import islice, takewhile

from torpord.core import agent_events as ae
from torpord.core import agent_moves, offering
from torpord.core import agent_records as ar
from torpord.core.agents import SLICE, Agent
from torpord.core.draft import Draft
from torpord.core.events import ProcessStarted


def deadline_passed(draft: Draft, name: str) -> None:
    """Pass a deadline of agents or slots, for as many of them as one decision takes."""
    match name:
        case "recovery_due":
            for agent_id in draft.world.agents.recoveries.due(draft.now.wall_s, SLICE):
                draft.record(ar.AgentRecovered(agent_id, "reached"))
        case "presence_due":
            _presence_due(draft)
        case "slots_due" | "offers_due" | "turn_due":
            offering.due(draft, name)
        case _:
            raise AssertionError(f"agents have no arm for the deadline {name!r}")


def _presence_due(draft: Draft) -> None:
    """Let those go that were silent for too long, and look at the others again when theirs would be.

    Not where a process is watched: an agent that waits for its user, or for a tool, says nothing, and yet it is there.
    """
    world, now_s = draft.world, draft.now.awake_s
    timeout_s, floor_s = world.policy.heartbeat_timeout_s, world.process.presence_from_awake_s
    # Reckoned as the deadline is, to the last bit: else one that is due by rounding alone would be due for ever.
    due = takewhile(lambda item: item[0] + timeout_s <= now_s, world.agents.presence)
    looked: list[str] = []
    for _, agent_id in list(islice(due, SLICE)):
        if world.agents.effective_seen(agent_id, floor_s) + timeout_s <= now_s:
            agent_moves.fall_silent(draft, agent_id)
        else:
            looked.append(agent_id)
    if looked:
        draft.record(ar.PresenceLooked(tuple(looked)))


def process_ended(draft: Draft, agent_id: str) -> None:
    """Let an agent go whose process has ended; one that had gone before is tied to it no more."""
    agent = draft.world.agents.by_id[agent_id]
    if agent.online:
        agent_moves.leave(draft, agent_id, "process_ended")
    else:
        agent_moves.untie(draft, agent)


def seen_to_end(draft: Draft, event: ae.AgentProcessEnded) -> None:
    """Take in that a process has ended."""
    if _tied_to(draft, event) is not None:
        process_ended(draft, event.agent_id)


def unwatched(draft: Draft, event: ae.AgentProcessUnwatched) -> None:
    """Take in that nobody would see a process end: from now on its agent goes by what it says, as those without."""
    agent = _tied_to(draft, event)
    if agent is not None:
        agent_moves.untie(draft, agent)


def _tied_to(draft: Draft, event: ae.AgentProcessEnded | ae.AgentProcessUnwatched) -> Agent | None:
    """Return the agent of a process; None where it has long named another one, or is forgotten."""
    agent = draft.world.agents.by_id.get(event.agent_id)
    if agent is None or (agent.said.pid, agent.said.pid_start) != (event.pid, event.start):
        return None
    return agent


def expired(draft: Draft, agent_ids: tuple[str, ...]) -> None:
    """Forget those of these that have been offline for longer than the ledger remembers, and have nothing to do.

    A quota that is used up is not forgotten: who comes back would be idle.
    """
    for agent_id in agent_ids:
        agent = draft.world.agents.by_id.get(agent_id)
        if agent is None or agent.online or agent.slots or agent.exhaustion is not None:
            continue
        if draft.now.wall_s - agent.since_ts > draft.world.policy.ledger_keep_s:
            agent_moves.forget(draft, agent_id, "expired")


def process_started(draft: Draft, event: ProcessStarted) -> None:
    """Take agents up where the last daemon left them: what it had started ended with it."""
    for agent_id in event.dead_agents:
        if agent_id in draft.world.agents.tied:
            process_ended(draft, agent_id)
    for agent_id in sorted(draft.world.agents.waking.keys()):
        slot_id = draft.world.agents.by_id[agent_id].waking or ""
        draft.record(ar.AgentWakeEnded(agent_id, slot_id, "the daemon ended"))
    for agent_id in sorted(draft.world.agents.tied.keys()):
        agent_moves.watch(draft, draft.world.agents.by_id[agent_id])
