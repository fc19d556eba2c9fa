"""A cancel, a pause and a request in the very instant of a step's end: both are in one batch, in either order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from process.flow_runs import (
    assert_once,
    assert_whole_after,
    flow_settings,
    history,
    history_at_end,
    lives,
    start,
    until,
)
from process.flows.outside import marks
from process.trap import Trap

HELD = "worker.returned"
# Of a chain, how manieth state stands still: one in the middle, and the last.
WHERE = {"middle": 3, "last": 6}


class Instant:
    """A worker that stands where its step has returned, and a writer that has taken a batch: all else piles up."""

    def __init__(self, home: Path, short_dir: Path, nth: int) -> None:
        self.folder = short_dir / "out"
        self.trap = Trap(short_dir / "trap", {"writer.taken": "wait"}, armed=False)
        self.daemon = RunningDaemon.start(home, flow_settings("toy:chain"), launcher=self.trap.launcher)
        self.run_id = start(self.daemon, "chain", self.folder, until=4, snares={HELD: nth}, how="hold")
        until((self.folder / HELD).exists, what="the worker at its point")
        self.worker = int((self.folder / HELD).read_text())

    def together(self, first: str, method: str, **params: object) -> dict[str, object]:
        """Have the step's end and a request arrive while the writer stands still; returns the request's reply."""
        self.trap.arm()
        with self.daemon.connect() as other, LineClient(self.daemon.socket) as client:
            other.request("event", event="heartbeat_refresh")
            self.trap.reached("writer.taken", self.daemon)
            if first == "request":
                client.request(method, **params)
            (self.folder / f"{HELD}.go").touch()
            until((self.folder / f"{HELD}.gone").exists, what="the end of the step")
            if first == "end":
                client.request(method, **params)
            self.trap.let_go("writer.taken")
            assert "result" in other.read_line()
            return client.read_line()


@pytest.mark.parametrize("first", ["end", "request"])
@pytest.mark.parametrize("where", WHERE)
def test_a_cancel(where: str, first: str, home: Path, short_dir: Path) -> None:
    instant = Instant(home, short_dir, WHERE[where])
    reply = instant.together(first, "run.cancel", run_id=instant.run_id)
    found = history_at_end(instant.daemon, instant.run_id)
    if "error" in reply:
        assert where == "last"
        assert reply["error"]["data"]["name"] == "conflict"
        assert found.run["status"] == "completed"
        assert_once(found, instant.folder, home)
    else:
        assert (reply["result"]["status"], found.run["status"]) == ("cancelled", "cancelled")
        assert [each for each in found.outcomes[:-1] if not each.endswith("next")] == []
        assert found.outcomes[-1].endswith("cancelled")
    until(lambda: not lives(instant.worker), what="the worker's end")
    told = {(each["state"], each["visit"], each["attempt"]) for each in found.steps}
    begun = {(each["state"], each["visit"], each["attempt"]) for each in marks(instant.folder, "begin")}
    assert begun <= told
    assert_whole_after(instant.daemon)


@pytest.mark.parametrize("first", ["end", "request"])
@pytest.mark.parametrize("where", WHERE)
def test_a_pause(where: str, first: str, home: Path, short_dir: Path) -> None:
    instant = Instant(home, short_dir, WHERE[where])
    reply = instant.together(first, "run.pause", run_id=instant.run_id)
    if "error" in reply or where == "last":  # it was done before it could rest
        found = history_at_end(instant.daemon, instant.run_id)
    else:
        until(lambda: history(instant.daemon, instant.run_id).run["status"] == "paused", what="the pause")
        found = history(instant.daemon, instant.run_id)
        assert {step["outcome"] for step in found.steps} == {"next"}
        until(lambda: not lives(instant.worker), what="the worker's end")
        instant.daemon.call("run.resume", run_id=instant.run_id)
        found = history_at_end(instant.daemon, instant.run_id)
    assert_once(found, instant.folder, home)
    assert [step["attempt"] for step in found.steps] == [1] * len(found.steps)
    assert_whole_after(instant.daemon)


@pytest.mark.parametrize("first", ["end", "request"])
def test_a_request(first: str, home: Path, short_dir: Path) -> None:
    """The sleep cycle gives way in the instant in which its step ends: that is done, and the rest comes later."""
    folder = short_dir / "out"
    folder.mkdir()
    trap = Trap(short_dir / "trap", {"writer.taken": "wait"}, armed=False)
    cycle = '[sleep]\nflow = "sleeper"\nyield_within = "5s"'
    daemon = RunningDaemon.start(
        home, flow_settings("sleeper:sleeper", more=cycle), launcher=trap.launcher, env={"OUTSIDE": str(folder)}
    )
    daemon.call("event", event="force_sleep")
    until(lambda: marks(folder, "effect"))

    def run_now() -> dict[str, Any]:
        (found,) = daemon.call("run.list", flow="sleeper")["runs"]
        return found

    until(lambda: "'done'" in str(run_now()["progress"]), what="the step behind its call")
    trap.arm()
    with daemon.connect() as other, daemon.connect() as client:
        other.request("event", event="heartbeat_refresh")
        trap.reached("writer.taken", daemon)
        if first == "request":
            client.request("event", event="request_arrived")
        (folder / "go").touch()
        until(lambda: marks(folder, "leaving"), what="the end of the step")
        if first == "end":
            client.request("event", event="request_arrived")
        trap.let_go("writer.taken")
        assert "result" in other.read_line()
        assert client.read_line()["result"]["state"] == "WAKE"
    until(lambda: not run_now()["worker_pid"], what="the worker's end")
    run = run_now()
    assert run["status"] in ("pending", "completed")
    if run["status"] == "pending":
        daemon.call("event", event="force_sleep")
        assert daemon.wait_gone() == 0
        daemon = daemon.again()
    found = history(daemon, run["run_id"])
    assert found.outcomes == ["early.1.1 next", "middle.1.1 next", "late.1.1 complete"]
    assert len(marks(folder, "effect")) == 1
    assert_whole_after(daemon)
