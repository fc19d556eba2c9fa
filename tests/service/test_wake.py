"""A whole life under a real service manager: each way to wake, and what it says about itself then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from waiting import until

if TYPE_CHECKING:
    from service.seat import Seat

# A whole life by itself in about a second.
SHORT_LIFE = """
[lifecycle]
drowsy_after = "200ms"
sleep_after = "400ms"
hibernate_grace = "200ms"
min_up = "100ms"
"""


def test_connecting_starts_it_and_the_very_request_is_answered(seat: Seat) -> None:
    assert seat.main_pid() == 0
    caller = seat.caller
    status = caller.look("status")
    assert (status["state"], status["start_cause"], status["supervisor"]) == ("WAKE", "connect", "systemd")
    assert status["pid"] == seat.main_pid()
    assert status["home"] == seat.home
    assert not caller.again, "one connection was enough"
    assert caller.event()["state"] == "WAKE"


def test_it_lives_a_whole_life_by_itself_and_is_woken_by_connecting(seat: Seat) -> None:
    seat.place("torpor.toml", SHORT_LIFE)
    first = seat.caller.look("status")
    seat.wait_down()
    told = seat.state_file()
    assert (told["current_state"], told["generation"]) == ("HIBERNATION", first["generation"])
    assert seat.show("torpord.service", "NRestarts") == {"NRestarts": "0"}
    assert seat.systemctl("list-jobs").startswith("No jobs"), "it stays down"
    again = seat.caller.look("status")
    assert (again["state"], again["start_cause"]) == ("WAKE", "connect")
    assert again["generation"] == first["generation"] + 1
    seat.wait_down()


def test_a_touched_file_starts_it(seat: Seat) -> None:
    seat.caller.event()
    seat.hibernate()
    seat.place("wake.signal")
    seat.wait("torpord.service", ActiveState="active")
    until(lambda: not seat.has("wake.signal"), what="wake.signal taken")
    assert seat.caller.look("status")["start_cause"] == "wake.signal"
    seat.hibernate()


def test_an_event_left_for_it_starts_it_and_is_taken(seat: Seat) -> None:
    seat.caller.event()
    before = seat.caller.look("status")["wrapper_event_seq"]
    seat.hibernate()
    seat.place("wake.d/a.json", json.dumps({"method": "event", "params": {"event": "heartbeat_refresh"}}))
    seat.wait("torpord.service", ActiveState="active")
    until(lambda: not seat.has("wake.d/a.json"), what="the event taken")
    status = seat.caller.look("status")
    assert status["start_cause"] == "wake.d"
    assert status["wrapper_event_seq"] > before
    seat.hibernate()


def test_files_are_seen_before_it_has_ever_run(seat: Seat) -> None:
    seat.place("wake.signal")
    until(lambda: not seat.has("wake.signal"), what="wake.signal taken")
    assert seat.caller.look("status")["start_cause"] == "wake.signal"


def test_started_by_hand(seat: Seat) -> None:
    seat.systemctl("start", "torpord.service")  # returns when READY=1 has come
    status = seat.caller.look("status")
    assert (status["state"], status["start_cause"]) == ("WAKE", "manual")
    assert "WAKE" in seat.show("torpord.service", "StatusText")["StatusText"]


def test_of_two_ways_at_once_the_one_who_waits_is_the_cause(seat: Seat) -> None:
    seat.systemctl("stop", "torpord.path")
    seat.place("wake.signal")
    seat.place("wake.d/a.json", json.dumps({"method": "event", "params": {"event": "heartbeat_refresh"}}))
    assert seat.caller.look("status")["start_cause"] == "connect"
    until(lambda: not seat.has("wake.signal") and not seat.has("wake.d/a.json"), what="the files taken, too")


def test_after_each_end_the_next_start_says_what_it_was_for(seat: Seat) -> None:
    seat.caller.event()
    seat.hibernate()
    assert seat.caller.look("status")["start_cause"] == "connect"
    seat.systemctl("restart", "torpord.service")
    assert seat.caller.look("status")["start_cause"] == "manual"
    seat.systemctl("stop", "torpord.service")
    seat.place("wake.signal")
    until(lambda: not seat.has("wake.signal"), what="wake.signal taken")
    assert seat.caller.look("status")["start_cause"] == "wake.signal"


def test_a_reload_reads_the_settings_again(seat: Seat) -> None:
    pid = seat.caller.look("status")["pid"]
    seat.place("torpor.toml", "[lifecycle]\nshadow_run = true\n")
    seat.systemctl("reload", "torpord.service")
    until(lambda: seat.caller.look("status")["shadow_run"], what="the new settings")
    seat.place("torpor.toml", "[lifecycle]\nshadow_run = 7\n")
    seat.systemctl("reload", "torpord.service")
    until(lambda: "shadow_run" in seat.journal(), what="a word about the bad ones")
    status = seat.caller.look("status")
    assert (status["shadow_run"], status["pid"]) == (True, pid)
    seat.wait("torpord.service", ActiveState="active", NRestarts="0")


def test_what_a_hook_starts_inherits_neither_socket_nor_lock(seat: Seat) -> None:
    look = f"readlink /proc/$$/fd/* > {seat.home}/fds; env > {seat.home}/env; mv {seat.home}/env {seat.home}/environ"
    seat.place("torpor.toml", f"[lifecycle]\nmin_up = 0\n[hooks]\non_wake = [{json.dumps(look)}]\n")
    seat.caller.event()
    seat.hibernate()
    seat.caller.event()
    until(lambda: seat.has("environ"), what="the hook's end")
    found = seat.read("fds").splitlines()
    assert [fd for fd in found if not fd.startswith("pipe:") and fd != f"{seat.home}/fds"] == []
    assert len(found) >= 3
    names = {line.partition("=")[0] for line in seat.read("environ").splitlines()}
    told_us = {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
    assert names.isdisjoint(told_us)
    assert "TORPOR_HOME" in names
