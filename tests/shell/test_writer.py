"""The writer in virtual time: group commit, durable before visible, deadlines without polling, a disk that fails."""

from __future__ import annotations

import pathlib
from dataclasses import replace

import anyio
import pytest
from structlog.testing import capture_logs

from shell.bench_writer import Bench, bench
from shell.virtual_time import jumps, pass_s, run
from torpord.core import effects as fx
from torpord.core.draft import Decision, Refusal
from torpord.core.events import ClientTrigger, ConnectionClosed, Event, HoldRequested, HookProblem, Leaving
from torpord.core.lifecycle import State, Trigger
from torpord.core.moment import Now
from torpord.core.policy import Policy
from torpord.core.records import HookFailed
from torpord.core.world import World
from torpord.store.store import StoreError
from torpord.writer import MOST_CHANGES_A_TURN, UNAVAILABLE, Change
from torpord.writer import turn as module

REQUEST = ClientTrigger({"source": "client"}, Trigger.REQUEST_ARRIVED)
SLEEP = ClientTrigger({"source": "client"}, Trigger.FORCE_SLEEP)


def keyed(key: str, event: ClientTrigger = REQUEST) -> Change:
    return Change(event, key, f'["event",{{"event":"{event.trigger}"}}]')


async def stored_count(b: Bench) -> int:
    return (await b.disk.run(b.store.load)).activity.event_seq


def test_all_that_arrives_during_a_commit_shares_the_next_one(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.disk.gate = anyio.Event()
            first = b.writer.submit([Change(REQUEST)])
            await anyio.wait_all_tasks_blocked()
            others = [b.writer.submit([Change(REQUEST)]) for _ in range(50)]
            before = len(b.store.commits)
            b.disk.gate.set()
            for ticket in [first, *others]:
                await ticket.done.wait()
            assert len(b.store.commits) - before == 2
            assert b.writer.world.activity.event_seq == 51
            assert await stored_count(b) == 51

    run(main)


def test_nothing_is_told_before_it_is_durable(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.shell.told.clear()
            b.disk.gate = anyio.Event()
            ticket = b.writer.submit([Change(SLEEP)])
            await anyio.wait_all_tasks_blocked()
            assert not ticket.done.is_set()
            assert b.shell.told == []
            assert b.writer.world.lifecycle.state is State.WAKE
            b.disk.gate.set()
            await ticket.done.wait()
            assert b.writer.world.lifecycle.state is State.SLEEP
            await anyio.wait_all_tasks_blocked()
            assert b.shell.told[:2] == ["committed", "performed"]

    run(main)


def test_a_flood_is_cut_into_turns(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            floods = [b.writer.submit([Change(REQUEST)] * 1000) for _ in range(20)]
            for ticket in floods:
                await ticket.done.wait()
            sizes = [batch.after.activity.event_seq - batch.before.activity.event_seq for batch in b.store.commits]
            assert sum(sizes) == 20_000
            assert max(sizes) <= MOST_CHANGES_A_TURN + 1000

    run(main)


def test_the_life_passes_by_deadlines_alone_and_nothing_wakes_up_between_them(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            begun = jumps()
            await pass_s(40 * 60)
            # DROWSY, SLEEP with its cycle and HIBERNATION follow at once: three waits, one of them this test's own.
            assert jumps() - begun == 3
            assert b.shell.states() == [(State.DROWSY, 300), (State.SLEEP, 1800), (State.HIBERNATION, 1800)]
            assert fx.GoDown("hibernate") in b.shell.effects

    run(main)


def test_an_overrun_deadline_moves_one_state_at_a_time(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.disk.gate = anyio.Event()  # the store hangs for a day, in the middle of a commit
            ticket = b.writer.submit([Change(REQUEST)])
            await pass_s(86_400)
            b.disk.gate.set()
            await ticket.done.wait()
            await pass_s(1)
            assert [state for state, _ in b.shell.states()] == [State.DROWSY, State.SLEEP, State.HIBERNATION]

    run(main)


def test_a_request_goes_before_a_deadline_that_is_due_as_well(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            await pass_s(299.5)
            b.disk.gate = anyio.Event()
            held = b.writer.submit([Change(REQUEST)])
            await pass_s(10)
            late = b.writer.submit([Change(REQUEST)])
            b.disk.gate.set()
            await held.done.wait()
            await late.done.wait()
            assert b.shell.states() == []

    run(main)


def test_a_key_is_answered_as_the_first_time_also_within_one_batch(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            ticket = b.writer.submit([keyed("a"), keyed("a"), keyed("b"), keyed("a", SLEEP)])
            await ticket.done.wait()
            first, again, other, wrong = ticket.outcomes
            assert not isinstance(first, Refusal)
            assert again == {**first, "replayed": True}
            assert not isinstance(other, Refusal)
            assert other["wrapper_event_seq"] == first["wrapper_event_seq"] + 1
            assert isinstance(wrong, Refusal)
            assert wrong.name == "conflict"
            later = b.writer.submit([keyed("a")])
            await later.done.wait()
            assert later.outcomes == [{**first, "replayed": True}]
            assert await stored_count(b) == 2

    run(main)


def test_a_full_disk_refuses_changes_and_nothing_else_and_is_tried_again_without_a_storm(
    tmp_path: pathlib.Path,
) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.store.refuse = True
            world = b.writer.world
            ticket = b.writer.submit([keyed("a"), Change(SLEEP)])
            await ticket.done.wait()
            assert ticket.outcomes == [UNAVAILABLE, UNAVAILABLE]
            assert b.writer.world is world
            before = b.store.attempts
            await pass_s(3600)
            # 1, 2, 4 … 60 seconds apart once DROWSY is due: about one a minute, not one a turn of the loop.
            assert 0 < b.store.attempts - before < 70
            b.store.refuse = False
            again = b.writer.submit([keyed("a")])
            await again.done.wait()
            assert "replayed" not in again.outcomes[0]  # type: ignore[operator]
            assert await stored_count(b) == 1

    run(main)


def test_who_asks_and_asks_a_full_disk_has_the_log_say_so_once_a_try(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.store.refuse = True
            with capture_logs() as told:
                for number in range(100):
                    await b.writer.submit([keyed(f"{number}")]).done.wait()
                await pass_s(2)
                await b.writer.submit([keyed("later")]).done.wait()
                b.store.refuse = False
                await b.writer.submit([keyed("at last")]).done.wait()
            assert [(line["event"], line["refused"]) for line in told] == [
                ("commit_failed", 1),
                ("commit_failed", 100),
                ("stored_again", 0),
            ]

    run(main)


def test_what_has_happened_anyway_is_stored_when_the_disk_takes_it_again(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            hold = HoldRequested({"source": "client"}, hold_id="h", who="x", why="y", connection=7)
            await b.writer.apply(hold)
            b.store.refuse = True
            b.writer.owe(ConnectionClosed({"source": "client"}, 7))
            await pass_s(30)
            assert b.writer.world.busy
            b.store.refuse = False
            await pass_s(61)
            assert not b.writer.world.busy

    run(main)


@pytest.mark.parametrize("blind", [False, True])
def test_an_error_of_a_commit_that_is_durable_is_success_or_is_found_out(
    tmp_path: pathlib.Path, *, blind: bool
) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.store.fail_after_commit = 1
            b.store.blind = blind
            ticket = b.writer.submit([keyed("a")])
            await ticket.done.wait()
            if not blind:
                assert not isinstance(ticket.outcomes[0], Refusal)
            else:
                assert ticket.outcomes == [UNAVAILABLE]
                refused = b.writer.submit([keyed("b")])
                await refused.done.wait()
                assert refused.outcomes == [UNAVAILABLE]
                b.store.blind = False
            again = b.writer.submit([keyed("a")])
            await again.done.wait()
            assert again.outcomes[0]["replayed"] is True  # type: ignore[call-overload,index]
            assert b.writer.world.activity.event_seq == 1
            assert await stored_count(b) == 1

    run(main)


def _hooks(b: Bench) -> list[str]:
    return [effect.hook for effect in b.shell.effects if isinstance(effect, fx.RunHook)]


@pytest.mark.parametrize("fails", ["", "search", "commit"])
def test_effects_of_a_batch_that_proved_durable_later_are_carried_out(tmp_path: pathlib.Path, fails: str) -> None:
    """Also where the disk fails once more just behind the look that proved it."""

    async def main() -> None:
        async with bench(tmp_path, Policy(min_up_s=0)) as b:
            b.shell.writer = None  # the cycle is not worked on
            b.store.fail_after_commit, b.store.blind = 1, True
            ticket = b.writer.submit([Change(SLEEP)])
            await ticket.done.wait()
            assert ticket.outcomes == [UNAVAILABLE]
            assert b.shell.effects == []
            b.store.blind, b.store.fail_searches, b.store.refuse = False, int(fails == "search"), fails == "commit"
            behind = b.writer.submit([keyed("a")])
            await behind.done.wait()
            assert (behind.outcomes[0] is UNAVAILABLE) == bool(fails)
            b.store.refuse = False
            await pass_s(61)
            run_id = b.writer.world.cycle.run_id
            assert fx.StartWorker(run_id, 1) in b.shell.effects
            followed = [hook for hook in _hooks(b) if hook != "on_wake"]  # of the request behind it
            assert followed == ["on_drowsy", "on_sleep"], "which no world asks for: once"

    run(main)


def test_nothing_follows_from_a_batch_that_proved_not_to_be_durable(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.store.refuse = b.store.blind = True
            ticket = b.writer.submit([Change(SLEEP)])
            await ticket.done.wait()
            assert ticket.outcomes == [UNAVAILABLE]
            b.store.refuse = b.store.blind = False
            await b.writer.apply(REQUEST)
            assert "reread" in b.shell.told
            assert b.writer.world.lifecycle.state is State.WAKE
            assert b.shell.effects == []

    run(main)


def test_a_suspend_is_recorded_and_does_not_count_as_idle_time(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            await pass_s(100)
            b.clock.suspended_s = 8 * 3600.0
            await pass_s(199)
            assert b.shell.states() == []
            await pass_s(2)
            assert b.shell.states() == [(State.DROWSY, 300)]
            (record,) = [e.record for e in b.shell.entries if e.record.kind == "resumed_from_suspend"]
            assert record.data()["asleep_s"] == 8 * 3600

    run(main)


@pytest.mark.parametrize("step_s", [-8 * 3600.0, 8 * 3600.0])
def test_a_step_of_the_wall_clock_changes_no_idle_time(tmp_path: pathlib.Path, step_s: float) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            await pass_s(100)
            b.clock.step_s = step_s
            await pass_s(2000)
            assert b.shell.states()[:2] == [(State.DROWSY, 300), (State.SLEEP, 1800)]

    run(main)


def test_a_closed_writer_takes_its_last_event_and_no_other(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.writer.close()
            late = b.writer.submit([Change(REQUEST)])
            assert late.done.is_set()
            assert isinstance(late.outcomes[0], Refusal)
            assert late.outcomes[0].name == "draining"
            assert await b.writer.finish(Leaving({"source": "stop"}, "stop"))
            assert b.writer.world.process.ended

    run(main)


def test_a_mistake_in_a_decision_costs_one_request(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.decide

    def broken(world: World, event: Event, now: Now) -> Decision:
        if event.cause.get("source") == "poison":
            raise KeyError("a mistake")
        return real(world, event, now)

    async def main() -> None:
        async with bench(tmp_path) as b:
            monkeypatch.setattr(module, "decide", broken)
            poison = ClientTrigger({"source": "poison"}, Trigger.REQUEST_ARRIVED)
            ticket = b.writer.submit([Change(REQUEST), Change(poison), Change(REQUEST)])
            await ticket.done.wait()
            names = [o.name if isinstance(o, Refusal) else "ok" for o in ticket.outcomes]
            assert names == ["ok", "internal_error", "ok"]
            assert await stored_count(b) == 2

    run(main)


@pytest.mark.parametrize("at", ["search", "commit"])
def test_a_mistake_beside_the_decisions_costs_one_batch(tmp_path: pathlib.Path, at: str) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.store.mistake_at = at
            ticket = b.writer.submit([keyed("a"), Change(REQUEST)])
            await ticket.done.wait()
            names = [o.name for o in ticket.outcomes if isinstance(o, Refusal)]
            assert names == ["internal_error"] * 2
            b.store.mistake_at = ""
            ticket = b.writer.submit([keyed("a")])
            await ticket.done.wait()
            assert not isinstance(ticket.outcomes[0], Refusal)
            assert await stored_count(b) == 1

    run(main)


def ended(number: int) -> HookProblem:
    return HookProblem({"source": "hook"}, "on_wake", str(number), "exit status 1")


def commands(b: Bench) -> list[str]:
    return [entry.record.command for entry in b.shell.entries if isinstance(entry.record, HookFailed)]


@pytest.mark.parametrize("at", ["search", "commit"])
def test_a_mistake_costs_nothing_that_has_happened_beside_it(tmp_path: pathlib.Path, at: str) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.store.mistake_at, b.store.mistake_with = at, "poison"
            happened = [Change(REQUEST, owed=True), Change(SLEEP, owed=True)]
            ticket = b.writer.submit([happened[0], keyed("poison"), keyed("a"), happened[1]])
            await ticket.done.wait()
            names = [o.name if isinstance(o, Refusal) else "ok" for o in ticket.outcomes]
            assert names == ["ok", "internal_error", "internal_error", "ok"]
            assert await stored_count(b) == 1
            assert b.writer.world.lifecycle.state is State.SLEEP
            await anyio.wait_all_tasks_blocked()
            assert any(isinstance(effect, fx.RunHook) for effect in b.shell.effects), "what follows from it is done"

    run(main)


@pytest.mark.parametrize("at", ["search", "commit"])
def test_what_is_itself_the_mistake_is_let_go(tmp_path: pathlib.Path, at: str) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.store.mistake_at, b.store.mistake_with = at, "poison"
            poison = replace(keyed("poison"), owed=True)
            ticket = b.writer.submit([Change(REQUEST, owed=True), poison, Change(REQUEST, owed=True)])
            await ticket.done.wait()
            names = [o.name if isinstance(o, Refusal) else "ok" for o in ticket.outcomes]
            assert names == ["ok", "internal_error", "ok"]
            attempts = b.store.attempts
            await pass_s(60)
            assert b.store.attempts == attempts, "nothing is tried for ever"
            assert await stored_count(b) == 2

    run(main)


@pytest.mark.parametrize("count", [1, 2])
def test_a_mistake_in_what_is_due_costs_nothing_that_has_happened(tmp_path: pathlib.Path, count: int) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            await pass_s(b.shell.policy.drowsy_after_s - 1)
            b.disk.gate = anyio.Event()
            b.writer.owe(ended(0))
            await pass_s(2)  # held in a commit over the deadline
            ticket = b.writer.submit([Change(ended(number), owed=True) for number in range(1, 1 + count)])
            b.store.mistake_to = State.DROWSY
            b.disk.gate.set()
            await ticket.done.wait()
            assert not [outcome for outcome in ticket.outcomes if isinstance(outcome, Refusal)]
            assert commands(b) == [str(number) for number in range(1 + count)]

    run(main)


def test_behind_a_mistake_what_has_happened_keeps_its_order_and_is_tried_again(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.store.fails = [TypeError("a mistake"), StoreError("disk I/O error")]
            b.writer.owe(ended(0))
            b.writer.owe(ended(1))
            await pass_s(61)
            assert commands(b) == ["0", "1"]

    run(main)


def test_a_mistake_in_what_is_due_is_made_again_with_pauses(tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        async with bench(tmp_path) as b:
            b.store.mistake_at = "commit"
            before = b.store.attempts
            await pass_s(b.shell.policy.drowsy_after_s + 60)
            assert 1 <= b.store.attempts - before <= 7  # 1, 2, 4 ... s
            b.store.mistake_at = ""
            await pass_s(61)
            assert b.writer.world.lifecycle.state is State.DROWSY

    run(main)
