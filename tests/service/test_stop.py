"""`stop` under a real service manager: nothing starts what was told to stay down, but `torpor start`."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from service.seat import RUNTIME, SCRIPT, USER, mend
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.caller import Caller
    from service.seat import Seat

DOORS = ("torpord.socket", "torpord.path")
GONE = {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0", "NRestarts": "0"}
UNITS = {"user": ("systemd-user", "torpord"), "system": ("systemd-system", f"torpord@{USER}")}
# Dies when all is answered, and before anybody is told.
MORTAL = SCRIPT.replace(
    "from torpord.cli import main\n",
    "from torpord import points\n"
    "import os\n"
    "points.hook = lambda name: os.kill(os.getpid(), 9) if name == 'exit.drained' else None\n"
    "from torpord.cli import main\n",
)
KEEPER = f"torpord-keeper@{USER}.socket"


@pytest.fixture
def keeper(seat: Seat) -> Iterator[None]:
    """The system's manager hears its user, as an install has it; a user's own needs nobody for that."""
    if seat.manager == "system":
        seat.box.systemctl("start", KEEPER)
    yield
    seat.box.systemctl("stop", KEEPER)


def torpor(seat: Seat, *words: str) -> str:
    """Run a command of torpor's as the user, who is not root, and return what it printed."""
    line = shlex.join([sys.executable, "-P", "-m", "torpor", *words, "--home", seat.home])
    said = seat.box.run("sh", "-c", f"cd /; {line} 2>&1; echo exit $?", env=RUNTIME, user=USER)
    assert said.endswith("exit 0\n"), said
    return said.removesuffix("exit 0\n")


def is_refused(seat: Seat) -> bool:
    """Whether nobody listens. Who connects is who would wake it."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(seat.caller.path)
        except ConnectionRefusedError:
            return True
    return False


def wait_closed(seat: Seat) -> None:
    """Wait until the daemon is gone in peace, and its door is shut."""
    seat.wait("torpord.service", **GONE)
    for unit in DOORS:
        seat.wait(unit, ActiveState="inactive", Result="success")


def starts_nothing(seat: Seat) -> None:
    """Try all that would start a daemon which was not told to stay down."""
    assert is_refused(seat)
    seat.place("wake.signal")
    seat.systemctl("start", *DOORS)  # as a boot does
    for unit in DOORS:
        seat.wait(unit, ActiveState="inactive", ConditionResult="no", Result="success")
    assert is_refused(seat)
    assert seat.systemctl("list-jobs").startswith("No jobs")
    assert seat.main_pid() == 0


@pytest.mark.usefixtures("keeper")
def test_a_bare_stop_shuts_the_door_until_torpor_start(seat: Seat) -> None:
    seat.caller.event()
    told = seat.state_file()
    assert (told["manager"], told["unit"]) == UNITS[seat.manager]
    assert seat.caller.ask("stop") == {"state": "WAKE"}
    wait_closed(seat)
    assert seat.read("stopped") == "stopped by `torpor stop`; `torpor start` starts it again\n"
    assert (seat.state_file()["reason"], seat.state_file()["pid"]) == ("stop", None)
    starts_nothing(seat)
    start = "torpor start" if seat.manager == "user" else f"torpor start --home {seat.home}"
    assert torpor(seat, "send", "request_arrived") == f"left in wake.d: torpor is stopped, run `{start}`\n"
    assert torpor(seat, "stop") == "stopped already, in WAKE\n"
    assert torpor(seat, "start").startswith("torpord is up: WAKE, pid ")
    status = seat.caller.look("status")
    assert (status["supervisor"], status["generation"]) == ("systemd", 2)
    assert not seat.has("stopped")
    until(lambda: not seat.has("wake.signal"), what="wake.signal taken")


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize("seat", ["system"], indirect=True)
def test_it_outlives_the_state_file(seat: Seat) -> None:
    # What an install leaves in the home.
    manager, unit = UNITS[seat.manager]
    seat.place("service.json", json.dumps({"schema_version": 1, "manager": manager, "unit": unit}))
    seat.caller.event()
    assert torpor(seat, "stop") == f"stopped in WAKE: `torpor start --home {seat.home}` starts it again\n"
    wait_closed(seat)
    seat.box.run("rm", f"{seat.home}/lifecycle_state.json")
    starts_nothing(seat)
    assert torpor(seat, "start").startswith("torpord is up: ")
    assert seat.caller.look("status")["supervisor"] == "systemd"
    # One after the other, without a look at what the manager still does: the start stands.
    assert torpor(seat, "restart").startswith("torpord is up: ")
    for door in DOORS:
        seat.wait(door, ActiveState="active")


@pytest.mark.parametrize("seat", ["user"], indirect=True)
def test_a_login_opens_no_door_that_was_shut(seat: Seat) -> None:
    seat.systemctl("enable", *DOORS)
    try:
        seat.caller.event()
        seat.caller.ask("stop")
        wait_closed(seat)
        seat.box.systemctl("restart", "manager.service")
        seat.systemctl("is-system-running", "--wait", check=False)
        for unit in DOORS:
            seat.wait(unit, ActiveState="inactive", ConditionResult="no", Result="success")
        assert is_refused(seat)
        torpor(seat, "start")
        assert seat.caller.look("status")["generation"] == 2
    finally:
        seat.systemctl("disable", *DOORS)


@pytest.mark.parametrize("seat", ["user"], indirect=True)
def test_safe_mode_is_stopped_as_well(seat: Seat) -> None:
    seat.place("torpor.toml", "colour = 'blue'\n")
    assert seat.caller.look("status")["safe_mode"] is not None
    seat.caller.ask("stop")
    wait_closed(seat)
    starts_nothing(seat)
    seat.place("torpor.toml", '[lifecycle]\nmin_up = "100ms"\n')
    torpor(seat, "start")
    assert seat.caller.look("status")["safe_mode"] is None


@pytest.mark.usefixtures("keeper")
def test_whoever_asks_on_is_answered_or_finds_nobody_and_starts_nobody(seat: Seat) -> None:
    seat.caller.event()
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "event", "params": {"event": "request_arrived"}}).encode()

    def ask(caller: Caller) -> int:
        answers = 0
        while not caller.again["ECONNREFUSED"]:  # silence fails in there
            answers += caller._once(line + b"\n") is not None
        return answers

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, seat.caller) for _ in range(8)]
        until(lambda: seat.caller.look("status")["wrapper_event_seq"] > 20, what="all of them at it")
        seat.caller.ask("stop")
        assert sum(answers.result(30) for answers in asking) >= 20
    wait_closed(seat)
    assert (seat.state_file()["generation"], seat.state_file()["reason"]) == (1, "stop")


@pytest.mark.parametrize("seat", ["user"], indirect=True)
def test_one_that_is_killed_on_its_way_out_stays_down_all_the_same(seat: Seat) -> None:
    seat.drop_in("[Service]\nRestartSec=50ms\n")
    mend(seat.box, MORTAL)
    seat.caller.event()
    assert seat.caller.ask("stop") == {"state": "WAKE"}
    until(lambda: "stop_finished" in seat.journal(), what="the start that finishes it")
    wait_closed(seat)
    starts_nothing(seat)
    torpor(seat, "start")
    assert seat.caller.look("status")["generation"] == 2


@pytest.mark.parametrize("seat", ["system"], indirect=True)
def test_without_its_keeper_the_door_stays_open_and_the_log_says_so(seat: Seat) -> None:
    seat.caller.event()
    seat.caller.ask("stop")
    seat.wait_down()
    assert seat.has("stopped")
    until(lambda: "still_startable" in seat.journal(), what="a word in the log")
    # Whoever connects starts it, as it always was; and what is up is not stopped.
    assert seat.caller.look("status")["generation"] == 2
    assert not seat.has("stopped")
