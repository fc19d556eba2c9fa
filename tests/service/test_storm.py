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

CROWD = 75


class Crowd:
    """Clients that each send one event, and want one answer."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._threads: list[threading.Thread] = []
        self.callers: list[Caller] = []
        self.answers: list[dict[str, Any]] = []
        self.failures: list[BaseException] = []

    def come(self, number: int) -> None:
        for _ in range(number):
            caller = self._seat.caller
            self.callers.append(caller)
            self._threads.append(threading.Thread(target=self._one, args=(caller,)))
            self._threads[-1].start()

    def _one(self, caller: Caller) -> None:
        try:
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
        crowd.come(CROWD)  # while it is up
        crowd.leave()
        seat.caller.ask("hibernate", now=True)
        crowd.come(CROWD)  # while it looks for work, which takes the hibernation back, or a moment later
        # Silent, it is closed when the daemon is past the point of no return.
        while not select.select([observer], [], [], 0.2)[0]:
            crowd.leave()
            seat.caller.ask("hibernate", now=True)
        crowd.come(CROWD)  # while it closes what is open
        assert select.select([gone], [], [], 20)[0], "it does not end"
        crowd.come(CROWD)  # when it is gone
        crowd.leave()
    assert crowd.failures == []
    assert len(crowd.answers) == 4 * CROWD
    last = seat.caller.look("status")
    assert (last["generation"], last["start_cause"]) == (first["generation"] + 1, "connect")
    # Each event counts once, however often it was asked; a hibernation that was asked for is no activity.
    assert last["wrapper_event_seq"] - first["wrapper_event_seq"] == 4 * CROWD
    # The manager's socket is never away, and nobody was turned down in another way than the contract's.
    assert set(crowd.again()) <= {"draining", "EOF", "ECONNRESET", "EPIPE", "EAGAIN"}
    assert seat.show("torpord.service", "NRestarts") == {"NRestarts": "0"}
