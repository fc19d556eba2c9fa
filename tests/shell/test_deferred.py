"""What is true before it is stored: heartbeats, in virtual time, on disks good and bad."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.life import started
from shell.bench_writer import Bench, bench
from shell.virtual_time import jumps, pass_s, run
from torpord.core import agent_records
from torpord.core.agent_events import AgentBeat, AgentForgetWanted, AgentRegisterWanted, SlotWanted
from torpord.core.agents import MOST_EXACT, SLICE, Doing, Status
from torpord.core.draft import Refusal
from torpord.core.events import ClientTrigger, Leaving
from torpord.core.kinds import KINDS
from torpord.core.lifecycle import Trigger
from torpord.core.policy import Policy
from torpord.core.records import Entry
from torpord.core.world import World, evolve
from torpord.store.store import Batch, Line
from torpord.writer import UNAVAILABLE, Change, Outcome, deferred

CLIENT = {"source": "client", "program": "make"}
REQUEST = ClientTrigger({"source": "client"}, Trigger.REQUEST_ARRIVED)
# Nothing of the idle life is to happen beside what is looked at.
AWAKE = Policy(drowsy_after_s=1e9)


def name(number: int) -> str:
    return f"agent-{number:05d}"


async def registered(b: Bench, count: int, *, doing: Doing | None = None) -> None:
    """Let some agents be known, and all of it stored."""
    events = [AgentRegisterWanted(CLIENT, name(number)) for number in range(count)]
    beats = [AgentBeat(CLIENT, name(number), doing) for number in range(count)] if doing else []
    ticket = b.writer.submit([Change(event) for event in (*events, *beats)])
    await ticket.done.wait()
    assert not [outcome for outcome in ticket.outcomes if isinstance(outcome, Refusal)]
    await pass_s(deferred.MOST_DELAY_S + 1)


async def beat(b: Bench, number: int = 0, doing: Doing | None = None) -> Outcome:
    return await b.writer.apply(AgentBeat(CLIENT, name(number), doing))


async def stored(b: Bench) -> World:
    return await b.disk.run(b.store.load)


def statuses(world: World) -> dict[Status, int]:
    found = [agent.status for agent in world.agents.by_id.values()]
    return {status: found.count(status) for status in set(found)}


def test_a_thousand_heartbeats_a_second_are_one_commit_in_three_seconds(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 100)
            before = b.store.attempts
            for number in range(6_000):
                assert not isinstance(await beat(b, number % 100), Refusal)
                await pass_s(0.001)
            assert b.store.attempts - before <= 2
            await pass_s(5)
            assert b.store.attempts - before <= 3
            assert {seen.wall_s for seen in (await stored(b)).agents.seen.values()} == {
                seen.wall_s for seen in b.writer.world.agents.seen.values()
            }

    run(main)


def test_a_heartbeat_is_true_at_once_and_stored_within_five_seconds(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 1)
            await pass_s(30)
            b.disk.gate = anyio.Event()  # whoever waited for the store would wait for ever
            outcome = await beat(b)
            assert isinstance(outcome, Mapping)
            assert outcome["status"] == "idle"
            heard_s = b.writer.world.agents.seen[name(0)].wall_s
            assert heard_s == b.clock.now().wall_s
            b.disk.gate.set()
            b.disk.gate = None
            assert (await stored(b)).agents.seen[name(0)].wall_s < heard_s
            begun = jumps()
            await pass_s(5)
            assert (await stored(b)).agents.seen[name(0)].wall_s == heard_s
            assert jumps() - begun == 2, "one of them is this test's: it wakes up once, and goes back to sleep"

    run(main)


def test_any_other_commit_takes_them_along(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 2)
            await beat(b, 0)
            await pass_s(1)
            before = b.store.attempts
            await b.writer.apply(REQUEST)
            assert (await stored(b)).agents.seen == worldly(b)
            await pass_s(60)
            assert b.store.attempts - before == 1

    run(main)


def worldly(b: Bench) -> Any:
    """What a store has of the times in the world: no awake clock."""
    world = b.writer.world
    loaded = b.store.load()
    assert {key: seen.wall_s for key, seen in loaded.agents.seen.items()} == {
        key: seen.wall_s for key, seen in world.agents.seen.items()
    }
    return loaded.agents.seen


@pytest.mark.parametrize("what", ["key", "doing", "online", "offers"])
def test_what_is_more_than_its_time_is_durable_first(tmp_path: pathlib.Path, what: str) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 1)
            if what == "online":
                await pass_s(200)
                assert statuses(b.writer.world) == {Status.OFFLINE: 1}
            if what == "offers":
                now_s = b.clock.now().wall_s
                await b.writer.apply(SlotWanted(CLIENT, "s1", name(0), "work", now_s + 1000.0))
                await pass_s(1)
            before = b.store.attempts
            doing = Doing.BUSY if what == "doing" else None
            if what == "offers":
                b.clock.step_s = 1000.0  # it is due, and nobody has rung yet
            change = Change(AgentBeat(CLIENT, name(0), doing), "k" if what == "key" else None, "[]")
            b.disk.gate = anyio.Event()
            ticket = b.writer.submit([change])
            await anyio.wait_all_tasks_blocked()
            assert not ticket.done.is_set()
            b.disk.gate.set()
            await ticket.done.wait()
            assert b.store.attempts - before == 1
            assert (await stored(b)).agents.by_id == b.writer.world.agents.by_id

    run(main)


def test_on_a_full_disk_heartbeats_go_on_and_nobody_is_taken_for_gone(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 3, doing=Doing.BUSY)
            b.store.refuse = True
            refused = 0
            for _ in range(30):
                for number in (0, 1):
                    refused += isinstance(await beat(b, number), Refusal)
                assert await b.writer.apply(REQUEST) is UNAVAILABLE
                await pass_s(20)
            assert refused <= 4, "one that shares a turn with what is due is refused with it, and no other"
            b.store.refuse = False
            await pass_s(61)
            assert statuses(b.writer.world) == {Status.BUSY: 2, Status.OFFLINE: 1}
            assert (await stored(b)).agents.seen == worldly(b)
            gone = [entry.record for entry in b.shell.entries if isinstance(entry.record, agent_records.AgentOffline)]
            assert [record.agent_id for record in gone] == [name(2)]

    run(main)


@pytest.mark.parametrize("durable", [False, True])
def test_after_a_commit_that_left_it_open_all_is_as_it_was_told(tmp_path: pathlib.Path, *, durable: bool) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 2, doing=Doing.BUSY)
            await pass_s(90)
            await beat(b, 0)
            told = b.writer.world
            if durable:
                b.store.fail_after_commit = 1
            else:
                b.store.refuse = True
            b.store.blind = True
            assert await b.writer.apply(REQUEST) is UNAVAILABLE
            b.store.blind = b.store.refuse = False
            await pass_s(2)
            assert "reread" in b.shell.told
            again = b.writer.world
            assert again.agents.seen[name(0)].awake_s == told.agents.seen[name(0)].awake_s
            assert again.activity.event_seq == told.activity.event_seq + (1 if durable else 0), "each is counted once"
            # The other is gone when its own time is over, and the first one later.
            await pass_s(28)
            assert statuses(b.writer.world) == {Status.BUSY: 1, Status.OFFLINE: 1}
            assert b.writer.world.agents.by_id[name(0)].online
            await pass_s(100)
            assert statuses(b.writer.world) == {Status.OFFLINE: 2}
            world = await stored(b)
            assert world.activity.event_seq == b.writer.world.activity.event_seq
            assert world.agents.seen == worldly(b)

    run(main)


def test_the_last_commit_takes_them_along(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 1, doing=Doing.BUSY)
            await beat(b)
            b.writer.close()
            assert await b.writer.finish(Leaving({"source": "stop"}, "stop"))
            assert (await stored(b)).agents.seen == worldly(b)
            assert (await stored(b)).activity == b.writer.world.activity

    run(main)


def test_one_that_is_forgotten_meanwhile_leaves_no_row(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 2)
            await beat(b, 0)
            ticket = b.writer.submit([Change(AgentForgetWanted(CLIENT, name(0))), Change(AgentBeat(CLIENT, name(1)))])
            await ticket.done.wait()
            await pass_s(5)
            queries = ("SELECT agent_id FROM agents", "SELECT agent_id FROM presence")
            assert [b.store.connection.execute(query).fetchall() for query in queries] == [[(name(1),)], [(name(1),)]]

    run(main)


def test_a_disk_that_is_full_for_long_takes_no_more_memory_and_nobody_for_gone(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 10, doing=Doing.BUSY)
            used = b.writer.world.activity.event_seq
            b.store.refuse = True
            assert await b.writer.apply(REQUEST) is UNAVAILABLE
            granted = 0
            for number in range(3_000):
                granted += not isinstance(await beat(b, number % 10), Refusal)
                await pass_s(4)
            assert 3_000 - granted <= 3_000 * 4 / 60 + 10, "one that shares the turn of a retry"
            assert len(b.writer._deferred) == 10
            b.store.refuse = False
            await pass_s(61)
            assert len(b.store.commits[-1].entries) == 10, "each is stored once"
            assert statuses(b.writer.world) == {Status.BUSY: 10}
            assert b.writer.world.activity.event_seq == used + granted
            assert (await stored(b)).activity == b.writer.world.activity
            assert (await stored(b)).agents.seen == worldly(b)

    run(main)


def test_very_many_are_stored_before_their_time(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "MOST_AGENTS", 10)

    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 25)
            before = b.store.attempts
            for number in range(25):
                assert not isinstance(await beat(b, number), Refusal)
            assert b.store.attempts - before == 2
            for _ in range(25):
                assert not isinstance(await beat(b), Refusal)
            assert b.store.attempts - before == 2, "one agent is one, however often it beats"

    run(main)


@example(known=3, beats=[(0, 0.0, -2.0), (0, 9.0, 8.0)], stored_s=0.0)  # one that was said ahead of time
@given(
    known=st.sampled_from((3, MOST_EXACT + 1)),
    beats=st.lists(
        st.tuples(st.integers(0, 2), st.floats(0.0, 50.0), st.none() | st.floats(-50.0, 100.0)), max_size=30
    ),
    stored_s=st.floats(0.0, 100.0),
)
def test_what_is_kept_makes_the_world_that_all_of_them_made(
    known: int, beats: list[tuple[int, float, float | None]], stored_s: float
) -> None:
    life = started()
    for number in range(known):
        life.register(name(number))
    for number in (0, 2):
        life.beat(name(number), doing="busy")
    life.advance(stored_s)
    before, kept, entries = life.world, deferred.Deferred(), []
    for number, pause_s, ago_s in beats:
        life.advance(pause_s)
        said_ts = None if ago_s is None else life.now.wall_s - ago_s  # it was left in a file
        decided = life.do(AgentBeat(CLIENT, name(number), said_ts=said_ts)).entries
        entries += decided
        kept.add(decided, life.now.awake_s)
    assert len(kept) <= 2 * 3
    assert all(entry.record.deferred for entry in entries)
    assert kept.over(before) == reduce(evolve, entries, before) == life.world


def test_a_mistake_in_what_is_deferred_costs_one_batch(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 1)
            real = b.store._write

            def broken(batch: Batch) -> None:
                if any(isinstance(entry.record, agent_records.AgentSeen) for entry in batch.entries):
                    raise ValueError("a mistake")
                real(batch)

            monkeypatch.setattr(b.store, "_write", broken)
            await beat(b)
            outcome = await b.writer.apply(REQUEST)
            assert isinstance(outcome, Refusal)
            assert outcome.name == "internal_error"
            assert not isinstance(await b.writer.apply(REQUEST), Refusal)
            await beat(b)
            before = b.store.attempts
            await pass_s(60)
            assert b.store.attempts - before == 1, "nor does it spin where nobody asks for anything"
            monkeypatch.undo()
            await beat(b)
            await pass_s(5)
            assert (await stored(b)).agents.seen == worldly(b)

    run(main)


@pytest.mark.parametrize("silent", [True, False])
def test_many_due_at_once_come_in_slices_and_others_in_between(tmp_path: pathlib.Path, *, silent: bool) -> None:
    """They time out, or were heard of since and are only looked at, which not even a commit slows down."""

    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 4 * SLICE)
            await pass_s(100)
            for number in range(0 if silent else 4 * SLICE):
                await beat(b, number)
            await pass_s(5)
            b.shell.entries.clear()
            attempts = b.store.attempts
            done_when_answered: list[int] = []
            real = b.shell.committed

            def committed(entries: Sequence[Entry], lines: Sequence[Line], before: World, after: World) -> None:
                real(entries, lines, before, after)
                if len(b.shell.entries) == len(entries):  # the first slice
                    b.writer.submit([Change(REQUEST)], lambda _: done_when_answered.append(len(handled(b))))

            b.shell.committed = committed  # type: ignore[method-assign]
            await pass_s(60)
            assert len(handled(b)) == 4 * SLICE
            assert done_when_answered == [2 * SLICE], "it went with the next one"
            assert statuses(b.writer.world) == {Status.OFFLINE if silent else Status.IDLE: 4 * SLICE}
            assert b.store.attempts - attempts == (4 if silent else 1), "what was only looked at is not stored"
            assert (await stored(b)).agents.by_id == b.writer.world.agents.by_id

    run(main)


def handled(b: Bench) -> list[str]:
    """Name the agents that were due and had their turn."""
    records = [entry.record for entry in b.shell.entries]
    gone = [record.agent_id for record in records if isinstance(record, agent_records.AgentOffline)]
    looks = [record.agent_ids for record in records if isinstance(record, agent_records.PresenceLooked)]
    return [*gone, *(agent_id for agent_ids in looks for agent_id in agent_ids)]


def test_what_may_be_deferred_is_in_no_ledger() -> None:
    kinds = {kind: made for kind, made in KINDS.items() if made.deferred}
    assert set(kinds) == {"agent_seen", "presence_looked", "slots_told"}
    assert not any(made.ledgered for made in kinds.values())
