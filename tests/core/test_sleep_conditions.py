"""`[sleep] when`: what must hold before SLEEP, read when sleep is due, and again only while it stands in the way."""

from __future__ import annotations

from core.life import at, kinds, moves, record
from torpord.core import report
from torpord.core.deadlines import Clock, deadlines
from torpord.core.events import Condition, SettingsRead
from torpord.core.lifecycle import State, Trigger
from torpord.core.policy import Policy

MET = Condition("power", met=True, found="mains")
BATTERY = Condition("power", met=False, found="battery")
BUSY_CPU = Condition("max_cpu", met=False, found="80 %")
UNREADABLE = Condition("max_cpu", met=None, found="")


def window(opens_at_wall_s: float) -> Condition:
    return Condition("between", met=False, found="14:00", changes_at_wall_s=opens_at_wall_s)


def test_all_met_is_sleep() -> None:
    life = at(State.DROWSY)
    assert moves(life.pass_("sleep_due", conditions=(MET,))) == ["DROWSY>SLEEP by sleep_due"]


def test_one_that_is_not_met_stays_drowsy_and_is_named() -> None:
    life = at(State.DROWSY)
    decision = life.pass_("sleep_due", conditions=(MET, BATTERY))
    assert kinds(decision) == ["sleep_postponed", "sleep_rechecked"]
    assert record(decision, "sleep_postponed") == {"conditions": ({"name": "power", "found": "battery"},)}
    assert life.state is State.DROWSY
    (reason,) = report.why(life.world, life.now)["not_yet_because"]
    assert (reason["kind"], reason["who"], reason["why"]) == ("condition", "power", "battery")


def test_what_is_polled_is_read_again_after_a_minute_of_being_awake() -> None:
    life = at(State.DROWSY)
    life.pass_("sleep_due", conditions=(BATTERY,))
    looked = life.now.awake_s
    (deadline,) = deadlines(life.world)
    assert (deadline.at_s, deadline.clock) == (looked + 60.0, Clock.AWAKE)
    life.advance(59.0, 10_000.0)
    assert life.due() == []


def test_the_same_found_again_is_no_news() -> None:
    life = at(State.DROWSY)
    life.pass_("sleep_due", conditions=(BATTERY,))
    assert kinds(life.pass_("sleep_due", conditions=(BATTERY,))) == ["sleep_rechecked"]
    assert kinds(life.pass_("sleep_due", conditions=(BATTERY, BUSY_CPU))) == ["sleep_postponed", "sleep_rechecked"]
    assert kinds(life.pass_("sleep_due", conditions=(BUSY_CPU,))) == ["sleep_postponed", "sleep_rechecked"]
    assert moves(life.pass_("sleep_due", conditions=(MET,))) == ["DROWSY>SLEEP by sleep_due"]
    assert life.world.sleep.postponed == ()


def test_a_window_is_waited_for_by_the_wall_clock_and_nothing_is_polled() -> None:
    life = at(State.DROWSY)
    life.reach("sleep_due")
    opens = life.now.wall_s + 7_200.0
    life.pass_("sleep_due", conditions=(MET, window(opens)))
    (deadline,) = deadlines(life.world)
    assert (deadline.at_s, deadline.clock) == (opens, Clock.WALL)
    life.advance(100_000.0, 0.0)
    assert life.due() == []
    life.advance(0.0, 7_200.0)
    assert moves(life.pass_("sleep_due", conditions=(MET,))) == ["DROWSY>SLEEP by sleep_due"]


def test_the_first_of_several_times_is_waited_for() -> None:
    life = at(State.DROWSY)
    life.reach("sleep_due")
    soon, late = life.now.wall_s + 60.0, life.now.wall_s + 600.0
    life.pass_("sleep_due", conditions=(window(late), window(soon)))
    assert [deadline.at_s for deadline in deadlines(life.world)] == [soon]


def test_beside_a_window_what_must_be_polled_is_polled() -> None:
    life = at(State.DROWSY)
    life.reach("sleep_due")
    life.pass_("sleep_due", conditions=(window(life.now.wall_s + 7_200.0), BATTERY))
    assert [(each.at_s, each.clock) for each in deadlines(life.world)] == [(life.now.awake_s + 60.0, Clock.AWAKE)]


def test_nothing_is_polled_before_sleep_is_due_nor_after_it_came() -> None:
    life = at(State.DROWSY)
    assert [deadline.name for deadline in deadlines(life.world)] == ["sleep_due"]
    life.pass_("sleep_due", conditions=(BATTERY,))
    life.pass_("sleep_due")
    assert list(deadlines(life.world)) == []


def test_one_that_cannot_be_read_counts_as_met_and_is_named() -> None:
    life = at(State.DROWSY)
    life.pass_("sleep_due", conditions=(UNREADABLE, BATTERY))
    assert life.world.sleep.postponed == ({"name": "power", "found": "battery"},)
    assert unreadable(life.world, life.now) == ["max_cpu"]
    life.pass_("sleep_due", conditions=(UNREADABLE, MET))
    assert life.state is State.SLEEP
    assert unreadable(life.world, life.now) == ["max_cpu"], "why must say what it slept without knowing"
    life.trigger(Trigger.REQUEST_ARRIVED)
    assert unreadable(life.world, life.now) == []


def unreadable(world: object, now: object) -> list[str]:
    reasons = report.why(world, now)["not_yet_because"]  # type: ignore[arg-type]
    return [reason["who"] for reason in reasons if reason["kind"] == "unreadable"]


def test_a_touch_forgets_what_stood_in_the_way() -> None:
    life = at(State.DROWSY)
    life.pass_("sleep_due", conditions=(BATTERY,))
    life.trigger(Trigger.HEARTBEAT_REFRESH)
    life.pass_("drowsy_due")
    seen = life.world.activity.idle_since_awake_s
    assert life.reach("sleep_due").at_s == seen + 1800.0
    assert kinds(life.pass_("sleep_due", conditions=(BATTERY,))) == ["sleep_postponed", "sleep_rechecked"]


def test_other_settings_make_the_conditions_be_read_anew() -> None:
    life = at(State.DROWSY)
    life.pass_("sleep_due", conditions=(BATTERY,))
    life.do(SettingsRead({}, Policy(power="mains"), ("sleep.when",), by_request=False))
    assert [deadline.name for deadline in life.due()] == ["sleep_due"]
    assert life.world.sleep.postponed == ()
