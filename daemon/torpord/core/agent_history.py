"""What a record makes of agents: the only thing that changes them. Pure. For slots it is `core/slot_history.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torpord.core import agent_records as ar
from torpord.core import slot_history
from torpord.core.agenda import Agenda
from torpord.core.agents import MOST_EXACT, NO_CARD, Agent, Agents, Card, Doing, Exhaustion, Seen
from torpord.core.persistent import Map
from torpord.core.records import AgentRecord, Entry, PresenceRecord
from torpord.core.replacing import replace

if TYPE_CHECKING:  # it evolves by this module
    from torpord.core.world import World


def evolve_agents(world: World, entry: Entry, record: AgentRecord | PresenceRecord) -> World:
    """Return the world after one record of agents or slots."""
    before = world.agents
    if isinstance(record, ar.AgentSeen):  # first, because they come by the thousand
        agents = _seen(before, entry, record)
        return replace(world, agents=agents, **(_use(world, entry) if record.active else {}))
    if isinstance(record, PresenceRecord):
        return replace(world, agents=_looked(before, world.process.presence_from_awake_s, record.agent_ids))
    if isinstance(record, ar.SlotRecord | ar.SlotsTold):
        agents = slot_history.evolve_slot(before, entry, record)
    else:
        agents = _evolved(before, entry, record)
    changes: dict[str, Any] = {"agents": agents}
    if entry.seq is not None:
        changes["ledger_seq"] = entry.seq
    if _keeps_awake(before, record.agent_id) and not _keeps_awake(agents, record.agent_id):
        changes["activity"] = replace(world.activity, idle_since_awake_s=entry.awake_s)
    if world.sleep.blocked_recheck_awake_s is not None and agents.next_wake_ts != before.next_wake_ts:
        # The wake that forbids hibernation is another one, or gone: look at once.
        changes["sleep"] = replace(world.sleep, blocked_recheck_awake_s=None)
    return replace(world, **changes)


def restarted(agents: Agents, floor_s: float, *, another_boot: bool) -> Agents:
    """Return agents as a process finds them that begins at `floor_s`, awake time.

    What was offered is offered again, for nobody knows who heard of it. Whoever is online gets its time anew, by
    `Process.presence_from_awake_s`; what was read from another boot's clock is dropped.
    """
    agents, last_s = slot_history.unoffered(agents), agents.presence.last
    if not another_boot and (last_s is None or last_s <= floor_s):
        return agents
    seen = Map.of((agent_id, Seen(0.0, was.wall_s, floor_s)) for agent_id, was in agents.seen.items())
    return replace(agents, seen=seen, presence=Agenda.of((floor_s, agent_id) for _, agent_id in agents.presence))


def _keeps_awake(agents: Agents, agent_id: str) -> bool:
    return agent_id in agents.working or agent_id in agents.waking


def _use(world: World, entry: Entry) -> dict[str, Any]:
    was = world.activity
    activity = type(was)(entry.wall_s, was.event_seq + 1, entry.awake_s, entry.cause)
    return {"activity": activity}


def _seen(agents: Agents, entry: Entry, record: ar.AgentSeen) -> Agents:
    agent_id = record.agent_id
    if record.said_ts is not None:
        return replace(agents, seen=agents.seen.set(agent_id, _heard(agents, entry, agent_id, record.said_ts)))
    presence, filed_s = agents.presence, agents.seen[agent_id].filed_s
    if filed_s != entry.awake_s and len(presence) <= MOST_EXACT and agents.by_id[agent_id].heard:
        presence = presence.moved(filed_s, entry.awake_s, agent_id)
        filed_s = entry.awake_s
    seen = agents.seen.set(agent_id, Seen(entry.awake_s, entry.wall_s, filed_s))
    return replace(agents, seen=seen, presence=presence)


def _heard(agents: Agents, entry: Entry, agent_id: str, said_ts: float) -> Seen:
    """Return when an agent was last heard of, by what it said then. What was heard of it since is newer."""
    awake_s, wall_s = entry.awake_s - max(0.0, entry.wall_s - said_ts), min(said_ts, entry.wall_s)
    was = agents.seen.get(agent_id)
    return Seen(awake_s, wall_s, awake_s) if was is None else was.later(awake_s, wall_s)


def _filed(agents: Agents, entry: Entry, agent_id: str, said_ts: float | None) -> Agents:
    """Return these where one that was offline or quiet, or is new, is heard of, and online."""
    heard = Seen(entry.awake_s, entry.wall_s, entry.awake_s)
    if said_ts is not None:
        heard = _heard(agents, entry, agent_id, said_ts)
        heard = heard._replace(filed_s=heard.awake_s)
    seen = agents.seen.set(agent_id, heard)
    return replace(agents, seen=seen, presence=agents.presence.with_(heard.filed_s, agent_id))


def _looked(agents: Agents, floor_s: float, agent_ids: tuple[str, ...]) -> Agents:
    seen, presence = agents.seen, agents.presence
    for agent_id in agent_ids:
        was, now_s = seen[agent_id], agents.effective_seen(agent_id, floor_s)
        presence = presence.moved(was.filed_s, now_s, agent_id)
        seen = seen.set(agent_id, was._replace(filed_s=now_s))
    return replace(agents, seen=seen, presence=presence)


def _evolved(agents: Agents, entry: Entry, record: AgentRecord) -> Agents:
    agent_id = record.agent_id
    before = agents.by_id.get(agent_id)
    if before is None:
        if not isinstance(record, ar.AgentRegistered):
            raise AssertionError(f"{record.kind} of the agent {agent_id}, which is not known")
        new = Agent(agent_id, since_ts=entry.wall_s, source=_source(entry.cause), card=_card(record))
        return _filed(agents.with_agent(None, new), entry, agent_id, record.said_ts)
    match record:
        case ar.AgentRegistered():
            agents = _carded(agents, before, _card(record))
            return agents if record.wake_command is None else slot_history.came_back(agents, agent_id)
        case ar.AgentOnline():
            if before.online:  # it was quiet: its status is what it was, and by whom
                return _filed(agents.with_agent(before, replace(before, quiet=False)), entry, agent_id, record.said_ts)
            agents = _filed(_moved(agents, entry, before, online=True), entry, agent_id, record.said_ts)
            return slot_history.came_back(agents, agent_id)
        case ar.AgentQuiet():
            return _unfiled(agents.with_agent(before, replace(before, quiet=True)), before)
        case ar.AgentOffline():
            card = before.card if record.how == "timeout" else _untied(before.card)
            return _moved(_unfiled(agents, before), entry, before, online=False, quiet=False, card=card)
        case ar.AgentDoing():
            return _moved(agents, entry, before, doing=Doing(record.doing), slot_id=record.slot_id)
        case ar.AgentExhausted():
            at_ts = entry.wall_s if record.said_ts is None else min(record.said_ts, entry.wall_s)
            if record.moved and before.exhaustion:
                at_ts = before.exhaustion.at_ts
            exhaustion = Exhaustion(at_ts, record.reason, record.recovery_ts, record.recovery_source)
            return _moved(agents, entry, before, exhaustion=exhaustion, doing=Doing.IDLE, slot_id=None)
        case ar.AgentRecovered():
            return slot_history.recovered(_moved(agents, entry, before, exhaustion=None), agent_id)
        case ar.AgentForgotten():
            return _forgotten(agents, before)
        case ar.AgentWakeStarted():
            return agents.with_agent(before, replace(before, waking=record.slot_id))
        case ar.AgentWakeEnded():
            return agents.with_agent(before, replace(before, waking=None))
        case _:
            raise AssertionError(f"evolve_agents has no arm for the record {record.kind!r}")


def _moved(agents: Agents, entry: Entry, before: Agent, **changes: Any) -> Agents:
    """Return these where something of an agent's three facts has changed, or was said once more."""
    after = replace(before, **changes, source=_source(entry.cause))
    if after.status is not before.status:
        after = replace(after, since_ts=entry.wall_s)
    return agents.with_agent(before, after)


def _forgotten(agents: Agents, agent: Agent) -> Agents:
    without = _unfiled(agents, agent).with_agent(agent, None)
    return replace(without, seen=agents.seen.delete(agent.agent_id))


def _unfiled(agents: Agents, agent: Agent) -> Agents:
    """Return these where no word of an agent is waited for any more; `agent` as it was until now."""
    if not agent.heard:
        return agents
    return replace(agents, presence=agents.presence.without(agents.seen[agent.agent_id].filed_s, agent.agent_id))


def _carded(agents: Agents, before: Agent, card: Card | None) -> Agents:
    """Return these with another card. Without its process nobody is quiet: its words are waited for, as of all."""
    after = replace(before, card=card, quiet=before.quiet and card is not None and card.pid is not None)
    agents = agents.with_agent(before, after)
    if not before.quiet or after.quiet:
        return agents
    # Where it was filed last: so it has what is left of its time, and all of it after a start.
    presence = agents.presence.with_(agents.seen[after.agent_id].filed_s, after.agent_id)
    return replace(agents, presence=presence)


def _card(record: ar.AgentRegistered) -> Card | None:
    card = Card(record.parent_id, record.pid, record.pid_start, record.wake_command, record.meta)
    return None if card == NO_CARD else card


def _untied(card: Card | None) -> Card | None:
    """Return a card without the process: it has ended, or who comes back will name its own."""
    if card is None or card.pid is None:
        return card
    rest = replace(card, pid=None, pid_start=None)
    return None if rest == NO_CARD else rest


def _source(cause: Mapping[str, Any]) -> str:
    """Name in a word what a cause is: a client's program; else "deadline", "file", "process"."""
    source = str(cause.get("source") or "")
    return str(cause.get("program") or source) if source == "client" else source
