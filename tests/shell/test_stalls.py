"""A process that stood still, in virtual time: nobody is timed out for a time in which nobody could be heard."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from shell.bench_writer import Bench, bench
from shell.test_deferred import AWAKE, CLIENT, REQUEST, beat, name, registered, statuses, stored
from shell.virtual_time import VirtualLoop, jumps, pass_s, run
from torpord.core.agent_events import AgentRegisterWanted
from torpord.core.agents import MOST_EXACT, Doing, Status
from torpord.core.policy import Policy
from torpord.store.store import Batch
from torpord.writer import UNAVAILABLE, Change
from torpord.writer.hearing import halfway, slack_s

TIMEOUT_S = AWAKE.heartbeat_timeout_s


def stand_still(seconds: float) -> None:
    """Let time pass in which nothing runs: what was to happen meanwhile happens late."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.jump.jumped_s += seconds


def stalls(b: Bench) -> list[float]:
    records = [entry.record for entry in b.shell.entries if entry.record.kind == "resumed_from_stall"]
    return [record.data()["stalled_s"] for record in records]


async def heard_until(b: Bench, *, count: int, stopped_at_s: float, stop_s: float) -> None:
    """Let some be heard, and the process stop: `stopped_at_s` after that, for `stop_s`."""
    await registered(b, count, doing=Doing.BUSY)
    await pass_s(100)
    for number in range(count):
        await beat(b, number)
    await pass_s(stopped_at_s)
    stand_still(stop_s)


@pytest.mark.parametrize("count", [1, MOST_EXACT + 1])
@pytest.mark.parametrize(
    ("stopped_at_s", "stop_s"),
    [
        (10.0, 3_600.0),  # far longer than the time-out
        (10.0, 112.0),  # over the end of it by less than a busy machine may be late
        (70.0, 70.0),  # after the middle
        (59.0, 60.9),  # over the middle, and to just before the end
    ],
)
def test_after_a_stop_everyone_has_their_time_anew(
    tmp_path: pathlib.Path, count: int, stopped_at_s: float, stop_s: float
) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await heard_until(b, count=count, stopped_at_s=stopped_at_s, stop_s=stop_s)
            await pass_s(0.001)
            assert len(stalls(b)) == 1
            assert 0 < stalls(b)[0] <= stop_s
            assert (await stored(b)).process.presence_from_awake_s == pytest.approx(b.clock.now().awake_s, abs=0.1)
            await pass_s(TIMEOUT_S - 1)
            assert statuses(b.writer.world) == {Status.BUSY: count}
            await pass_s(2)
            assert statuses(b.writer.world) == {Status.OFFLINE: count}
            assert len(stalls(b)) == 1

    run(main)


@pytest.mark.parametrize("every_s", [TIMEOUT_S / 3, TIMEOUT_S / 4])
@pytest.mark.parametrize("begun_s", [k * 7.0 for k in range(18)])
def test_who_says_something_each_third_outlives_any_one_stop(
    tmp_path: pathlib.Path, every_s: float, begun_s: float
) -> None:
    """Also where what was said meanwhile is lost. Stops are of all lengths, and begin at any time."""

    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            for stop_s in (k * 9.7 for k in range(1, 20)):
                await registered(b, 1)
                heard_s, begins_s = b.clock.now().awake_s, b.clock.now().awake_s + begun_s
                beats = [heard_s + k * every_s for k in range(1, 5)]
                await beat(b)
                for at_s in [at_s for at_s in beats if at_s <= begins_s]:
                    await pass_s(at_s - b.clock.now().awake_s)
                    await beat(b)
                await pass_s(begins_s - b.clock.now().awake_s)
                stand_still(stop_s)
                rest = [at_s for at_s in (heard_s + k * every_s for k in range(1, 30)) if at_s > begins_s + stop_s]
                await pass_s(rest[0] - b.clock.now().awake_s)
                assert b.writer.world.agents.by_id[name(0)].online, f"a stop of {stop_s} s"
                await beat(b)

    run(main)


def ring_by_a_word(b: Bench) -> None:
    b.writer.submit([Change(REQUEST)])


def ring_by_the_wall_alarm(b: Bench) -> None:
    b.writer.look_again()


@pytest.mark.parametrize("ring", [ring_by_a_word, ring_by_the_wall_alarm])
def test_it_is_seen_whatever_wakes_the_writer_first(tmp_path: pathlib.Path, ring: Callable[[Bench], None]) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await heard_until(b, count=2, stopped_at_s=10.0, stop_s=500.0)
            ring(b)
            await pass_s(0.001)
            assert stalls(b) == [pytest.approx(450.0, abs=0.1)], "it meant to look halfway"
            assert statuses(b.writer.world) == {Status.BUSY: 2}

    run(main)


@pytest.mark.parametrize("on_the_loop", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_a_commit_of_minutes_is_no_silence(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, *, on_the_loop: bool, fails: bool
) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 3, doing=Doing.BUSY)
            await pass_s(50)
            b.store.refuse = fails
            if on_the_loop:
                real = b.store.commit

                def slow(batch: Batch) -> None:
                    monkeypatch.undo()
                    stand_still(500.0)
                    real(batch)

                monkeypatch.setattr(b.store, "commit", slow)
                outcome = await b.writer.apply(REQUEST)
            else:
                b.disk.gate = anyio.Event()
                ticket = b.writer.submit([Change(REQUEST)])
                await pass_s(500)
                b.disk.gate.set()
                await ticket.done.wait()
                outcome = ticket.outcomes[0]
            assert (outcome is UNAVAILABLE) is fails
            b.store.refuse = False
            await pass_s(2)
            assert statuses(b.writer.world) == {Status.BUSY: 3}
            assert stalls(b) == [pytest.approx(500.0, abs=1.1)]
            await pass_s(TIMEOUT_S + 1)
            assert statuses(b.writer.world) == {Status.OFFLINE: 3}

    run(main)


def test_a_stop_while_nothing_can_be_stored_is_told_when_it_can(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 3, doing=Doing.BUSY)
            b.store.refuse = True
            assert await b.writer.apply(REQUEST) is UNAVAILABLE
            await pass_s(0.1)
            stand_still(500.0)
            await pass_s(100)
            assert stalls(b) == []
            b.store.refuse = False
            await pass_s(61)
            assert len(stalls(b)) == 1
            assert statuses(b.writer.world) == {Status.BUSY: 3}

    run(main)


@pytest.mark.parametrize("who", ["nobody", "gone"])
def test_where_nobodys_word_is_waited_for_nothing_is_recorded(tmp_path: pathlib.Path, who: str) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            if who == "gone":
                await registered(b, 1)
            await pass_s(1_000)
            stand_still(5_000.0)
            await b.writer.apply(REQUEST)
            await b.writer.apply(AgentRegisterWanted(CLIENT, name(7)))
            await pass_s(10)
            assert stalls(b) == []

    run(main)


def test_a_busy_machine_and_a_suspend_are_no_stop(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, AWAKE) as b:
            await registered(b, 1)
            await beat(b)
            await pass_s(TIMEOUT_S - 1)
            stand_still(slack_s(TIMEOUT_S))
            await pass_s(0.001)
            assert statuses(b.writer.world) == {Status.OFFLINE: 1}
            await beat(b)
            b.clock.suspended_s += 5_000.0
            await pass_s(TIMEOUT_S + 1)
            assert stalls(b) == []

    run(main)


def test_a_silence_costs_one_look_more_and_who_is_heard_none(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path, Policy(drowsy_after_s=1e9)) as b:
            await registered(b, 1)
            begun = jumps()
            for _ in range(50):
                await pass_s(TIMEOUT_S / 3)
                await beat(b)
            # Each round: this test's own, and the beat's commit.
            assert jumps() - begun == 2 * 50 - 1
            await pass_s(4)
            begun = jumps()
            await pass_s(TIMEOUT_S - 5)
            assert jumps() - begun == 2
            assert statuses(b.writer.world) == {Status.IDLE: 1}
            await pass_s(2)
            assert statuses(b.writer.world) == {Status.OFFLINE: 1}
            begun = jumps()
            await pass_s(86_400)
            assert jumps() - begun == 1

    run(main)


@pytest.mark.parametrize("timeout_s", [0.1, 1.0, 3.0, 12.0, 20.0, 120.0, 86_400.0])
def test_halfway_is_looked_at_once(timeout_s: float) -> None:
    half_s: Any = halfway(timeout_s, timeout_s)
    if half_s is not None:
        assert half_s == timeout_s / 2
        assert halfway(timeout_s - half_s, timeout_s) is None
    else:
        assert timeout_s < 0.5
    assert slack_s(timeout_s) <= timeout_s / 6 or timeout_s < 1.5
