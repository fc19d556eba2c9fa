"""A sleep cycle of one's own: it gives way to a request at once, goes on where it was, and blocks no hibernation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon
from process.flow_runs import History, flow_settings, history, lives, until
from process.flows.outside import marks
from process.reading import assert_whole, kinds, state_file
from process.trap import Trap

YIELD_S = 0.3
# On a machine that is busy with other tests; `bench/` measures the half second that is promised.
SLACK_S = 3.0
CYCLE = f'[sleep]\nflow = "sleeper"\nyield_within = "{YIELD_S}s"\nmin_interval = "1h"'


class Sleeper:
    """A daemon in a home, whose sleep cycle is the toy; and its outside."""

    def __init__(self, home: Path, short_dir: Path, constants: Mapping[str, object] | None = None) -> None:
        self.folder = short_dir / "out"
        self.folder.mkdir()
        trap = Trap(short_dir / "trap", constants=constants or {})
        self.daemon = RunningDaemon.start(
            home,
            flow_settings("sleeper:sleeper", more=CYCLE),
            launcher=trap.launcher,
            env={"OUTSIDE": str(self.folder)},
        )

    def say(self, name: str) -> None:
        (self.folder / name).touch()

    def unsay(self, name: str) -> None:
        (self.folder / name).unlink()

    def sleep(self) -> None:
        assert self.daemon.call("event", event="force_sleep")["state"] == "SLEEP"

    def asleep_in(self, attempt: int) -> int:
        """Go to sleep, and wait until this attempt at the middle step has had its effect; returns the worker's pid."""
        self.sleep()
        until(lambda: any(e["attempt"] == attempt and e["state"] == "middle" for e in marks(self.folder, "begin")))
        until(lambda: marks(self.folder, "effect") and "middle" in str(self.daemon.call("status")["sleep"]["progress"]))
        return int(marks(self.folder, "begin")[-1]["pid"])

    def hibernated(self) -> None:
        """Wait for its end in hibernation, and look at what it left."""
        assert self.daemon.wait_gone() == 0
        assert state_file(self.daemon.home)["current_state"] == "HIBERNATION"
        assert_whole(self.daemon.home)

    def again(self) -> None:
        self.daemon = self.daemon.again()

    def run(self) -> History:
        (run,) = self.daemon.call("run.list", flow="sleeper")["runs"]
        return history(self.daemon, run["run_id"])

    def wait_at_rest(self) -> History:
        until(lambda: self.run().run["status"] == "pending", what="the interrupted run to rest")
        return self.run()


@pytest.fixture
def sleeper(home: Path, short_dir: Path) -> Sleeper:
    return Sleeper(home, short_dir)


def answered_at_once(client: LineClient) -> None:
    begin_s = time.monotonic()
    assert client.call("event", event="request_arrived")["state"] == "WAKE"
    assert time.monotonic() - begin_s < 1, "the cycle goes on until it has given way; the answer does not wait for it"


def test_it_goes_on_where_it_was_after_a_request_a_hibernation_and_a_kill(sleeper: Sleeper) -> None:
    pid = sleeper.asleep_in(1)
    with sleeper.daemon.connect() as client:
        begin_s = time.monotonic()
        answered_at_once(client)
        until(lambda: not lives(pid), what="the worker's end")
        assert time.monotonic() - begin_s < YIELD_S + 0.5 + SLACK_S
    found = sleeper.wait_at_rest()
    assert found.outcomes == ["early.1.1 next", "middle.1.1 interrupted"]
    status = sleeper.daemon.call("status")
    assert (status["state"], status["sleep"]["quarantine"]) == ("WAKE", None)

    pid = sleeper.asleep_in(2)
    sleeper.daemon.call("hibernate", now=True)
    sleeper.hibernated()
    assert not lives(pid)

    sleeper.again()
    assert sleeper.daemon.call("status")["state"] == "WAKE"
    pid = sleeper.asleep_in(3)
    sleeper.daemon.kill()
    until(lambda: not lives(pid), what="the worker's end")
    assert_whole(sleeper.daemon.home)

    sleeper.again()
    sleeper.asleep_in(4)
    sleeper.say("go")
    sleeper.hibernated()
    sleeper.again()
    found = sleeper.run()
    broken = [f"middle.1.{n} interrupted" for n in (1, 2, 3)]
    assert found.outcomes == ["early.1.1 next", *broken, "middle.1.4 next", "late.1.1 complete"]
    assert (found.run["status"], found.run["result"], found.run["cycle"]) == ("completed", {"early": 1}, True)
    assert len(marks(sleeper.folder, "effect")) == 1, "what was recorded is not made again"
    last = sleeper.daemon.call("status")["sleep"]["last_cycle"]
    assert (last["outcome"], last["result"]) == ("completed", {"early": 1})
    assert {"quarantine_entered", "run_failed", "sleep_cycle_failed"} & set(kinds(sleeper.daemon.home)) == set()
    sleeper.sleep()  # not due again for min_interval: it hibernates without one
    sleeper.hibernated()
    assert len([e for e in marks(sleeper.folder, "begin") if e["state"] == "early"]) == 1


def test_a_step_that_gives_way_by_itself_is_done(sleeper: Sleeper) -> None:
    sleeper.say("polite")
    sleeper.asleep_in(1)
    with sleeper.daemon.connect() as client:
        answered_at_once(client)
    assert sleeper.wait_at_rest().outcomes == ["early.1.1 next", "middle.1.1 next"]
    sleeper.sleep()
    sleeper.hibernated()
    sleeper.again()
    assert sleeper.run().outcomes == ["early.1.1 next", "middle.1.1 next", "late.1.1 complete"]


def test_a_step_that_blocks_is_killed(sleeper: Sleeper) -> None:
    sleeper.say("blocks")
    sleeper.sleep()
    until(lambda: marks(sleeper.folder, "effect"))
    pid = int(marks(sleeper.folder, "begin")[-1]["pid"])
    with sleeper.daemon.connect() as client:
        begin_s = time.monotonic()
        answered_at_once(client)
        until(lambda: not lives(pid), what="the worker's end")
        assert time.monotonic() - begin_s < YIELD_S + 0.5 + SLACK_S
    assert sleeper.wait_at_rest().outcomes == ["early.1.1 next", "middle.1.1 interrupted"]
    sleeper.unsay("blocks")
    sleeper.say("go")
    sleeper.sleep()
    sleeper.hibernated()


def test_a_cycle_that_fails_blocks_no_hibernation_and_is_put_off(sleeper: Sleeper) -> None:
    for name in ("go", "fails"):
        sleeper.say(name)
    sleeper.sleep()
    sleeper.hibernated()
    sleeper.again()
    last = sleeper.daemon.call("status")["sleep"]["last_cycle"]
    assert (last["outcome"], last["step"], last["error"]) == ("failed", "late", "ValueError: it fails")
    sleeper.sleep()  # it failed lately: tried again in ten minutes, and not before
    sleeper.hibernated()
    sleeper.again()
    assert sleeper.run().outcomes == ["early.1.1 next", "middle.1.1 next", "late.1.1 failed"]
    sleeper.unsay("fails")
    sleeper.daemon.call("run.retry", run_id=sleeper.run().run["run_id"])
    sleeper.sleep()
    sleeper.hibernated()
    sleeper.again()
    assert sleeper.run().outcomes[3:] == ["late.1.2 complete"]


def test_three_failures_are_a_quarantine_and_a_retry_lifts_it(home: Path, short_dir: Path) -> None:
    sleeper = Sleeper(home, short_dir, {"torpord.core.cycle:FIRST_RETRY_S": 0.001})
    for name in ("go", "fails"):
        sleeper.say(name)
    for count in (1, 2, 3, 3):  # the fourth sleep has no cycle
        sleeper.sleep()
        sleeper.hibernated()
        sleeper.again()
        failed = [e for e in sleeper.run().outcomes if e.endswith("failed")]
        assert failed == [f"late.1.{n} failed" for n in range(1, count + 1)]
    assert sleeper.daemon.call("status")["sleep"]["quarantine"]
    assert kinds(home).count("quarantine_entered") == 1
    sleeper.unsay("fails")
    sleeper.daemon.call("run.retry", run_id=sleeper.run().run["run_id"])
    assert sleeper.daemon.call("status")["sleep"]["quarantine"] is None
    sleeper.sleep()
    sleeper.hibernated()
    assert kinds(home).count("quarantine_lifted") == 1
    sleeper.again()
    assert sleeper.run().outcomes[-1] == "late.1.4 complete"
