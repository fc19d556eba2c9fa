"""Every named point with every fault (`fault_table.py`): what it does, and that nothing is lost or done twice by it.

ENOSPC is a small tmpfs, filled while the daemon stands at the point; EIO is the answer of its system calls from there
on (`failing_disk.py`). Both are healed afterwards, and the tour goes on with the same home, daemon after daemon.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon
from process import failing_disk
from process.disk import SmallDisk
from process.fault_table import (
    AGAIN,
    ANSWERED,
    ANSWERED_DIES,
    DIES,
    FAILED,
    GOES_ON,
    LEAVES,
    TABLE,
    UNRECORDED,
)
from process.flow_runs import (
    FINISHED,
    assert_once,
    assert_whole_after,
    flow_settings,
    history_at_end,
    start,
)
from process.flow_runs import until as until_in_time
from process.reading import assert_whole, kinds
from process.timers import settings
from process.trap import Trap
from process.wake_files import drop, left
from torpord.points import POINTS
from waiting import until

GONE = (EOFError, BrokenPipeError, ConnectionResetError, ConnectionRefusedError, FileNotFoundError)
OF_DAEMON = [point for point, row in TABLE.items() if row.by != "step"]
OF_WORKER = [point for point, row in TABLE.items() if row.by == "step"]
Fault = Callable[[RunningDaemon], AbstractContextManager[None]]

needs_strace = pytest.mark.skipif(bool(failing_disk.missing()), reason=failing_disk.missing())


def test_every_point_has_its_row() -> None:
    assert set(TABLE) == set(POINTS)


class Tour:
    """One home, taken to one point after the other."""

    def __init__(self, home: Path, folder: Path, fault: Fault | None) -> None:
        self.home = home
        self._fault = fault
        self.trap = Trap(folder, dict.fromkeys(OF_DAEMON, "wait" if fault else "mistake"), armed=False)
        self.daemon = self._start()
        self.asked = 0

    def _start(self) -> RunningDaemon:
        return RunningDaemon.start(self.home, settings(), launcher=self.trap.launcher)

    def visit(self, point: str) -> str:
        """Bring it to a point, let it meet the fault there, heal, and see that all gets done; returns the outcome."""
        if self.daemon.process.poll() is not None:
            self.daemon = self._start()
        with self.daemon.connect() as client:
            client.call("status")  # the turn before is over, and with it its passage of the points
            self.trap.arm(point)
            if TABLE[point].by == "hibernation":
                return self._left_at(point, client)
            key = f"at {point}"
            self.asked += 1
            outcome = self._event(point, client, key) if TABLE[point].by == "event" else self._file(point, key)
        if outcome in (DIES, ANSWERED_DIES):
            assert self.daemon.wait_gone() == 1
            self.daemon = self._start()
        self._asked_again(key, replayed=outcome in (ANSWERED, ANSWERED_DIES))
        return outcome

    @contextlib.contextmanager
    def _at(self, point: str) -> Iterator[None]:
        """Be at the point with the fault, and within the context on from there."""
        if self._fault is None:
            until(lambda: self.trap.was_reached(point), what=point)
            yield
            return
        self.trap.reached(point, self.daemon)
        with self._fault(self.daemon):
            self.trap.let_go(point)
            yield

    def _event(self, point: str, client: LineClient, key: str) -> str:
        request = client.request("event", event="request_arrived", key=key)
        with self._at(point):
            try:
                reply = client.read_line()
            except GONE:
                return DIES
        assert reply["id"] == request
        if "error" in reply:
            return str(reply["error"]["data"]["name"])
        try:
            client.call("status")
        except GONE:
            return ANSWERED_DIES
        return ANSWERED

    def _file(self, point: str, key: str) -> str:
        drop(self.home, "file.json", key=key)
        with self._at(point):
            until(lambda: not left(self.home) or self.daemon.process.poll() is not None, what="an end of the file")
        return DIES if left(self.home) else ANSWERED

    def _left_at(self, point: str, client: LineClient) -> str:
        client.request("hibernate", now=True)
        with self._at(point):
            code = self.daemon.wait_gone()
        assert code in (0, 1)
        if code == 1:
            return DIES
        return LEAVES if kinds(self.home)[-1] == "stopped" else UNRECORDED

    def _asked_again(self, key: str, *, replayed: bool) -> None:
        def answer() -> dict[str, object] | None:
            reply = self.daemon.ask("event", event="request_arrived", key=key)
            return reply.get("result")

        result = until(answer, what="an answer from a daemon whose disk is as it should be")
        assert result.get("replayed", False) or not replayed

    def end(self) -> None:
        """Check what the tour leaves: each thing that was asked has counted once."""
        if self.daemon.process.poll() is not None:
            self.daemon = self._start()
        assert self.daemon.call("status")["wrapper_event_seq"] == self.asked
        assert self.daemon.stop() == 0
        assert assert_whole(self.home).activity.event_seq == self.asked


@contextlib.contextmanager
def filled(disk: SmallDisk) -> Iterator[None]:
    """Have a disk full within the context."""
    disk.fill()
    try:
        yield
    finally:
        disk.free()


def toured(home: Path, folder: Path, fault: Fault | None) -> dict[str, str]:
    tour = Tour(home, folder, fault)
    found = {point: tour.visit(point) for point in OF_DAEMON}
    tour.end()
    return found


def test_a_mistake_of_ours_at_each_point_of_the_daemon(home: Path, short_dir: Path) -> None:
    assert toured(home, short_dir / "trap", None) == {point: TABLE[point].mistake for point in OF_DAEMON}


def test_a_full_disk_from_each_point_of_the_daemon_on(disk: SmallDisk, short_dir: Path) -> None:
    assert toured(disk.home, short_dir / "trap", lambda _: filled(disk)) == {
        point: TABLE[point].full for point in OF_DAEMON
    }


@needs_strace
def test_a_broken_disk_from_each_point_of_the_daemon_on(home: Path, short_dir: Path) -> None:
    found = toured(home, short_dir / "trap", lambda daemon: failing_disk.failing(daemon.pid, home))
    assert found == {point: TABLE[point].broken for point in OF_DAEMON}


def toured_by_runs(home: Path, folder: Path, fault: Fault) -> dict[str, str]:
    """Hold a worker at each point, a run for each, and let it go on while its daemon's disk takes nothing."""
    daemon = RunningDaemon.start(home, flow_settings("toy:calls"))
    found = {}
    for point in OF_WORKER:
        outside = folder / point
        run_id = start(daemon, "calls", outside, until=1, snares={point: 1}, how="hold")
        until_in_time((outside / point).exists, what=point)
        with fault(daemon):
            until(lambda: daemon.ask("event", event="request_arrived").get("error"), what="a refusal")
            (outside / f"{point}.go").touch()
            until((outside / f"{point}.gone").exists)
        history = history_at_end(daemon, run_id)
        assert_once(history, outside, home)
        found[point] = AGAIN if {step["outcome"] for step in history.steps} - FINISHED else GOES_ON
    assert_whole_after(daemon)
    return found


def test_a_full_disk_from_each_point_of_a_worker_on(roomy_disk: SmallDisk, short_dir: Path) -> None:
    found = toured_by_runs(roomy_disk.home, short_dir, lambda _: filled(roomy_disk))
    assert found == {point: TABLE[point].full for point in OF_WORKER}


@needs_strace
def test_a_broken_disk_from_each_point_of_a_worker_on(home: Path, short_dir: Path) -> None:
    found = toured_by_runs(home, short_dir, lambda daemon: failing_disk.failing(daemon.pid, home))
    assert found == {point: TABLE[point].broken for point in OF_WORKER}


def test_a_mistake_of_ours_at_each_point_of_a_worker(home: Path, short_dir: Path) -> None:
    """A run for each, all of them at once under one daemon."""
    daemon = RunningDaemon.start(home, flow_settings("toy:calls"))
    runs = {
        point: start(daemon, "calls", short_dir / point, until=1, snares={point: 1}, how="mistake")
        for point in OF_WORKER
    }
    found = {}
    for point, run_id in runs.items():
        history = history_at_end(daemon, run_id)
        assert (short_dir / point / point).exists(), "it never came there"
        if history.run["status"] == "failed":
            assert "a mistake" in history.run["reason"]
            found[point] = FAILED
            continue
        assert_once(history, short_dir / point, home)
        found[point] = AGAIN if {step["outcome"] for step in history.steps} - FINISHED else GOES_ON
    assert found == {point: TABLE[point].mistake for point in OF_WORKER}
    assert_whole_after(daemon)
