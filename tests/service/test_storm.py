"""Crowds: where a manager holds the socket none meets silence, and nothing they do meets a limit of its units."""

from __future__ import annotations

import collections
import os
import pathlib
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from service.seat import USER
from waiting import until

if TYPE_CHECKING:
    from service.caller import Caller
    from service.seat import Seat

CROWD = 50
# A daemon that dies is there again at once.
QUICK = "[Service]\nRestartSec=50ms\n"
# What an event is not. Each must be put aside, and none may keep the unit that watches the folder busy for ever.
BAD_FILES = """
mkdir {home}/tmp/bad
cd {home}/tmp/bad
for i in $(seq 1 100); do
    echo "no event" > "$i.json"; mkdir "d$i"; touch "d$i/x"; ln -s /etc/shadow "l$i.json"
done
mkfifo pipe.json; chmod 0 1.json; ln -s loop.json loop.json; touch "$(printf 'a\\nb').json" '*.json'
"""
TOUCHES = "for i in $(seq 1 1000); do : > {home}/wake.signal; done"


class Crowd:
    """Clients that each send one event, and want one answer."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._threads: list[threading.Thread] = []
        self.callers: list[Caller] = []
        self.answers: list[dict[str, Any]] = []
        self.failures: list[BaseException] = []

    def come(self) -> None:
        """Connect and ask, all at once."""
        for _ in range(CROWD):
            self._begin(self._seat.caller, threading.Barrier(1))

    def gather(self) -> threading.Barrier:
        """Connect, and ask when the barrier that is returned has been waited for."""
        barrier = threading.Barrier(CROWD + 1)
        for _ in range(CROWD):
            caller = self._seat.caller
            caller.connect()
            self._begin(caller, barrier)
        return barrier

    def _begin(self, caller: Caller, barrier: threading.Barrier) -> None:
        self.callers.append(caller)
        self._threads.append(threading.Thread(target=self._one, args=(caller, barrier)))
        self._threads[-1].start()

    def _one(self, caller: Caller, barrier: threading.Barrier) -> None:
        try:
            barrier.wait(30)
            self.answers.append(caller.event())
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            self.failures.append(error)

    def leave(self) -> None:
        for thread in self._threads:
            thread.join(30)

    def again(self) -> collections.Counter[str]:
        return sum((caller.again for caller in self.callers), collections.Counter())


@pytest.mark.parametrize("seat", ["system"], indirect=True)
@pytest.mark.parametrize("_again", range(3))
def test_300_clients_around_hibernation_all_get_their_answer(seat: Seat, _again: int) -> None:
    first = seat.caller.look("status")
    crowd = Crowd(seat)
    gone = os.pidfd_open(seat.box.pid_outside(seat.main_pid()))
    with socket.socket(socket.AF_UNIX) as observer, os.fdopen(gone):
        observer.connect(seat.caller.path)
        crowd.come()  # while it is up
        crowd.leave()
        now, later = crowd.gather(), crowd.gather()
        seat.caller.ask("hibernate", now=True)
        crowd.come()  # while it looks for work, which takes the hibernation back, or a moment later
        now.wait()  # the same, on connections it knows
        # Silent, it is closed when the daemon is past the point of no return.
        while not select.select([observer], [], [], 0.2)[0]:
            seat.caller.ask("hibernate", now=True)
        later.wait()  # on connections that it closes
        crowd.come()  # while it does so
        assert select.select([gone], [], [], 20)[0], "it does not end"
        crowd.come()  # when it is gone
        crowd.leave()
    assert crowd.failures == []
    assert len(crowd.answers) == 6 * CROWD
    last = seat.caller.look("status")
    assert (last["generation"], last["start_cause"]) == (first["generation"] + 1, "connect")
    # Each event counts once, however often it was asked; a hibernation that was asked for is no activity.
    assert last["wrapper_event_seq"] - first["wrapper_event_seq"] == 6 * CROWD
    # The manager's socket is never away, and nobody was turned down in another way than the protocol says.
    assert set(crowd.again()) <= {"draining", "EOF", "ECONNRESET", "EPIPE", "EAGAIN"}
    assert seat.show("torpord.service", "NRestarts") == {"NRestarts": "0"}


def assert_no_limit_was_met(seat: Seat) -> None:
    for kind in ("service", "socket", "path"):
        assert seat.show(f"torpord.{kind}", "Result") == {"Result": "success"}
    for kind in ("socket", "path"):
        assert seat.show(f"torpord.{kind}", "ActiveState") == {"ActiveState": "active"}


def test_50_first_connections_at_once_start_one_daemon(seat: Seat) -> None:
    assert seat.main_pid() == 0
    crowd = Crowd(seat)
    crowd.come()
    crowd.leave()
    assert crowd.failures == []
    assert len(crowd.answers) == CROWD
    assert not crowd.again(), "one connection each was enough"
    status = seat.caller.look("status")
    assert (status["generation"], status["start_cause"], status["pid"]) == (1, "connect", seat.main_pid())
    assert seat.show("torpord.service", "NRestarts") == {"NRestarts": "0"}


def test_killed_among_its_clients_it_answers_each_and_does_each_once(seat: Seat) -> None:
    seat.drop_in(QUICK)
    first = seat.caller.look("status")
    crowd = Crowd(seat)
    barrier = crowd.gather()
    crowd.come()
    barrier.wait()
    seat.systemctl("kill", "--kill-whom=main", "--signal=KILL", "torpord.service")
    crowd.come()
    crowd.leave()
    assert crowd.failures == []
    last = seat.caller.look("status")
    assert (last["generation"], last["start_cause"]) == (first["generation"] + 1, "crash")
    assert last["wrapper_event_seq"] - first["wrapper_event_seq"] == len(crowd.answers) == 3 * CROWD
    assert set(crowd.again()) <= {"EOF", "ECONNRESET", "EPIPE"}


def test_nothing_that_clients_and_files_do_meets_a_limit(seat: Seat) -> None:
    for _ in range(1000):
        with socket.socket(socket.AF_UNIX) as passer_by:
            passer_by.connect(seat.caller.path)
    seat.caller.event()
    seat.box.run("bash", "-ec", TOUCHES.format(home=seat.home), user=USER)
    wait_taken(seat)
    leave_bad_files(seat)
    # Five starts in ten seconds are what systemd allows by default, and twenty triggers in two.
    for generation in range(2, 8):
        seat.hibernate()
        if generation % 2:
            seat.place("wake.signal")
            wait_taken(seat)
        status = seat.caller.look("status")
        assert (status["generation"], status["start_cause"]) == (generation, ("connect", "wake.signal")[generation % 2])
    seat.hibernate()
    leave_bad_files(seat)  # these start it once, and no more than once
    until(lambda: seat.state_file()["generation"] == 8, what="a start for them")
    seat.hibernate()
    assert seat.state_file()["generation"] == 8
    assert_no_limit_was_met(seat)
    assert seat.caller.event()["state"] == "WAKE"


def wait_taken(seat: Seat) -> None:
    until(lambda: not seat.has("wake.signal"), what="wake.signal taken")


def leave_bad_files(seat: Seat) -> None:
    seat.box.run("bash", "-ec", BAD_FILES.format(home=seat.home), user=USER)
    home = pathlib.Path(seat.box.path(seat.home))
    wake_d, made = home / "wake.d", home / "tmp/bad"
    for file in made.iterdir():
        file.rename(wake_d / file.name)
    made.rmdir()
    until(lambda: not any(wake_d.iterdir()), limit_s=20, what="the bad files put aside")


@pytest.mark.parametrize("seat", ["system"], indirect=True)
def test_killed_again_and_again_it_comes_back_for_who_waits(seat: Seat) -> None:
    seat.drop_in(QUICK)
    for _ in range(6):
        seat.caller.event()
        pid = seat.main_pid()
        seat.systemctl("kill", "--kill-whom=main", "--signal=KILL", "torpord.service")
        seat.wait_another(pid)
    assert seat.caller.look("status")["start_cause"] == "crash"
    seat.hibernate()
    assert_no_limit_was_met(seat)
