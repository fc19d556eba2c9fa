"""300 clients around the moment of hibernation, on a socket that the service manager holds: none meets silence."""

from __future__ import annotations

import collections
import os
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from service.caller import Caller
    from service.seat import Seat

CROWD = 50


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
