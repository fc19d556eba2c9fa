"""What goes wrong under a real service manager, and that nothing of it closes the door to everybody."""

from __future__ import annotations

import pathlib
import threading
from typing import TYPE_CHECKING

import pytest

from service.seat import TORPORD, USER, mend
from waiting import until

if TYPE_CHECKING:
    from service.seat import Seat

QUICK = "[Service]\nRestartSec=50ms\n"
# Who has nothing to do on a busy machine is heard of late: with a second, the next one was taken for hung, too.
WATCHED = QUICK + "WatchdogSec=3s\nTimeoutAbortSec=200ms\n"


def test_killed_it_is_started_again_and_knows_it(seat: Seat) -> None:
    seat.drop_in(QUICK)
    before = seat.caller.event()["seq"]
    pid = seat.main_pid()
    seat.systemctl("kill", "--kill-whom=main", "--signal=KILL", "torpord.service")
    seat.wait_another(pid)
    status = seat.caller.look("status")
    assert (status["start_cause"], seat.show("torpord.service", "NRestarts")) == ("crash", {"NRestarts": "1"})
    assert status["ledger_seq"] > before
    seat.hibernate()


def test_stopped_in_its_tracks_the_watchdog_starts_it_again(seat: Seat) -> None:
    seat.drop_in(WATCHED)
    seat.caller.event()
    pid = seat.main_pid()
    # Over two watchdog intervals of its own it says that it turns.
    told = seat.show("torpord.service", "WatchdogTimestampMonotonic")
    until(lambda: seat.show("torpord.service", "WatchdogTimestampMonotonic") != told, what="a sign of life")
    seat.systemctl("kill", "--kill-whom=main", "--signal=STOP", "torpord.service")
    # Who asks the hung one waits for the next one, on a connection or two.
    assert seat.caller.event()["state"] == "WAKE"
    assert seat.main_pid() not in (0, pid)
    assert seat.caller.look("status")["start_cause"] == "crash"
    assert seat.show("torpord.service", "NRestarts") == {"NRestarts": "1"}
    seat.hibernate()


def test_one_command_takes_all_down_and_no_file_brings_it_back(seat: Seat) -> None:
    seat.caller.event()
    seat.systemctl("stop", "torpord.socket")
    for kind in ("service", "socket", "path"):
        seat.wait(f"torpord.{kind}", ActiveState="inactive")
    seat.place("wake.signal")
    assert seat.systemctl("list-jobs").startswith("No jobs")
    assert seat.has("wake.signal")
    assert seat.has("torpor.sock"), "an inherited socket is the manager's to remove"
    seat.systemctl("start", "torpord.path")
    until(lambda: not seat.has("wake.signal"), what="wake.signal taken")


@pytest.mark.parametrize("seat", ["user"], indirect=True)
def test_a_second_daemon_started_by_hand_is_refused_and_disturbs_nothing(seat: Seat) -> None:
    pid = seat.caller.look("status")["pid"]
    command = ["sh", "-c", f"TORPOR_HOME={seat.home} {TORPORD} run; echo exit $?"]
    said = seat.box.run(*command, user=USER)
    assert said.endswith("exit 75\n"), said
    assert f"pid {pid}" in said
    assert seat.caller.look("status")["pid"] == pid
    # While it is down, the door is the manager's, and trying it wakes the one that belongs there.
    seat.hibernate()
    said = seat.box.run(*command, user=USER)
    assert said.endswith("exit 75\n"), said
    assert seat.caller.event()["state"] == "WAKE"
    assert seat.caller.look("status")["supervisor"] == "systemd"


@pytest.mark.parametrize(
    ("seat", "failing"),
    [
        ("system", "exit 78"),
        ("system", "exit 0"),
        ("system", "kill -SEGV $$"),
        ("user", "exit 127"),
    ],
    indirect=["seat"],
)
def test_a_daemon_that_fails_at_every_start_closes_nothing(seat: Seat, failing: str) -> None:
    """Who waits meanwhile is served as soon as it is mended, and the failing starts are not many."""
    starts = pathlib.Path(seat.box.path("/var/starts"))
    starts.write_text("")
    starts.chmod(0o666)
    seat.drop_in("[Service]\nReadWritePaths=/var/starts\n")
    mend(seat.box, f"#!/bin/sh\necho start >> /var/starts; {failing}\n")
    client = threading.Thread(target=seat.caller.look, args=("status",))
    client.start()
    seat.place("wake.signal")
    until(lambda: len(starts.read_text().split()) >= 2, what="a second start")
    for kind in ("socket", "path"):
        assert seat.show(f"torpord.{kind}", "ActiveState") == {"ActiveState": "active"}
    mend(seat.box)
    until(lambda: not client.is_alive() and not seat.has("wake.signal"), what="who waited is served")
    assert len(starts.read_text().split()) < 10
