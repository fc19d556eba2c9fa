"""A client in each gap of the exit: it always gets its answer, once. Before the point of no return it takes it back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon
from process.patience import PatientClient, Spawner
from process.reading import assert_whole, kinds, state_file
from process.timers import settings
from process.trap import Trap
from process.wake_files import drop, left
from torpord.points import POINTS
from waiting import until

GAPS = [name for name in POINTS if name.startswith("exit.")]
EVENT = {"event": "request_arrived", "key": "in the gap"}


class Leaver:
    """A daemon that was told to hibernate and stands at a point of its exit, with one connection still open."""

    def __init__(self, home: Path, folder: Path, gap: str) -> None:
        self.gap = gap
        self.trap = Trap(folder, {gap: "wait"})
        self.daemon = RunningDaemon.start(home, settings(), launcher=self.trap.launcher)
        self.old = self.daemon.connect()
        self.old.call("status")
        self.spawner = Spawner(self.daemon)
        self.asker = self.daemon.connect()
        self.asker.request("hibernate", now=True)  # its reply may come after the gap
        self.trap.reached(gap, self.daemon)

    def let_go(self) -> None:
        self.trap.let_go(self.gap)
        assert self.asker.read_line()["result"]["state"] in ("SLEEP", "HIBERNATION")

    def check(self, home: Path) -> None:
        """Look at what became of it: counted once, by this one or its successor."""
        turned_back = self.gap == "exit.decided"
        until(lambda: self.spawner.daemon.call("status")["state"] == "WAKE", what="WAKE")
        status = self.spawner.daemon.call("status")
        assert status["wrapper_event_seq"] == 1
        assert status["generation"] == (1 if turned_back else 2)
        if turned_back:
            assert (self.spawner.starts, status["pid"]) == (0, self.daemon.pid)
        else:
            assert self.daemon.wait_gone() == 0
        assert self.spawner.daemon.stop() == 0
        assert_whole(home)
        assert kinds(home).count("stopped") == status["generation"]


@pytest.fixture
def leaver(request: pytest.FixtureRequest, home: Path, short_dir: Path) -> Iterator[Leaver]:
    made = Leaver(home, short_dir / "trap", request.param)
    yield made
    made.old.close()
    made.asker.close()


each_gap = pytest.mark.parametrize("leaver", GAPS, indirect=True)


@each_gap
def test_who_connects_gets_an_answer(leaver: Leaver, home: Path) -> None:
    client = None
    try:
        client = LineClient(leaver.daemon.socket)
        client.request("event", **EVENT)
    except (FileNotFoundError, ConnectionRefusedError):
        assert leaver.gap not in ("exit.decided", "exit.looked")  # then it is known to be down
    leaver.let_go()
    patient = PatientClient(leaver.daemon.socket, leaver.spawner)
    reply = patient.try_on(client) or patient.ask("event", **EVENT)
    assert reply["result"]["state"] == "WAKE"
    leaver.check(home)


@each_gap
def test_who_was_connected_and_sends_gets_an_answer(leaver: Leaver, home: Path) -> None:
    client: LineClient | None = leaver.old
    try:
        leaver.old.request("event", **EVENT)
    except BrokenPipeError:
        client = None  # known to be unsent
    leaver.let_go()
    patient = PatientClient(leaver.daemon.socket, leaver.spawner)
    reply = patient.try_on(client) or patient.ask("event", **EVENT)
    assert reply["result"]["state"] == "WAKE"
    leaver.check(home)


@each_gap
def test_a_file_that_is_left_is_taken(leaver: Leaver, home: Path) -> None:
    drop(home, "gap.json", key="in the gap")
    leaver.let_go()
    successor_if_gone(leaver)
    until(lambda: left(home) == [], what="the file to be taken")
    leaver.check(home)


@each_gap
def test_a_touched_wake_signal_is_taken(leaver: Leaver, home: Path) -> None:
    (home / "wake.signal").touch()
    leaver.let_go()
    successor_if_gone(leaver)
    until(lambda: not (home / "wake.signal").exists(), what="the file to be taken")
    leaver.check(home)


def successor_if_gone(leaver: Leaver) -> None:
    """Do what a service manager's path unit does: start a daemon that is down while something lies there."""
    if leaver.gap != "exit.decided":
        leaver.daemon.wait_gone()
        leaver.spawner.start()


@each_gap
def test_who_only_waits_or_looks_gets_a_clean_end(leaver: Leaver, home: Path) -> None:
    turning_back_is_possible = leaver.gap in ("exit.decided", "exit.looked")
    with_wait = leaver.old.request("wait", state="DROWSY") if turning_back_is_possible else 0
    leaver.let_go()
    assert leaver.daemon.wait_gone() == 0
    if with_wait:
        assert leaver.old.read_line()["error"]["data"]["name"] == "draining"
    assert leaver.old.at_end()
    assert state_file(home)["current_state"] == "HIBERNATION"


@pytest.mark.parametrize("gap", ["exit.looked", "exit.drained", "exit.told"])
def test_the_socket_of_a_successor_is_never_unlinked(gap: str, home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", {gap: "wait"})
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    daemon.call("hibernate", now=True)
    trap.reached(gap, daemon)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as successor:
        successor.bind(str(home / "new.sock"))
        successor.listen(8)
        (home / "new.sock").rename(daemon.socket)
        inode = daemon.socket.stat().st_ino
        trap.let_go(gap)
        assert daemon.wait_gone() == 0
        assert daemon.socket.stat().st_ino == inode
        LineClient(daemon.socket).close()


def test_work_that_comes_while_it_looks_again_and_again_takes_it_back(home: Path, short_dir: Path) -> None:
    """Looking is not using, also then: a client that looks without pause does not keep it from its exit."""
    leaver = Leaver(home, short_dir / "trap", "exit.decided")
    line = b'{"jsonrpc": "2.0", "id": 1, "method": "status"}\n'
    leaver.old.send(line * 100)
    leaver.let_go()
    for _ in range(100):
        assert leaver.old.read_line()["result"]["state"] == "HIBERNATION"
    assert leaver.old.at_end()
    assert leaver.daemon.wait_gone() == 0
