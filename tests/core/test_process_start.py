"""A process start: a demand of its own, what it keeps of the life before, and a clock that may have begun anew."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from core.life import CLIENT, SHELL, Life, at, effects, kinds, moves, record, started
from torpord.core import effects as fx
from torpord.core import events as ev
from torpord.core.deadlines import deadlines
from torpord.core.lifecycle import State, Trigger
from torpord.core.policy import Policy

DEMANDS = ("connect", "wake.signal", "wake.d", "timer", "spawn", "manual")


def test_the_first_start_begins_a_life() -> None:
    life = Life()
    decision = life.start(Policy(drowsy_after_s=10.0), cause="manual", pid=12, supervisor="systemd")
    assert record(decision, "started") == {
        "generation": 1,
        "pid": 12,
        "version": "0.1.0",
        "start_cause": "manual",
        "supervisor": "systemd",
        "boot_id": "boot-1",
        "after_crash": False,
        "rebase_s": 0.0,
        "suspended_s": 0.0,
        "policy": {**asdict(Policy(drowsy_after_s=10.0)), "flows": ["housekeeping"]},
        "timer": "",
        "manager": "none",
        "unit": "",
        "wake_file": False,
    }
    assert life.state is State.WAKE
    assert life.world.activity.event_seq == 0
    assert life.reach("drowsy_due").at_s == life.world.process.started_awake_s + 10.0


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("cause", DEMANDS)
def test_a_start_is_a_demand(cause: str, state: State) -> None:
    life = at(state)
    life.advance(1_000.0)
    decision = life.start(cause=cause)
    trigger = "wake_signal" if cause.startswith("wake") else "request_arrived"
    assert moves(decision) == ([] if state is State.WAKE else [f"{state}>WAKE by {trigger}"])
    assert life.state is State.WAKE
    assert life.world.process.start_cause == cause
    assert life.world.activity.event_seq == 0, "it is no event of a client"
    assert life.world.activity.idle_since_awake_s == life.now.awake_s


def test_a_restart_after_a_crash_wants_nothing() -> None:
    for state in (State.WAKE, State.DROWSY):
        life = at(state)
        before = life.world
        life.advance(10.0)
        assert kinds(life.start(cause="crash")) == ["started"]
        assert life.world.lifecycle == before.lifecycle
        assert life.world.activity == before.activity


def test_a_crash_in_sleep_goes_on_with_the_cycle_where_it_was() -> None:
    life = at(State.SLEEP)
    life.step_ends()
    run_id = life.world.cycle.run_id
    decision = life.start(cause="crash")
    begun = record(decision, "sleep_cycle_started")
    assert (begun["run_id"], begun["step"], begun["resumed"]) == (run_id, "checkpoint", True)
    assert effects(decision, fx.StartWorker) == [fx.StartWorker(run_id, 2)]
    assert record(life.load(run_id), "step_started")["attempt"] == 2, "a daemon's end is no worker's crash"
    assert life.of(run_id).crashes == 0


def test_a_crash_after_the_cycle_does_not_begin_another() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    assert kinds(life.start(cause="crash")) == ["started"]
    assert [deadline.name for deadline in deadlines(life.world)] == ["hibernate_due", "cycle_due"]


def test_a_crash_in_hibernation_is_up_again() -> None:
    """The crash came between the durable HIBERNATION and the exit: whoever starts it found it needed."""
    life = at(State.HIBERNATION)
    assert moves(life.start(cause="crash")) == ["HIBERNATION>WAKE by request_arrived"]


def test_a_start_forgets_a_wish_and_what_forbade_the_exit() -> None:
    life = at(State.SLEEP)
    life.do(ev.HibernateWanted(CLIENT, now=False))
    life.cycle_completes()
    life.pass_("hibernate_due", forbids_exit=("something",))
    life.start(cause="crash")
    assert (life.world.lifecycle.wish, life.world.lifecycle.blocked_by) == ("", ())
    assert life.world.sleep.blocked_recheck_awake_s is None


def test_a_start_brings_its_settings() -> None:
    life = started()
    life.start(Policy(drowsy_after_s=7.0))
    assert life.world.policy == Policy(drowsy_after_s=7.0)


def test_holds_over_a_restart() -> None:
    life = started()
    life.hold("connection", connection=1)
    life.hold("process", pid=7, pid_start="1")
    life.hold("ended", pid=8, pid_start="2")
    life.hold("time", ttl_s=600.0)
    life.hold("both", pid=9, pid_start="3", ttl_s=600.0)
    decision = life.start(cause="crash", dead_holds=("ended",))
    ended = [entry.record.data() for entry in decision.entries if entry.record.kind == "hold_released"]
    assert ended == [{"hold_id": "connection", "how": "daemon_ended"}, {"hold_id": "ended", "how": "process_ended"}]
    assert set(life.world.holds.by_id) == {"process", "time", "both"}
    watched = effects(decision, fx.WatchProcess)
    assert watched == [fx.WatchProcess("process", 7, "1"), fx.WatchProcess("both", 9, "3")]


def test_a_connection_number_of_an_earlier_process_ends_nobody() -> None:
    life = started()
    life.hold("old", connection=1)
    life.start(cause="crash")
    life.hold("new", connection=1)
    assert list(life.world.holds.by_id) == ["new"]


def reboot(life: Life, awake_s: float, cause: str = "crash") -> None:
    life.now = replace(life.now, awake_s=awake_s, wall_s=life.now.wall_s + 30.0)
    life.start(cause=cause, boot_id="boot-2")


def test_awake_times_are_rebased_over_a_reboot() -> None:
    life = started()
    life.hold("a", ttl_s=900.0)
    life.advance(100.0)
    life.hold("b", ttl_s=900.0)
    life.advance(50.0)
    reboot(life, 12.0)
    # The last stored reading of the old clock is b's acquisition; that reading is now. So a has 100 s less than b.
    assert life.world.holds.by_id["a"].until_awake_s == 12.0 + 800.0
    assert life.world.holds.by_id["b"].until_awake_s == 12.0 + 900.0
    assert life.world.holds.next_expiry_awake_s == 12.0 + 800.0
    assert life.world.process.started_awake_s == 12.0


def test_idle_time_goes_on_over_a_reboot_as_far_as_it_was_stored() -> None:
    life = at(State.DROWSY)  # since 300 s, which is the newest reading
    reboot(life, 12.0)
    assert life.state is State.DROWSY
    assert life.world.activity.idle_since_awake_s == 12.0 - 300.0
    assert life.world.lifecycle.since_awake_s == 12.0
    assert life.reach("sleep_due").at_s == 12.0 + 1_500.0


def test_still_idle_is_still_known_after_a_reboot() -> None:
    life = at(State.SLEEP)
    life.cycle_completes()
    life.advance(3.0)
    life.trigger(Trigger.HEARTBEAT_REFRESH)
    reboot(life, 12.0)
    assert life.reach("hibernate_due").at_s == 12.0 + 300.0


def test_within_one_boot_nothing_is_rebased() -> None:
    life = started()
    life.hold("a", ttl_s=900.0)
    before = life.world.holds
    life.advance(50.0)
    assert record(life.start(cause="crash"), "started")["rebase_s"] == 0.0
    assert life.world.holds == before


def test_a_suspend_is_recorded_with_its_length_and_moves_nothing() -> None:
    life = at(State.DROWSY)
    before = life.world
    life.advance(0.0, 7_200.0)
    decision = life.do(ev.SuspendSeen(SHELL, 7_200.0, 9_000.0))
    assert record(decision, "resumed_from_suspend") == {"asleep_s": 7_200.0, "suspended_s": 9_000.0}
    assert life.world.process.suspended_s == 9_000.0
    assert (life.world.lifecycle, life.world.activity) == (before.lifecycle, before.activity)
    assert life.due() == []
