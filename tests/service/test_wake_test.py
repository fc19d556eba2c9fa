"""`torpor doctor wake-test` under a real systemd: each way back is truly gone, timed and recorded."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest

from service import seat as seats
from service.seat import RUNTIME, USER
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.box import Box
    from service.seat import Seat

WAYS = ["connect", "wake.signal", "wake.d", "timer"]
# Presses Ctrl-C as soon as the timer is planned. (In a shell's background SIGINT would be ignored.)
INTERRUPTED = """
import os, signal, subprocess, sys, time
end_s = time.monotonic() + 20
child = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while not os.path.exists(sys.argv[1]) and time.monotonic() < end_s:
    time.sleep(0.02)
child.send_signal(signal.SIGINT)
print("exit", child.wait(20))
"""


@pytest.fixture
def own(box: Box) -> Iterator[Seat]:
    """The place of a daemon under a user's own manager."""
    made = seats.Seat(box, "user")
    made.open()
    yield made
    made.close()


def words(seat: Seat, *more: str) -> list[str]:
    wake_test = [sys.executable, "-P", "-m", "torpor", "doctor", "wake-test", *more]
    return ["env", "-C", "/", f"TORPOR_HOME={seat.home}", *wake_test]


def wake_test(seat: Seat, *more: str) -> tuple[int, dict[str, Any]]:
    script = f"{shlex.join(words(seat, '--json', *more))} 2>/dev/null; echo exit $?"
    out, _, status = seat.box.run("sh", "-c", script, env=RUNTIME, user=USER).rstrip("\n").rpartition("exit ")
    return int(status), json.loads(out)


def is_clean(seat: Seat) -> bool:
    """Say whether nothing of a test is left: no file, no plan, nobody."""
    nobody = seat.caller.look("agent.list")["agents"] == seat.caller.look("slot.list")["slots"] == []
    return nobody and not any(seat.has(name) for name in ("wake.signal", "wake.at"))


def test_it_comes_back_by_each_way_and_each_is_recorded_with_its_time(own: Seat) -> None:
    status, told = wake_test(own)
    found = {each["way"]: (each["verdict"], each["found"]) for each in told["ways"] if each["verdict"] != "proven"}
    assert found == {"spawn": ("absent", "not there: a service manager holds the socket")}
    assert (status, told["problem"]) == (0, None)
    took = {each["way"]: each["took_s"] for each in told["ways"] if each["verdict"] == "proven"}
    assert all(0 < took_s < 30 for took_s in took.values()), took
    own.wait_down()  # as it was before
    proven = own.caller.look("status")["ways_back"]
    assert list(proven) == WAYS
    assert all(each["took_s"] is not None for each in proven.values())
    until(lambda: is_clean(own), what="nothing to be left of it")


def test_in_the_systems_manager_a_user_has_her_timer_tested_by_the_keeper(box: Box) -> None:
    seat = seats.Seat(box, "system")
    seat.systemctl("start", "torpord-keeper.socket")
    seat.open()
    try:
        status, told = wake_test(seat, "--only", "timer")
        assert (status, [each["verdict"] for each in told["ways"]]) == (0, ["proven"])
        seat.wait_down()
    finally:
        seat.systemctl("stop", "torpord-keeper.socket")
        seat.close()


def test_where_it_is_broken_off_nothing_is_left_of_it(own: Seat) -> None:
    own.caller.look("status")
    script = [sys.executable, "-c", INTERRUPTED, f"{own.home}/wake.at", *words(own, "--only", "timer")]
    assert own.box.run(*script, env=RUNTIME, user=USER).split() == ["exit", "130"]
    until(lambda: is_clean(own), what="nothing to be left of it")


def test_a_way_that_is_broken_is_found_and_what_was_left_for_it_is_taken_away(own: Seat) -> None:
    own.caller.look("status")
    own.systemctl("stop", "torpord.path")
    status, told = wake_test(own, "--only", "wake.signal", "--timeout", "1s")
    (proof,) = told["ways"]
    assert (status, proof["verdict"], proof["mend"]) == (1, "failed", "torpor service status")
    assert is_clean(own)
