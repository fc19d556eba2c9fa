"""The way down: by idle time, one state at a time; by force; by a wish; and what stands in its way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.life import CLIENT, SHELL, at, effects, kinds, moves, record, started
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.deadlines import deadlines
from torpord.core.draft import Refusal
from torpord.core.lifecycle import State, Trigger
from torpord.core.policy import Policy

FORCED = ["WAKE>DROWSY by force_sleep", "DROWSY>SLEEP by force_sleep"]


def test_each_deadline_counts_from_the_last_activity() -> None:
    life = started()
    life.advance(100.0)
    life.trigger(Trigger.REQUEST_ARRIVED)
    used = life.now.awake_s
    assert life.reach("drowsy_due").at_s == used + 300.0
    life.pass_("drowsy_due")
    assert life.reach("sleep_due").at_s == used + 1800.0


def test_a_step_of_the_wall_clock_moves_no_idle_deadline() -> None:
    life = started()
    life.advance(0.0, 10 * 86_400.0)
    assert life.due() == []
    life.advance(299.0, -20 * 86_400.0)
    assert life.due() == []
    life.advance(1.0, 0.0)
    assert [deadline.name for deadline in life.due()] == ["drowsy_due"]


def test_deadlines_that_were_overrun_move_one_state_at_a_time() -> None:
    life = started()
    life.advance(30 * 86_400.0)
    assert moves(life.pass_("drowsy_due")) == ["WAKE>DROWSY by drowsy_due"]
    assert moves(life.pass_("sleep_due")) == ["DROWSY>SLEEP by sleep_due"]
    assert life.due() == [], "the cycle is waited for, however late it is"
    life.cycle_completes()
    assert moves(life.pass_("hibernate_due")) == ["SLEEP>HIBERNATION by sleep_cycle_done"]
    assert list(deadlines(life.world)) == []


def test_each_transition_runs_its_hook_with_the_transition() -> None:
    life = started()
    assert effects(life.trigger(Trigger.FORCE_SLEEP), fx.RunHook) == [
        fx.RunHook("on_drowsy", {"from": "WAKE", "to": "DROWSY", "trigger": "force_sleep"}),
        fx.RunHook("on_sleep", {"from": "DROWSY", "to": "SLEEP", "trigger": "force_sleep"}),
    ]
    life.cycle_completes()
    (hook,) = effects(life.pass_("hibernate_due"), fx.RunHook)
    assert hook.hook == "on_hibernate"
    (hook,) = effects(life.trigger(Trigger.REQUEST_ARRIVED), fx.RunHook)
    assert hook.hook == "on_wake"


def test_force_sleep_goes_through_drowsy() -> None:
    life = started()
    decision = life.trigger(Trigger.FORCE_SLEEP)
    assert moves(decision) == FORCED
    assert decision.reply == {"state": "SLEEP", "seq": 6, "changed": True, "wrapper_event_seq": 0, "cycle": None}
    again = life.trigger(Trigger.FORCE_SLEEP)
    assert again.entries == ()
    assert again.reply == {"state": "SLEEP", "seq": 6, "changed": False, "wrapper_event_seq": 0, "cycle": None}


def test_force_sleep_while_held_is_a_conflict_that_names_the_holders() -> None:
    life = started()
    for number in range(25):
        life.hold(f"{number:02}")
    decision = life.trigger(Trigger.FORCE_SLEEP)
    assert decision.entries == ()
    assert isinstance(decision.reply, Refusal)
    assert decision.reply.name == "conflict"
    for named in ("who-00 (why-00)", "who-01 (why-01)", "who-02 (why-02)", "22 more"):
        assert named in decision.reply.message
    assert decision.reply.data["busy"][0] == {"kind": "hold", "hold_id": "00", "who": "who-00", "why": "why-00"}
    assert len(decision.reply.data["busy"]) == 20


def test_a_conflict_counts_every_holder_however_many_it_shows() -> None:
    life = started()
    for number in range(150):
        life.hold(str(number))
    reply = life.trigger(Trigger.FORCE_SLEEP).reply
    assert isinstance(reply, Refusal)
    assert "and 147 more" in reply.message


def test_a_conflict_with_few_holders_speaks_of_no_more() -> None:
    life = started()
    life.hold("a")
    reply = life.trigger(Trigger.FORCE_SLEEP).reply
    assert isinstance(reply, Refusal)
    assert " more" not in reply.message


def test_still_idle_hibernates_as_soon_as_the_cycle_is_done() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    assert moves(life.pass_("hibernate_due")) == ["SLEEP>HIBERNATION by sleep_cycle_done"]
    assert effects(life.turns[-1].decision, fx.GoDown) == [fx.GoDown("hibernate")]


def test_a_heartbeat_in_sleep_puts_hibernation_off_by_the_grace() -> None:
    life = at(State.SLEEP)
    life.advance(1.0)
    life.trigger(Trigger.HEARTBEAT_REFRESH)
    seen = life.now.awake_s
    life.cycle_completes()
    assert life.due() == []
    assert life.reach("hibernate_due").at_s == seen + 300.0
    assert moves(life.pass_("hibernate_due")) == ["SLEEP>HIBERNATION by hibernation_grace_expired"]


def test_it_stays_up_for_min_up_after_a_start() -> None:
    life = started()
    began = life.now.awake_s
    life.do(ev.HibernateWanted(CLIENT, now=True))
    assert life.due() == []
    life.advance(4.0)
    assert life.do(ev.DeadlinePassed(SHELL, "hibernate_due")).entries == (), "four seconds are not five"
    assert life.reach("hibernate_due").at_s == began + 5.0
    life.pass_("hibernate_due")
    assert life.state is State.HIBERNATION


def test_shadow_run_keeps_the_state_and_the_process() -> None:
    life = at(State.SLEEP, Policy(shadow_run=True))
    life.cycle_completes()
    decision = life.pass_("hibernate_due")
    assert kinds(decision) == ["state_transition", "shadow_run_warning"]
    warning = record(decision, "shadow_run_warning")
    assert (warning["would_action"], warning["blocked_by"]) == ("exit", "shadow_run")
    assert warning["note"]
    assert effects(decision, fx.GoDown) == []
    assert [effect.hook for effect in effects(decision, fx.RunHook)] == ["on_hibernate"]
    assert life.trigger(Trigger.REQUEST_ARRIVED).reply["changed"]  # type: ignore[index]


def test_shadow_run_that_is_switched_off_in_hibernation_lets_the_process_go() -> None:
    life = at(State.HIBERNATION, Policy(shadow_run=True))
    still = life.do(ev.SettingsRead(SHELL, replace(life.world.policy, min_up_s=6.0), (), by_request=False))
    assert effects(still, fx.GoDown) == []
    decision = life.do(ev.SettingsRead(SHELL, Policy(), ("lifecycle.shadow_run",), by_request=False))
    assert effects(decision, fx.GoDown) == [fx.GoDown("hibernate")]
    assert life.state is State.HIBERNATION


def test_what_forbids_the_exit_is_named_and_looked_at_again() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    decision = life.pass_("hibernate_due", forbids_exit=("no wake path is known to work",))
    assert kinds(decision) == ["hibernation_blocked", "hibernation_rechecked"]
    assert record(decision, "hibernation_blocked") == {"by": ("no wake path is known to work",)}
    looked = life.now.awake_s
    assert life.reach("hibernate_due").at_s == looked + 300.0
    again = life.pass_("hibernate_due", forbids_exit=("no wake path is known to work",))
    assert kinds(again) == ["hibernation_rechecked"], "the same again is no news"
    free = life.pass_("hibernate_due")
    assert record(free, "hibernation_blocked") == {"by": ()}
    assert life.state is State.HIBERNATION


def test_what_forbids_the_exit_is_looked_at_once_a_minute_at_most() -> None:
    life = at(State.SLEEP, Policy(hibernate_grace_s=1.0))
    life.cycle_completes()
    life.pass_("hibernate_due", forbids_exit=("a file that cannot be removed",))
    looked = life.now.awake_s
    assert life.reach("hibernate_due").at_s == looked + 60.0


def test_a_request_forgets_what_forbade_the_exit() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    life.pass_("hibernate_due", forbids_exit=("something",))
    life.trigger(Trigger.REQUEST_ARRIVED)
    assert life.world.lifecycle.blocked_by == ()
    assert life.world.sleep.blocked_recheck_awake_s is None


def test_hibernate_runs_the_cycle_first() -> None:
    life = started()
    decision = life.do(ev.HibernateWanted(CLIENT, now=False))
    assert decision.reply == {"state": "SLEEP", "waiting_for": []}
    assert moves(decision) == FORCED
    assert effects(decision, fx.StartWorker)
    life.cycle_completes()
    life.pass_("hibernate_due")
    assert life.state is State.HIBERNATION
    assert life.world.lifecycle.wish == ""


def test_hibernate_now_gives_the_cycle_no_time_and_loses_no_step() -> None:
    life = at(State.SLEEP)
    life.step_ends()
    decision = life.do(ev.HibernateWanted(CLIENT, now=True))
    run_id = life.world.cycle.run_id
    assert record(decision, "sleep_cycle_interrupted") == {"run_id": run_id, "step": "checkpoint"}
    assert effects(decision, fx.YieldWorker) == [fx.YieldWorker(run_id, 1, 2.0)]
    life.advance(100.0)
    assert life.due() == [], "the step that was told to end is waited for"
    life.ends(run_id)
    life.pass_("hibernate_due")
    assert life.state is State.HIBERNATION
    life.trigger(Trigger.REQUEST_ARRIVED)
    again = record(life.trigger(Trigger.FORCE_SLEEP), "sleep_cycle_started")
    assert (again["step"], again["resumed"]) == ("optimize", True)


def test_hibernate_needs_no_grace() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    life.advance(1.0)
    life.trigger(Trigger.HEARTBEAT_REFRESH)
    assert life.due() == []
    life.do(ev.HibernateWanted(CLIENT, now=False))
    assert [deadline.name for deadline in life.due()] == ["hibernate_due"]


@pytest.mark.parametrize("now", [False, True])
def test_hibernate_while_held_waits_for_the_last_hold(now: bool) -> None:
    life = started()
    life.hold("a")
    life.hold("b")
    decision = life.do(ev.HibernateWanted(CLIENT, now=now))
    assert kinds(decision) == ["hibernate_requested"]
    waiting = [{"kind": "hold", "hold_id": each, "who": f"who-{each}", "why": f"why-{each}"} for each in "ab"]
    assert decision.reply == {"state": "WAKE", "waiting_for": waiting}
    assert moves(life.release("a")) == []
    assert moves(life.release("b")) == FORCED
    assert bool(effects(life.turns[-1].decision, fx.StartWorker)) is not now


def test_wake_signal_takes_the_wish_back() -> None:
    life = started()
    life.hold("a")
    life.do(ev.HibernateWanted(CLIENT, now=False))
    assert kinds(life.trigger(Trigger.WAKE_SIGNAL)) == ["hibernate_revoked", "activity_seen"]
    assert moves(life.release("a")) == []
    assert life.state is State.WAKE


def test_a_request_in_sleep_ends_the_wish_with_the_sleep() -> None:
    life = started()
    life.do(ev.HibernateWanted(CLIENT, now=False))
    life.trigger(Trigger.REQUEST_ARRIVED)
    assert life.world.lifecycle.wish == ""
    assert life.due() == []
