"""The rows of agents and slots: written in the transaction of the records that change them, and read at a start.

A row is what the world has after the batch, whatever led there: the records only say which rows to look at. So a batch
that carries deferred heartbeats of an agent that is forgotten by now writes nothing of it.
"""

from __future__ import annotations

import contextlib
import gc
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from sys import intern
from typing import Any

from torpord.core.agent_records import AgentSeen, SlotRecord, SlotsTold
from torpord.core.agents import Agent, Agents, Doing, Exhaustion, Seen, Slot, SlotState
from torpord.core.records import AgentRecord, Entry, Started
from torpord.store import codec

# So many are kept from the collector for good: fewer cost it nothing, and what is frozen with them is never looked at.
_MANY = 10_000
_AGENT_COLUMNS = 13
_SLOT_COLUMNS = (
    "slot_id",
    "agent_id",
    "type",
    "at_ts",
    "duration_s",
    "priority",
    "payload",
    "state",
    "until_ts",
    "offers",
    "again_awake_s",
    "told",
    "taken_ts",
)
_DOING = {doing.value: doing for doing in Doing}


def write(db: sqlite3.Connection, entries: Sequence[Entry], before: Agents, after: Agents) -> None:
    """Write what the records of a batch make of agents and slots."""
    heard: set[str] = set()
    named: set[str] = set()
    slots: set[str] = set()
    for entry in entries:
        match entry.record:
            case AgentSeen(agent_id=agent_id):
                heard.add(agent_id)
            case SlotRecord(agent_id=agent_id, slot_id=slot_id):
                named.add(agent_id)
                slots.add(slot_id)
            case SlotsTold(slot_ids=slot_ids):
                slots.update(slot_ids)
            case AgentRecord(agent_id=agent_id):
                named.add(agent_id)
                slots.update(_slots_of(agent_id, before), _slots_of(agent_id, after))
            case Started():  # what was offered is planned anew, without a record of each
                slots.update(slot_id for slot_id, slot in before.slots.items() if after.slots.get(slot_id) is not slot)
    # Who is named may be forgotten since.
    _write_presence(db, {each: after.seen[each].wall_s for each in heard - named}, named, before, after)
    _write_agents(db, named, before, after)
    _write_slots(db, slots, before, after)


def _slots_of(agent_id: str, agents: Agents) -> Iterable[str]:
    agent = agents.by_id.get(agent_id)
    return () if agent is None else agent.slots


def _write_presence(
    db: sqlite3.Connection, heard: dict[str, float], named: Iterable[str], before: Agents, after: Agents
) -> None:
    gone = []
    for agent_id in named:
        seen = after.seen.get(agent_id)
        if seen is None:
            gone.append((agent_id,))
        elif seen is not before.seen.get(agent_id):
            heard[agent_id] = seen.wall_s
    db.executemany("DELETE FROM presence WHERE agent_id = ?", gone)
    # In the order of the table: of thousands, neighbours share a page. And in place: to replace is to delete first.
    rows = "INSERT INTO presence VALUES (?, ?) ON CONFLICT DO UPDATE SET seen_ts = excluded.seen_ts"
    db.executemany(rows, sorted(heard.items()))


def _write_agents(db: sqlite3.Connection, agent_ids: Iterable[str], before: Agents, after: Agents) -> None:
    gone, new = [], []
    for agent_id in sorted(agent_ids):
        agent = after.by_id.get(agent_id)
        if agent is None:
            gone.append((agent_id,))
        elif agent is not before.by_id.get(agent_id):
            new.append(_agent_row(agent))
    db.executemany("DELETE FROM agents WHERE agent_id = ?", gone)
    db.executemany(f"INSERT OR REPLACE INTO agents VALUES ({_marks(_AGENT_COLUMNS)})", new)  # noqa: S608 - ours


def _write_slots(db: sqlite3.Connection, slot_ids: Iterable[str], before: Agents, after: Agents) -> None:
    gone, new = [], []
    for slot_id in sorted(slot_ids):
        slot = after.slots.get(slot_id)
        if slot is None:
            gone.append((slot_id,))
        elif slot is not before.slots.get(slot_id):
            new.append(tuple(getattr(slot, name) for name in _SLOT_COLUMNS))
    db.executemany("DELETE FROM slots WHERE slot_id = ?", gone)
    db.executemany(f"INSERT OR REPLACE INTO slots VALUES ({_marks(len(_SLOT_COLUMNS))})", new)  # noqa: S608 - ours


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _agent_row(agent: Agent) -> tuple[Any, ...]:
    ex = agent.exhaustion
    return (
        agent.agent_id,
        agent.online,
        agent.doing.value,
        agent.since_ts,
        agent.source,
        *((None,) * 4 if ex is None else (ex.at_ts, ex.reason, ex.recovery_ts, ex.source)),
        agent.slot_id,
        agent.waking,
        None if agent.card is None else codec.dump(agent.card),
        agent.quiet,
    )


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector off what is made here.

    With 100,000 agents that takes as long as reading them, and a fifth of a second whenever it looks at everything
    again. None of this is in a cycle: it goes when nobody names it any more.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def load(db: sqlite3.Connection, floor_s: float, heard_awake_s: Callable[[str], float]) -> Agents:
    """Read all agents and slots; who is online is filed where presence counts from: `floor_s`, or when it was heard of.

    Both by the awake clock. Raises sqlite3.Error, or ValueError, KeyError or TypeError for rows that are none.
    """
    with _uncollected():
        query = f"SELECT {', '.join(_SLOT_COLUMNS)} FROM slots ORDER BY at_ts, slot_id"  # noqa: S608 - ours
        slots = [_slot(row) for row in db.execute(query)]
        slots_of: dict[str, list[str]] = {}
        for slot in slots:
            slots_of.setdefault(slot.agent_id, []).append(slot.slot_id)
        agents = [_agent(row, slots_of) for row in db.execute("SELECT * FROM agents ORDER BY agent_id")]
        seen_ts = dict(db.execute("SELECT agent_id, seen_ts FROM presence"))
        seen: dict[str, Seen] = {}
        for agent in agents:
            awake_s = heard_awake_s(agent.agent_id)
            seen[agent.agent_id] = Seen(awake_s, seen_ts[agent.agent_id], max(awake_s, floor_s))
        found = Agents.of(agents, seen, slots)
        if len(agents) > _MANY:
            gc.freeze()
        return found


def _agent(row: tuple[Any, ...], slots_of: dict[str, list[str]]) -> Agent:
    agent_id, online, doing, since_ts, source, exhausted_ts, reason, recovery_ts, how, slot_id, waking, card, quiet = (
        row
    )
    return Agent(
        agent_id,
        bool(online),
        _DOING[doing],
        since_ts,
        intern(source),  # most come from few programs
        None if exhausted_ts is None else Exhaustion(exhausted_ts, intern(reason), recovery_ts, intern(how)),
        None if card is None else codec.card(card),
        tuple(slots_of.get(agent_id, ())),
        slot_id,
        waking,
        bool(quiet),
    )


def _slot(row: tuple[Any, ...]) -> Slot:
    values = dict(zip(_SLOT_COLUMNS, row, strict=True))
    return Slot(**{**values, "state": SlotState(values["state"]), "told": bool(values["told"])})
