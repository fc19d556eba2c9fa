"""Agents and the two clocks: one that anybody may set, and one that stands while the machine sleeps, or is off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.life import SHELL, Life, kinds, started
from torpord.core import events as ev
from torpord.core.agents import Doing
from torpord.core.deadlines import Clock, deadlines

HOURS_8_S = 8 * 3_600.0


def names(life: Life) -> list[str]:
    return [deadline.name for deadline in life.due()]


@pytest.mark.parametrize("step_s", [HOURS_8_S, -HOURS_8_S])
def test_the_wall_clock_says_nothing_about_presence(step_s: float) -> None:
    life = started()
    life.register()
    life.advance(119.0, step_s)
    assert "presence_due" not in names(life)
    life.advance(1.0)
    assert "presence_due" in names(life)


def test_a_wall_clock_that_is_set_forward_ends_exhaustions_and_slots_wait_no_longer() -> None:
    life = started()
    life.register()
    life.slot(3_600.0)
    life.register("b")
    life.exhaust(3_600.0, agent_id="b")
    life.advance(1.0, HOURS_8_S)
    assert names(life) == ["recovery_due", "slots_due"]


def test_a_wall_clock_that_is_set_back_takes_nothing_back() -> None:
    life = started()
    life.register()
    life.slot(60.0)
    life.exhaust(60.0)
    life.pass_("recovery_due")
    life.pass_("slots_due")
    life.advance(1.0, -HOURS_8_S)
    assert names(life) == []
    assert life.status() == "idle"
    life.take()
    assert life.status() == "busy"
    life.exhaust(60.0)
    life.advance(30.0)
    assert life.status() == "exhausted"


def test_a_suspend_gives_everyone_their_time_anew_and_ends_what_the_wall_clock_says() -> None:
    life = started()
    life.register()
    life.register("b")
    life.exhaust(3_600.0, agent_id="b")
    life.advance(100.0, 100.0 + HOURS_8_S)
    life.do(ev.SuspendSeen(SHELL, HOURS_8_S, HOURS_8_S))
    assert names(life) == ["recovery_due"]
    life.pass_("recovery_due")
    life.advance(119.0)
    assert names(life) == []
    life.advance(1.0)
    assert names(life) == ["presence_due"]
    life.pass_("presence_due")
    assert (life.status(), life.status("b")) == ("offline", "offline")


def test_who_beats_after_a_suspend_is_counted_from_that() -> None:
    life = started()
    life.register()
    life.advance(50.0)
    life.do(ev.SuspendSeen(SHELL, 60.0, 60.0))
    life.advance(50.0)
    life.beat()
    life.advance(119.0)
    assert "presence_due" not in names(life)
    life.pass_("presence_due")
    assert life.status() == "offline"


@pytest.mark.parametrize("count", [1, 200])
def test_a_stop_of_the_process_gives_everyone_their_time_anew(count: int) -> None:
    life = started()
    for number in range(count):
        life.register(f"a{number}")
    life.advance(500.0)
    life.do(ev.StallSeen(SHELL, 400.0))
    assert "presence_due" not in names(life)
    life.advance(119.0)
    assert "presence_due" not in names(life)
    life.advance(1.0)
    life.pass_("presence_due")
    assert {life.status(f"a{number}") for number in range(count)} == {"offline"}


def test_a_start_gives_everyone_their_time_anew() -> None:
    life = started()
    life.register()
    life.advance(100.0)
    life.start(cause="crash")
    life.advance(119.0)
    assert "presence_due" not in names(life)
    life.advance(1.0)
    assert "presence_due" in names(life)


@pytest.mark.parametrize("awake_s", [10.0, 19_990.0, 20_000.0, 20_100.0, 90_000.0])
def test_a_reboot_begins_another_awake_clock(awake_s: float) -> None:
    """Whatever that says: less than the last one said, or more."""
    life = started()
    life.register()
    life.register("b")
    life.beat(doing=Doing.BUSY)
    life.slot(0.0, "s1", "b")
    life.pass_("slots_due")
    life.advance(100.0)
    life.now = replace(life.now, awake_s=awake_s, wall_s=life.now.wall_s + 60.0)
    life.start(cause="crash", boot_id="boot-2")
    assert (life.status(), life.status("b")) == ("busy", "idle")
    assert names(life) == ["slots_due"], "what was offered is offered anew"
    life.pass_("slots_due")
    assert {d.at_s for d in deadlines(life.world) if d.name == "offers_due"} == {awake_s + 120.0}
    assert {d.at_s for d in deadlines(life.world) if d.name == "presence_due"} == {awake_s + 120.0}
    life.advance(60.0)
    life.beat()
    life.advance(60.0)
    assert kinds(life.pass_("presence_due")) == ["agent_offline"]
    assert (life.status(), life.status("b")) == ("busy", "offline")


def test_recoveries_and_slots_follow_the_wall_clock_and_the_rest_does_not() -> None:
    life = started()
    life.register()
    life.slot(60.0)
    life.register("b")
    life.slot(0.0, "s2", "b")
    life.pass_("slots_due")
    life.register("c")
    life.exhaust(60.0, agent_id="c")
    found = {deadline.name: deadline.clock for deadline in deadlines(life.world) if deadline.sliced}
    assert found == {
        "recovery_due": Clock.WALL,
        "slots_due": Clock.WALL,
        "offers_due": Clock.AWAKE,
        "presence_due": Clock.AWAKE,
    }
