"""What clients say of agents: granted or refused, and what follows from it. Of slots, that is `slot_requests`.

Whatever an agent says of itself is a sign of life, so who was offline is judged as what it was, and is online with what
it said. A refused word leaves nothing behind, not even that.
"""

from __future__ import annotations

from typing import Any

from torpor import wire
from torpord.core import agent_events as ae
from torpord.core import agent_moves, agent_table, agent_times, offering
from torpord.core import agent_records as ar
from torpord.core.agent_refusals import command, too_much, unknown_agent
from torpord.core.agent_report import word
from torpord.core.agent_table import Act
from torpord.core.agents import Agent, Card, Doing, Status
from torpord.core.decide import touch
from torpord.core.descent import move
from torpord.core.draft import Draft, Refusal, Reply
from torpord.core.events import AgentEvent
from torpord.core.late_words import is_late, is_overtaken
from torpord.core.lifecycle import Trigger
from torpord.core.report import iso


def decided(draft: Draft, event: AgentEvent) -> Reply:
    """Decide an event about agents or slots."""
    match event:
        case ae.AgentBeat():
            return _beat(draft, event)
        case ae.AgentMoveWanted():
            return _move_wanted(draft, event)
        case ae.AgentRegisterWanted():
            return _register(draft, event)
        case ae.AgentForgetWanted():
            return _forget(draft, event)
        case ae.AgentProcessEnded():
            agent_times.seen_to_end(draft, event)
        case ae.AgentProcessUnwatched():
            agent_times.unwatched(draft, event)
        case ae.AgentsExpired():
            agent_times.expired(draft, event.agent_ids)
        case _:
            from torpord.core import slot_requests  # noqa: PLC0415  # it imports this module, for `present`

            return slot_requests.decided(draft, event)
    return None


def present(draft: Draft, agent: Agent, said_ts: float | None, *, active: bool = False) -> Agent:
    """Record that an agent was heard of, which brings one that was offline or quiet back. Returns it as it is then.

    For every granted word of an agent about itself, before what the word says is recorded. A late one brings nobody
    back. `active`: this is its use of the daemon, and no `touch` says so.
    """
    agent_id = agent.agent_id
    if not agent.heard and not is_late(draft, said_ts):
        draft.record(ar.AgentOnline(agent_id, said_ts=said_ts))
    else:
        draft.record(ar.AgentSeen(agent_id, active, said_ts))
    return draft.world.agents.by_id[agent_id]


def _beat(draft: Draft, event: ae.AgentBeat) -> Reply:
    agent = draft.world.agents.by_id.get(event.agent_id)
    if agent is None:
        return _unknown(event.agent_id)
    act, to = Act.SAME, Status.IDLE
    if event.doing is not None:
        to = Status(event.doing)
        act = _act(draft, agent, to, event.said_ts, by_heartbeat=True)
        if act is Act.CONFLICT:
            return _conflict(agent, to)
    # It is presence alone, and no use of the daemon, unless the agent works: before it, or from it on.
    works = agent.exhaustion is None and agent.doing is not Doing.IDLE
    begins = act is Act.DISPROVE or (act is Act.DOING and to is not Status.IDLE)
    active = agent.working or begins or (works and act is Act.SAME)
    if is_late(draft, event.said_ts):  # who begins while it is offline begins when it is back
        active = begins and agent.heard
    only_seen = act is Act.SAME and (agent.heard or is_late(draft, event.said_ts))
    if active and not only_seen:
        touch(draft, Trigger.REQUEST_ARRIVED)
    _carry_out(draft, agent, act, to, event.said_ts, active=active and only_seen)
    if active and only_seen:
        move(draft, Trigger.REQUEST_ARRIVED)
    return _word(draft, agent)


def _move_wanted(draft: Draft, event: ae.AgentMoveWanted) -> Reply:
    agent = draft.world.agents.by_id.get(event.agent_id)
    if agent is None:
        return _unknown(event.agent_id)
    act = _act(draft, agent, event.to, event.said_ts)
    if act is Act.CONFLICT:
        return _conflict(agent, event.to)
    touch(draft, Trigger.REQUEST_ARRIVED)
    if act in (Act.EXHAUST, Act.MERGE):
        overtaken = is_overtaken(draft, agent, event.said_ts)  # before this is heard, too
        present(draft, agent, event.said_ts)
        _reported(draft, event, overtaken=overtaken)
    else:
        _carry_out(draft, agent, act, event.to, event.said_ts, reason=event.reason)
    return _word(draft, agent)


def _act(draft: Draft, agent: Agent, to: Status, said_ts: float | None, *, by_heartbeat: bool = False) -> Act:
    """Return what an agent's word leads to now. One that is overtaken leads to nothing, unless it is of its quota."""
    if to is not Status.EXHAUSTED and is_overtaken(draft, agent, said_ts):
        return Act.SAME
    return agent_table.act(agent, to, by_heartbeat=by_heartbeat)


def _carry_out(
    draft: Draft,
    agent: Agent,
    act: Act,
    to: Status,
    said_ts: float | None,
    *,
    reason: str = "",
    active: bool = False,
) -> None:
    """Record that an agent was heard of, and what its word leads to, if that is no report."""
    agent_id = agent.agent_id
    ends = act in (Act.DOING, Act.RETURN) and to is Status.IDLE and agent.doing is not Doing.IDLE
    if ends and not agent.heard:
        agent_moves.do(draft, agent_id, Doing.IDLE, reason=reason)  # first: it is not back at work for an instant
        act = Act.SAME
    if to is Status.OFFLINE:
        draft.record(ar.AgentSeen(agent_id, said_ts=said_ts))
    else:
        present(draft, agent, said_ts, active=active)
    match act:
        case Act.DOING:
            agent_moves.do(draft, agent_id, Doing(to), reason=reason)
        case Act.RECOVER:
            draft.record(ar.AgentRecovered(agent_id, "said"))
        case Act.DISPROVE:
            draft.record(ar.AgentRecovered(agent_id, "said"))
            agent_moves.do(draft, agent_id, Doing(to), reason=reason)
        case Act.LEAVE:
            agent_moves.leave(draft, agent_id, "said", reason)
        case Act.SAME | Act.RETURN:
            pass
        case _:
            raise AssertionError(f"nothing carries out {act!r}")


def _reported(draft: Draft, event: ae.AgentMoveWanted, *, overtaken: bool) -> None:
    """Take in that an agent's quota is used up, or once more that it is.

    A report that is overtaken moves no known end nearer; and where its time is over, too, it ends no work.
    """
    policy, agent = draft.world.policy, draft.world.agents.by_id[event.agent_id]
    known, said_ts = agent.exhaustion, event.said_ts
    recovery_ts, source = (draft.now.wall_s if said_ts is None else said_ts) + policy.default_recovery_s, "estimated"
    if event.recovery is not None:
        recovery_ts, source = event.recovery.at_wall_s, event.recovery.source
    if overtaken:
        nearer = known is not None and recovery_ts <= known.recovery_ts
        if nearer or (agent.doing is not Doing.IDLE and recovery_ts <= draft.now.wall_s):
            return
    if known is None or agent_moves.counts(recovery_ts, source, known, force=event.force):
        reason = event.reason or wire.EXHAUST_REASONS[0]
        agent_moves.exhaust(draft, event.agent_id, reason, recovery_ts, source, said_ts)


def _register(draft: Draft, event: ae.AgentRegisterWanted) -> Reply:
    agents = draft.world.agents
    agent = agents.by_id.get(event.agent_id)
    if agent is None and len(agents.by_id) >= wire.MAX_AGENTS:
        message = (
            f"there are {wire.MAX_AGENTS} agents already: forget some (agent.list names them, {command('agent ls')})"
        )
        return Refusal("too_many", message, {"agents": wire.MAX_AGENTS})
    before = Card() if agent is None else agent.said
    card = _card(event, before)
    grows = "wake_command" if card.meta == before.meta else "meta"
    if (refusal := too_much(agents, card.carried_bytes - before.carried_bytes, grows)) is not None:
        return refusal
    touch(draft, Trigger.REQUEST_ARRIVED)
    if agent is not None:
        present(draft, agent, event.said_ts)
    if agent is None or card != before:
        draft.record(agent_moves.registered(event.agent_id, card, event.said_ts))
    if is_late(draft, event.said_ts):
        _is_there_late(draft, event, agent)
    now = draft.world.agents.by_id[event.agent_id]
    if (card.pid, card.pid_start) != (before.pid, before.pid_start):
        agent_moves.watch(draft, now)
    # How often to beat: two may be lost.
    answer = _word(draft, agent or Agent(event.agent_id, online=False))
    return {**answer, "heartbeat_s": draft.world.policy.heartbeat_timeout_s / 3}


def _is_there_late(draft: Draft, event: ae.AgentRegisterWanted, before: Agent | None) -> None:
    """Let an agent that registered long ago be there by its process, and not at all where it named none."""
    if before is not None:
        if before.online or event.pid in (ae.UNSET, None) or is_overtaken(draft, before, event.said_ts):
            return
        draft.record(ar.AgentOnline(event.agent_id, said_ts=event.said_ts))
    agent_moves.fall_silent(draft, event.agent_id)


def _card(event: ae.AgentRegisterWanted, before: Card) -> Card:
    """Return an agent's card with what was said: what was not is as it was."""
    pid, start = (before.pid, before.pid_start) if event.pid is ae.UNSET else (event.pid, event.pid_start)
    return Card(
        parent_id=before.parent_id if event.parent_id is ae.UNSET else event.parent_id,
        pid=pid,
        pid_start=None if pid is None else start,
        wake_command=before.wake_command if event.wake_command is ae.UNSET else event.wake_command or None,
        meta=before.meta if event.meta is ae.UNSET else event.meta or "",
    )


def _forget(draft: Draft, event: ae.AgentForgetWanted) -> Reply:
    if event.agent_id not in draft.world.agents.by_id:
        return _unknown(event.agent_id)
    touch(draft, Trigger.REQUEST_ARRIVED)
    agent_moves.forget(draft, event.agent_id, "asked")
    return {"agent_id": event.agent_id, "forgotten": True}


def _word(draft: Draft, before: Agent) -> dict[str, Any]:
    """Answer an agent's word: what it is, and what it is offered; all of it, if it has just come back or is free."""
    agent = draft.world.agents.by_id[before.agent_id]
    slots: list[dict[str, object]] = []
    if agent.slots and agent.online:
        everything = not before.online or (before.slot_id is not None and agent.slot_id is None)
        slots = offering.offered_to(draft, agent, everything=everything)
    return word(draft.world, agent.agent_id, changed=agent is not before, slots=slots, now=draft.now)


def _unknown(agent_id: str) -> Refusal:
    return Refusal("not_found", unknown_agent(agent_id), {"agent_id": agent_id})


def _conflict(agent: Agent, to: Status) -> Refusal:
    """Refuse a word: name the status its agent is in, and those that the word needs."""
    now, needs = agent_table.was(agent), agent_table.needs(to)
    until = agent.exhaustion
    needed = " or ".join(needs)
    how = "is" if agent.online else "went offline while it was"
    say = command(f"agent {needs[0]}", agent.agent_id)
    message = f"agent {agent.agent_id!r} {how} {now}: {to} needs {needed}: say {needs[0]} first ({say})"
    if until is not None:
        message = (
            f"agent {agent.agent_id!r} is exhausted until {iso(until.recovery_ts)} (known from: {until.source}): "
            f"{to} needs {needed}; it is idle by itself then, or when it is told so by agent.transition ({say})"
        )
    data = {
        "agent_id": agent.agent_id,
        "status": now.value,
        "needs": [status.value for status in needs],
        "until": iso(until.recovery_ts) if until else None,
        "exhausted_at": iso(until.at_ts) if until else None,
    }
    return Refusal("conflict", message, data)
