"""Runs and sleep: who works keeps the daemon awake, who only waits does not, and whose time is near is waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.life import CLIENT, POLICY, SHELL, Life, at, effects, kinds, moves, record, started
from core.test_run_orders import in_branches, in_line
from core.test_runs import loaded
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core import report
from torpord.core.deadlines import deadlines
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State, Trigger


def names(life: Life) -> list[str]:
    return [deadline.name for deadline in deadlines(life.world)]


def waits(after_s: float, policy_run: str = "r1") -> Life:
    life = started()
    life.run("chain", policy_run)
    life.load(policy_run)
    life.ends(policy_run, outcome={"retry_after_s": after_s})
    return life


def asleep(life: Life) -> Life:
    """Let idle time pass until SLEEP, and its cycle be done."""
    life.pass_("drowsy_due")
    life.pass_("sleep_due")
    life.finishes(life.world.cycle.run_id)
    assert life.state is State.SLEEP
    return life


@pytest.mark.parametrize("make", [loaded, in_line, in_branches])
def test_a_run_that_works_or_waits_for_its_turn_is_busy(make: object) -> None:
    life: Life = make()  # type: ignore[operator]
    assert life.world.busy
    assert names(life) == [], "nothing of idle time is due"
    reply = life.trigger(Trigger.FORCE_SLEEP).reply
    assert isinstance(reply, Refusal)
    assert reply.name == "conflict"


def test_a_run_is_named_where_it_keeps_awake() -> None:
    life = loaded()
    life.ends()
    reply = life.trigger(Trigger.FORCE_SLEEP).reply
    assert isinstance(reply, Refusal)
    assert reply.data["busy"] == [{"kind": "run", "run_id": "r1", "who": "chain", "why": "run r1 is at b"}]
    (reason,) = report.why(life.world, life.now)["awake_because"]
    assert (reason["kind"], reason["who"], reason["why"]) == ("run", "chain (r1)", "it is at b")
    assert report.next_state(life.world, life.now)["blocked_by"] == ["chain: it is at b"]


def test_the_idle_time_starts_from_zero_when_the_last_busy_thing_ends() -> None:
    life = loaded("one")
    life.run("one", "r2")
    life.load("r2")
    life.hold("h")
    life.advance(1_000.0)
    life.ends()
    life.release("h")
    life.advance(500.0)
    life.ends("r2")
    ended = life.now.awake_s
    assert life.reach("drowsy_due").at_s == ended + 300.0


@pytest.mark.parametrize("order", ["pause", "cancel"])
def test_also_where_a_client_ends_it(order: str) -> None:
    life = in_line()
    for number in range(4):
        life.order("cancel", f"before-{number}")
    life.advance(1_000.0)
    life.order(order)
    assert life.reach("drowsy_due").at_s == life.now.awake_s


def test_one_that_only_waits_is_not_busy_and_its_wait_is_idle_time() -> None:
    life = waits(500.0)
    began = life.now.awake_s
    assert not life.world.busy
    assert life.reach("drowsy_due").at_s == began + 300.0
    life.pass_("drowsy_due")
    life.pass_("retry_due")
    assert life.state is State.DROWSY, "an attempt of its own wakes nobody"
    assert life.world.busy
    assert names(life) == []
    life.finishes()
    assert life.reach("sleep_due").at_s == began + 500.0 + 1_800.0, "counted from its end"


def test_one_branch_that_works_is_enough() -> None:
    life = in_branches()
    life.ends(branch="split:1/left", outcome={"retry_after_s": 5.0})
    assert life.world.busy
    life.ends(branch="split:1/right", outcome={"retry_after_s": 5.0})
    assert not life.world.busy


def test_a_near_attempt_keeps_the_process_in_sleep() -> None:
    life = asleep(waits(3_000.0))
    assert life.left_s(life.next_deadline()) == 3_000.0 - 1_800.0
    assert names(life) == ["retry_due", "cycle_due"]
    assert report.why(life.world, life.now)["not_yet_because"][0]["why"] == "it waits for its next attempt at a"
    assert report.next_state(life.world, life.now)["blocked_by"] == ["chain: it waits for its next attempt at a"]
    life.pass_("retry_due")
    assert life.state is State.SLEEP
    assert names(life) == [], "not even the next cycle disturbs it"
    life.finishes()
    assert life.reach("hibernate_due").at_s == life.now.awake_s
    assert life.now.awake_s == life.world.activity.idle_since_awake_s + 300.0


def test_a_far_attempt_does_not() -> None:
    far = asleep(waits(1_800.0 + 3_601.0))
    assert moves(far.pass_("hibernate_due")) == ["SLEEP>HIBERNATION by sleep_cycle_done"]


def test_planned_reach_counts_from_when_it_goes() -> None:
    """However long ago it might have gone: a world alone does not know how late it is."""
    life = asleep(waits(1_800.0 + 3_600.0))
    assert [deadline.name for deadline in life.due()] == ["hibernate_due"]
    assert moves(life.pass_("hibernate_due")) == []
    assert names(life) == ["retry_due", "cycle_due"]
    assert kinds(life.pass_("retry_due")) == ["run_started"]


def test_a_hibernation_that_was_given_up_for_an_attempt_is_made_up_for() -> None:
    life = asleep(waits(5_400.0))
    life.pass_("hibernate_due")
    life.pass_("retry_due")
    life.finishes()
    life.pass_("hibernate_due")
    assert life.state is State.HIBERNATION


@pytest.mark.parametrize("shadow", [False, True])
def test_on_the_way_out_no_attempt_is_begun_any_more(*, shadow: bool) -> None:
    life = asleep(waits(6_000.0))
    life.world = replace(life.world, policy=replace(life.world.policy, shadow_run=shadow))
    life.pass_("hibernate_due")
    assert life.state is State.HIBERNATION
    assert [deadline.name for deadline in deadlines(life.world)] == (["retry_due"] if shadow else [])


def test_after_hibernation_a_start_goes_on_with_what_waited() -> None:
    life = asleep(waits(6_000.0))
    life.pass_("hibernate_due")
    life.do(ev.Leaving(SHELL, "hibernate"))
    life.advance(10_000.0)
    decision = life.start(cause="connect")
    assert effects(decision, fx.StartWorker) == [fx.StartWorker("r1", 2)]


def test_a_reboot_moves_an_attempt_with_the_awake_clock() -> None:
    life = waits(6_000.0)
    life.now = replace(life.now, awake_s=12.0, wall_s=life.now.wall_s + 100.0)
    life.start(cause="crash", boot_id="boot-2")
    assert life.left_s(life.reach("retry_due")) == 0.0
    assert life.now.awake_s == 6_012.0


def test_a_wish_waits_for_runs_and_is_carried_out_when_the_last_ends() -> None:
    life = loaded("one")
    decision = life.do(ev.HibernateWanted(CLIENT, now=True))
    assert decision.reply == {
        "state": "WAKE",
        "waiting_for": [{"kind": "run", "run_id": "r1", "who": "one", "why": "run r1 is at only"}],
    }
    assert moves(life.ends()) == ["WAKE>DROWSY by force_sleep", "DROWSY>SLEEP by force_sleep"]


def test_a_wish_is_carried_out_while_the_last_only_waits() -> None:
    life = loaded()
    life.do(ev.HibernateWanted(CLIENT, now=False))
    decision = life.ends(outcome={"retry_after_s": 100.0})
    assert moves(decision) == ["WAKE>DROWSY by force_sleep", "DROWSY>SLEEP by force_sleep"]
    life.finishes(life.world.cycle.run_id)
    assert "hibernate_due" not in names(life), "it is near"


def test_the_cycle_keeps_nobody_awake() -> None:
    life = at(State.SLEEP)
    assert not life.world.busy
    life.trigger(Trigger.REQUEST_ARRIVED)
    assert not life.world.busy
    assert "drowsy_due" in names(life)


def test_a_worker_that_still_ends_its_step_is_waited_for_in_sleep() -> None:
    life = at(State.SLEEP)
    life.step_ends()
    life.do(ev.HibernateWanted(CLIENT, now=True))
    assert names(life) == []
    life.dies(life.world.cycle.run_id)
    assert names(life) == ["hibernate_due"]


def test_a_start_of_a_run_in_sleep_lets_the_request_go_first() -> None:
    life = at(State.SLEEP)
    cycle = life.world.cycle.run_id
    decision = life.run("one")
    assert moves(decision) == ["SLEEP>WAKE by request_arrived"]
    assert effects(decision, fx.YieldWorker) == [fx.YieldWorker(cycle, 1, 2.0)]
    assert effects(decision, fx.StartWorker) == [fx.StartWorker("r1", 1)]


def test_yield_within_is_the_settings() -> None:
    life = at(State.SLEEP, replace(POLICY, yield_within_s=7.0))
    (told,) = effects(life.trigger(Trigger.REQUEST_ARRIVED), fx.YieldWorker)
    assert told.within_s == 7.0


def test_sleep_begins_with_the_cycle_while_a_near_attempt_is_waited_for() -> None:
    life = waits(4_000.0)
    life.pass_("drowsy_due")
    assert record(life.pass_("sleep_due"), "sleep_cycle_started")["resumed"] is False


def test_a_run_that_is_paused_has_no_time_and_keeps_nobody_up() -> None:
    life = waits(2_000.0)
    life.order("pause")
    assert "retry_due" not in names(life)
    asleep(life)
    assert "hibernate_due" in names(life)


def test_an_attempt_whose_time_comes_while_the_run_is_to_pause_waits_for_the_resume() -> None:
    life = in_branches()
    life.ends(branch="split:1/right", outcome={"retry_after_s": 5.0})
    life.order("pause")
    life.advance(100.0)
    assert life.due() == [], "nothing would come of it"
    (begin,) = effects(life.order("resume"), fx.BeginSteps)
    assert [step["branch"] for step in begin.steps] == ["split:1/right"]
