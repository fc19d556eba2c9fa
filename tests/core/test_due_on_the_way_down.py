"""Planned wakes on the way down: what becomes due before the end, and a timer that could not be had before."""

from __future__ import annotations

import pytest

from core.life import record
from core.planned import FAR_S, follows, goes, managed, to_the_end_of_its_cycle, wished
from torpord.core.lifecycle import State


@pytest.mark.parametrize("timer", ["systemd-user", ""])
def test_it_takes_the_exit_back(timer: str) -> None:
    life, agents = managed(in_s=FAR_S, timer=timer)
    to_the_end_of_its_cycle(life)
    if timer:
        goes(life)
        life.arms()
        life.pass_("hibernate_due")
    else:
        goes(life)
    assert life.state is State.HIBERNATION
    decision = life.pass_("slots_due")  # a hook of the settings takes its time, say
    assert life.state is State.WAKE
    moved = record(decision, "state_transition")
    assert (moved["from"], moved["to"], moved["trigger"]) == ("HIBERNATION", "WAKE", "wake_signal")
    assert agents.slot().state != "planned"


def test_what_becomes_due_in_sleep_wakes_nobody() -> None:
    life, _ = managed(in_s=30.0, timer="")
    to_the_end_of_its_cycle(life)
    goes(life)
    assert life.state is State.SLEEP
    life.pass_("slots_due")
    assert life.state is State.SLEEP


def test_what_went_wrong_before_this_sleep_is_tried_anew_before_it_keeps_the_process() -> None:
    life, agents = managed(in_s=600.0)
    follows(life, "no runtime directory")
    to_the_end_of_its_cycle(life)
    assert wished(goes(life)) == [agents.slot().due_s]
    assert life.state is State.SLEEP
    life.arms()
    life.pass_("hibernate_due")
    assert life.state is State.HIBERNATION


def test_within_one_sleep_it_is_tried_once_and_then_named() -> None:
    life, _ = managed(in_s=600.0)
    follows(life, "no runtime directory")
    to_the_end_of_its_cycle(life)
    goes(life)
    life.arms("still none")
    decision = life.pass_("hibernate_due")
    assert life.state is State.SLEEP
    assert wished(decision) == []
    (why,) = record(decision, "hibernation_blocked")["by"]
    assert why.endswith("still none")
