"""Planned wakes under a real service manager: a slot that is due while the daemon is down starts it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING

import pytest

from service import seat as seats
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.box import Box

# Far enough for a timer to be made and the daemon to be down, on a machine that has much to do.
SOON_S = 4.0
HOUR_S = 3600.0


@pytest.fixture(params=seats.MANAGERS)
def seat(box: Box, request: pytest.FixtureRequest) -> Iterator[seats.Seat]:
    """The place of a daemon, under each manager in turn; in the system's its user has a keeper."""
    yield from _place(box, request.param)


@pytest.fixture
def users(box: Box) -> Iterator[seats.Seat]:
    """The place of a daemon under the user's manager, where both do the same."""
    yield from _place(box, "user")


def _place(box: Box, manager: str) -> Iterator[seats.Seat]:
    made = seats.Seat(box, manager)
    made.open()
    keeper = ["torpord-keeper.socket"] * (manager == "system")
    if keeper:
        made.systemctl("start", *keeper)
    made.caller.ask("agent.register", agent_id="a")
    yield made
    made.systemctl("stop", "torpord-boot.timer", "torpord.timer", *keeper, check=False)
    made.close()


def plan(seat: seats.Seat, in_s: float) -> tuple[str, float]:
    """Add a slot; returns its id and its time."""
    at = datetime.now(UTC) + timedelta(seconds=in_s)
    slot = seat.caller.ask("slot.add", agent_id="a", type="work", at=at.isoformat(timespec="milliseconds"))
    return slot["slot_id"], datetime.fromisoformat(slot["due_ts"]).timestamp()


def down(seat: seats.Seat) -> None:
    """Send the daemon to hibernation, at once, and wait until it is gone."""
    seat.caller.ask("hibernate", now=True)
    seat.wait_down()


def is_set_for(seat: seats.Seat) -> int | None:
    """Return for when the manager has a timer."""
    shown = seat.show("torpord.timer", "ActiveState", "NextElapseUSecRealtime")
    at = shown["NextElapseUSecRealtime"]
    return int(seat.box.run("date", "-d", at, "+%s")) if shown["ActiveState"] == "active" and at else None


def kinds(seat: seats.Seat, prefix: str) -> list[str]:
    """Return the kinds of ledger records that begin so."""
    records = seat.caller.look("log")["records"]
    return [record["kind"] for record in records if record["kind"].startswith(prefix)]


def is_due(seat: seats.Seat, slot_id: str) -> bool:
    """Return whether a slot waits for its agent."""
    slots = {slot["slot_id"]: slot["status"] for slot in seat.caller.look("slot.list")["slots"]}
    return slots[slot_id] != "planned"


def test_the_time_of_a_slot_brings_it_back(seat: seats.Seat) -> None:
    before = seat.caller.look("status")
    slot_id, at_ts = plan(seat, SOON_S)
    down(seat)
    told = seat.state_file()
    assert datetime.fromisoformat(told["wake_armed"]).timestamp() == at_ts
    assert seat.read("wake.at").strip() == told["wake_armed"]
    assert is_set_for(seat) == ceil(at_ts)
    seat.wait("torpord.service", ActiveState="active")
    assert datetime.now(UTC).timestamp() >= at_ts
    status = seat.caller.look("status")
    assert (status["start_cause"], status["generation"]) == ("timer", before["generation"] + 1)
    assert is_due(seat, slot_id)
    until(lambda: is_set_for(seat) is None and not seat.has("wake.at"), what="nothing planned any more")
    until(lambda: kinds(seat, "wake_") == ["wake_armed", "wake_disarmed"], what="the history of it")
    assert seat.show("torpord.service", "NRestarts") == {"NRestarts": "0"}
    # systemd 252 goes on naming the timer to every later start.
    seat.systemctl("restart", "torpord.service")
    assert seat.caller.look("status")["start_cause"] == "manual"


def test_before_hibernation_the_timer_is_what_is_planned(users: seats.Seat) -> None:
    _, late_ts = plan(users, 2 * HOUR_S)
    until(lambda: is_set_for(users) == ceil(late_ts), what="the timer, before it is needed")
    users.systemctl("stop", "torpord.timer")  # by somebody's hand
    down(users)
    assert is_set_for(users) == ceil(late_ts)

    early, early_ts = plan(users, HOUR_S)
    down(users)
    assert is_set_for(users) == ceil(early_ts)

    users.caller.ask("slot.cancel", slot_id=early)
    users.box.run("kill", str(users.main_pid()))  # right behind it: what is planned stays planned
    users.wait_down()
    assert is_set_for(users) == ceil(late_ts)
    assert datetime.fromisoformat(users.read("wake.at").strip()).timestamp() == late_ts

    for slot in users.caller.look("slot.list")["slots"]:
        if slot["status"] == "planned":
            users.caller.ask("slot.cancel", slot_id=slot["slot_id"])
    down(users)
    assert (is_set_for(users), users.has("wake.at")) == (None, False)


def test_a_reload_of_the_manager_keeps_the_timer(seat: seats.Seat) -> None:
    _, due_ts = plan(seat, HOUR_S)
    down(seat)
    seat.systemctl("daemon-reload")
    assert is_set_for(seat) == ceil(due_ts)


def test_who_stops_the_units_stops_the_timer(users: seats.Seat) -> None:
    _, at_ts = plan(users, HOUR_S)
    until(lambda: is_set_for(users) == ceil(at_ts), what="the timer")
    _, sooner_ts = plan(users, HOUR_S / 2)
    users.systemctl("stop", "torpord.service")  # right behind it: nobody is kept waiting, and the timer is left alone
    assert is_set_for(users) == ceil(at_ts)
    assert datetime.fromisoformat(users.read("wake.at").strip()).timestamp() == sooner_ts
    assert "wake_not_armed" not in users.journal()
    users.systemctl("stop", "torpord.socket")
    assert is_set_for(users) is None


def test_told_to_stay_down_it_is_brought_back_by_no_time(users: seats.Seat) -> None:
    _, at_ts = plan(users, HOUR_S)
    until(lambda: is_set_for(users) == ceil(at_ts), what="the timer")
    users.caller.ask("stop")
    users.wait("torpord.service", ActiveState="inactive")
    assert (is_set_for(users), users.has("wake.at")) == (None, False)
    assert users.state_file()["wake_armed"] is None


def test_a_timer_that_rings_at_a_daemon_that_is_up_does_nothing(users: seats.Seat) -> None:
    pid = users.main_pid()
    slot_id, at_ts = plan(users, SOON_S)
    until(lambda: is_set_for(users) == ceil(at_ts), what="the timer")
    users.wait("torpord.timer", SubState="running")  # it has rung
    assert is_due(users, slot_id)
    until(lambda: not users.has("wake.at"), what="nothing planned any more")
    assert users.main_pid() == pid
    assert users.show("torpord.service", "NRestarts", "Result") == {"NRestarts": "0", "Result": "success"}


def test_a_timer_that_rings_while_the_daemon_ends_is_not_lost(users: seats.Seat) -> None:
    users.place("torpor.toml", '[lifecycle]\nmin_up = "100ms"\n[hooks]\non_hibernate = ["sleep 3"]\n')
    users.systemctl("reload", "torpord.service")
    pid = users.main_pid()
    slot_id, _ = plan(users, SOON_S)
    users.caller.ask("hibernate", now=True)
    users.wait_another(pid)
    until(lambda: is_due(users, slot_id), what="the slot")


def restart_manager(seat: seats.Seat, until_ts: float = 0.0) -> None:
    """Let the user log out, and in again no sooner than then: with all that is enabled."""
    seat.box.systemctl("stop", "manager.service")
    until(lambda: datetime.now(UTC).timestamp() > until_ts, what="the time in between")
    seat.box.systemctl("start", "manager.service")
    assert is_set_for(seat) is None, "a transient unit is gone with its manager"
    seat.systemctl("start", "torpord.socket", "torpord.path", "torpord-boot.timer")


def test_over_a_boot_what_is_planned_is_armed_anew_and_what_is_due_is_done(users: seats.Seat) -> None:
    _, late_ts = plan(users, HOUR_S)
    down(users)
    restart_manager(users)
    users.wait("torpord.service", ActiveState="active")
    assert users.caller.look("status")["start_cause"] == "timer"
    until(lambda: is_set_for(users) == ceil(late_ts), what="the timer of before")

    slot_id, soon_ts = plan(users, SOON_S)
    down(users)
    assert is_set_for(users) == ceil(soon_ts)
    restart_manager(users, soon_ts)
    users.wait("torpord.service", ActiveState="active")
    assert users.caller.look("status")["start_cause"] == "timer"
    assert is_due(users, slot_id)
    until(lambda: is_set_for(users) == ceil(late_ts), what="the timer of what comes next")


def test_without_the_runtime_directory_it_stays_for_the_wake_and_says_why(users: seats.Seat) -> None:
    runtime = seats.RUNTIME["XDG_RUNTIME_DIR"]
    users.box.run("mv", runtime, f"{runtime}.gone")
    try:
        slot_id, at_ts = plan(users, HOUR_S / 2)
        until(lambda: kinds(users, "wake_not_armed"), what="a word about it")
        (slot,) = users.caller.look("slot.list")["slots"]
        assert (slot["slot_id"], slot["armed"]) == (slot_id, False)
        users.caller.ask("hibernate")
        words = "the service manager does not take a timer"
        until(lambda: words in str(users.caller.look("status")["next"]["blocked_by"]), what="what it stays for")
        assert users.caller.look("status")["state"] == "SLEEP"
    finally:
        users.box.run("mv", f"{runtime}.gone", runtime)
    users.caller.event()  # left alone it asks again in a minute, and once in each sleep
    down(users)
    assert is_set_for(users) == ceil(at_ts)
