"""What the daemon says of itself: what keeps it awake, what comes next, and what that waits for."""

from __future__ import annotations

import pytest

from core.life import CLIENT, FIRST_WALL_S, SHELL, Life, at, started
from torpord.core import events as ev
from torpord.core import report
from torpord.core.lifecycle import State, Trigger
from torpord.core.policy import Policy

BATTERY = ev.Condition("power", met=False, found="battery")


def why_not(life: Life) -> list[tuple[str, str]]:
    return [(each["kind"], each["why"]) for each in report.why(life.world, life.now)["not_yet_because"]]


def test_times_are_utc_with_offset_to_the_millisecond() -> None:
    assert report.iso(FIRST_WALL_S) == "2023-11-14T22:13:20.000+00:00"
    assert report.iso(FIRST_WALL_S + 0.0625) == "2023-11-14T22:13:20.062+00:00"
    assert report.iso(None) is None


def test_next_counts_down_to_the_state_below() -> None:
    life = started()
    life.advance(100.0)
    assert report.next_state(life.world, life.now) == {
        "state": "DROWSY",
        "in_s": 200.0,
        "at": report.iso(life.now.wall_s + 200.0),
        "blocked_by": [],
    }
    life.advance(1_000.0)
    assert report.next_state(life.world, life.now)["in_s"] == 0.0
    life.pass_("drowsy_due")
    assert report.next_state(life.world, life.now)["state"] == "SLEEP"
    assert report.next_state(life.world, life.now)["in_s"] == 700.0


def test_next_names_who_holds_and_gives_no_time() -> None:
    life = started()
    life.hold("a", ttl_s=60.0)
    seen = report.next_state(life.world, life.now)
    assert seen == {"state": "DROWSY", "in_s": None, "at": None, "blocked_by": ["who-a: why-a"]}


def test_next_names_conditions_and_counts_by_their_clock() -> None:
    life = at(State.DROWSY)
    life.pass_("sleep_due", conditions=(BATTERY,))
    seen = report.next_state(life.world, life.now)
    assert (seen["in_s"], seen["blocked_by"]) == (60.0, ["power: battery"])

    life = at(State.DROWSY)
    life.reach("sleep_due")
    opens = life.now.wall_s + 9_000.0
    life.pass_("sleep_due", conditions=(ev.Condition("between", False, "noon", opens),))  # noqa: FBT003 - named above
    life.advance(50.0, 1_000.0)
    seen = report.next_state(life.world, life.now)
    assert (seen["in_s"], seen["at"]) == (8_000.0, report.iso(opens))


def test_next_in_sleep_waits_for_the_cycle_then_for_what_forbids_the_exit() -> None:
    life = at(State.SLEEP)
    seen = report.next_state(life.world, life.now)
    assert seen == {"state": "HIBERNATION", "in_s": None, "at": None, "blocked_by": ["the sleep cycle is at trim"]}
    life.cycle_completes()
    life.pass_("hibernate_due", forbids_exit=("no wake path is known to work",))
    seen = report.next_state(life.world, life.now)
    assert (seen["in_s"], seen["blocked_by"]) == (300.0, ["no wake path is known to work"])


def test_after_hibernation_nothing_comes_by_itself() -> None:
    life = at(State.HIBERNATION, Policy(shadow_run=True))
    assert report.next_state(life.world, life.now) == {"state": None, "in_s": None, "at": None, "blocked_by": []}
    assert why_not(life) == [("shadow_run", "the process stays because shadow_run is set")]


def test_why_names_the_last_activity_and_how_long_it_keeps() -> None:
    life = started()
    life.advance(10.0)
    life.trigger(Trigger.REQUEST_ARRIVED)
    used_ts = life.now.wall_s
    life.advance(30.0)
    seen = report.why(life.world, life.now)
    (reason,) = seen["awake_because"]
    assert seen["state"] == "WAKE"
    assert (reason["kind"], reason["who"]) == ("activity", "an agent, make (pid 4711)")
    assert (reason["since"], reason["until"]) == (report.iso(used_ts), report.iso(used_ts + 300.0))
    assert seen["next"] == report.next_state(life.world, life.now)


def test_why_names_each_hold_with_its_bounds() -> None:
    life = started()
    life.hold("a", ttl_s=60.0)
    life.hold("b")
    life.advance(20.0)
    first, second = report.why(life.world, life.now)["awake_because"]  # and no activity: that does not keep it
    assert (first["kind"], first["who"], first["why"]) == ("hold", "who-a", "why-a")
    assert (first["since"], first["until"]) == (report.iso(FIRST_WALL_S), report.iso(FIRST_WALL_S + 60.0))
    assert second["until"] is None


def test_why_in_sleep_names_cycle_grace_and_what_forbids() -> None:
    life = at(State.SLEEP)
    assert why_not(life) == [("sleep_cycle", "it is at trim")]
    assert report.why(life.world, life.now)["awake_because"] == []
    life.advance(1.0)
    life.trigger(Trigger.HEARTBEAT_REFRESH)
    life.cycle_completes()
    assert [kind for kind, _ in why_not(life)] == ["grace"]
    (grace,) = report.why(life.world, life.now)["not_yet_because"]
    assert grace["until"] == report.iso(life.now.wall_s + 300.0)
    life.pass_("hibernate_due", forbids_exit=("a file that cannot be removed",))
    assert ("forbidden", "a file that cannot be removed") in why_not(life)


def test_why_names_a_wish_that_waits() -> None:
    life = started()
    life.hold("a")
    assert why_not(life) == []
    life.do(ev.HibernateWanted(CLIENT, now=False))
    assert [kind for kind, _ in why_not(life)] == ["wish"]


@pytest.mark.parametrize(
    ("cause", "named"),
    [
        ({"source": "client", "pid": 7, "program": "make"}, "make (pid 7)"),
        ({"source": "client", "pid": 7, "by": "claude"}, "claude, a program (pid 7)"),
        ({"source": "file", "name": "wake.signal"}, "the file wake.signal"),
        ({"source": "deadline", "deadline": "drowsy_due"}, "the deadline drowsy_due"),
        ({}, "nobody yet"),
        ({"source": "daemon"}, "daemon"),
    ],
)
def test_who_is_named_in_a_few_words(cause: dict[str, object], named: str) -> None:
    assert report.who(cause) == named


def test_the_sleep_view_shows_the_last_cycle_and_what_is_owed() -> None:
    life = started()
    assert report.sleep_view(life.world, life.now) == {
        "last_cycle": None,
        "last_upkeep": None,
        "progress": None,
        "quarantine": None,
        "next": {"reason": "", "due_ts": report.iso(life.now.wall_s)},
        "debt_s": 0.0,
    }
    life = at(State.SLEEP)
    began_ts = life.now.wall_s
    run_id = life.world.cycle.run_id
    life.step_ends(2.5)
    assert report.sleep_view(life.world, life.now)["progress"] == {
        "phase": "running",
        "run_id": run_id,
        "step": "checkpoint",
        "done": 1,
        "of": 5,
    }
    life.advance(10.0)
    life.cycle_completes()
    last = report.sleep_view(life.world, life.now)["last_cycle"]
    assert (last["outcome"], last["duration_s"]) == ("completed", 6.5)
    assert (last["started_ts"], last["ended_ts"]) == (report.iso(began_ts), report.iso(life.now.wall_s))
    assert (last["run_id"], last["result"]) == (run_id, "backup")
    life.advance(4 * 3_600.0)
    assert report.sleep_view(life.world, life.now)["debt_s"] == 0.0
    life.advance(90.0)
    assert report.sleep_view(life.world, life.now)["debt_s"] == 90.0


def test_the_sleep_view_shows_quarantine() -> None:
    life = at(State.SLEEP)
    for _ in range(3):
        life.step_fails()
        ended_ts = life.now.wall_s
        life.advance(3_000.0)
        life.trigger(Trigger.REQUEST_ARRIVED)
        life.trigger(Trigger.FORCE_SLEEP)
    seen = report.sleep_view(life.world, life.now)
    until, run_id = report.iso(ended_ts + 86_400.0), life.world.cycle.run_id
    shown = {"flow": "housekeeping", "run_id": run_id, "step": "trim", "until_ts": until, "failures": 3}
    assert seen["quarantine"] == shown
    assert seen["last_upkeep"] == seen["last_cycle"]
    assert (seen["last_cycle"]["outcome"], seen["last_cycle"]["error"]) == (
        "failed",
        "OSError: no space left on device",
    )


def test_a_hold_is_shown_with_an_estimate_of_its_end() -> None:
    life = started()
    life.hold("a", ttl_s=60.0, pid=7, pid_start="1")
    life.advance(20.0, 500.0)
    assert report.hold_view(life.world.holds.by_id["a"], life.now) == {
        "hold_id": "a",
        "who": "who-a",
        "why": "why-a",
        "since_ts": report.iso(FIRST_WALL_S),
        "until_ts": report.iso(life.now.wall_s + 40.0),
        "bound": "process",
        "pid": 7,
    }


def test_a_daemon_on_its_way_out_promises_no_next_state() -> None:
    life = started()
    life.do(ev.StopWanted(SHELL, "signal"))
    assert report.next_state(life.world, life.now)["in_s"] is None
