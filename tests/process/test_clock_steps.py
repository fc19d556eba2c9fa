"""The machine's clock is set while the daemon is down, both ways: what goes by it does, and all else does not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from process.clocks import Clocks
from process.reading import assert_whole
from process.timers import settings
from torpor.cli import main
from waiting import until

HOUR_S = 3600.0
STEP_S = 8 * HOUR_S
# Of what a deadline by the awake clock has left, the test itself may take so much.
TEST_S = 60.0


@pytest.fixture
def clocks(short_dir: Path) -> Clocks:
    return Clocks(short_dir / "clocks")


def lived(home: Path, clocks: Clocks) -> dict[str, Any]:
    """Let a daemon live, with something that goes by each clock, and end; return its last status."""
    daemon = RunningDaemon.start(home, settings(min_up="1h"), launcher=clocks.launcher)
    with daemon.connect() as line:
        line.call("event", event="force_sleep")
        until(lambda: line.call("status")["sleep"]["last_cycle"], what="a cycle")
        line.call("event", event="request_arrived", key="once")
        line.call("hold.acquire", who="a test", why="an hour", ttl_s=HOUR_S)
        for agent_id in ("worker", "tired"):
            line.call("agent.register", agent_id=agent_id)
        line.call("slot.add", agent_id="worker", type="work", at=clocks.ahead(2 * HOUR_S))
        line.call("agent.transition", agent_id="tired", to="exhausted", recovery_at=clocks.ahead(HOUR_S))
        status = line.call("status")
    assert daemon.stop() == 0
    assert_whole(home)
    return status


@contextmanager
def again(home: Path, clocks: Clocks) -> Iterator[LineClient]:
    """One more life; what it leaves is whole."""
    daemon = RunningDaemon.start(home, launcher=clocks.launcher)
    with daemon.connect() as line:
        yield line
    assert daemon.stop() == 0
    assert_whole(home)


def figures(value: object) -> Iterator[float]:
    """Give every number in a reply."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from figures(each) if not isinstance(each, int | float) or not name.endswith("_s") else [float(each)]
    elif isinstance(value, list):
        for each in value:
            yield from figures(each)


def assert_sane(line: LineClient) -> dict[str, Any]:
    """Check that what it tells of times is none that a person would laugh at, and return its status."""
    status = line.call("status")
    for told in (status, line.call("why"), line.call("agent.list"), line.call("slot.list"), line.call("hold.list")):
        assert all(each >= 0 and math.isfinite(each) for each in figures(told)), told
    (hold,) = line.call("hold.list")["holds"]
    left_s = (datetime.fromisoformat(hold["until_ts"]) - datetime.fromisoformat(status["started_ts"])).total_seconds()
    assert HOUR_S - TEST_S < left_s <= HOUR_S + 1, "a ttl is time that the machine was awake"
    assert status["state"] == "WAKE"
    assert line.call("event", event="request_arrived", key="once")["replayed"] is True
    return status


def due_slots(line: LineClient) -> int:
    return len(line.call("agent.heartbeat", agent_id="worker")["slots"])


def agent_status(line: LineClient, agent_id: str) -> str:
    return str(line.call("agent.get", agent_id=agent_id)["agent"]["status"])


def test_forward_over_everything_it_is_all_due(home: Path, clocks: Clocks) -> None:
    before = lived(home, clocks)
    clocks.step(STEP_S)
    with again(home, clocks) as line:
        status = assert_sane(line)
        assert status["generation"] == before["generation"] + 1
        assert due_slots(line) == 1
        assert agent_status(line, "tired") == "idle", "its quota is there again"
        assert status["sleep"]["next"]["reason"] == "", "a cycle is due: the last one was eight hours ago"
        assert status["sleep"]["debt_s"] >= 3 * HOUR_S


def test_back_behind_everything_it_is_all_to_come(home: Path, clocks: Clocks) -> None:
    lived(home, clocks)
    clocks.step(-STEP_S)
    with again(home, clocks) as line:
        status = assert_sane(line)
        assert due_slots(line) == 0
        assert datetime.fromisoformat(status["next_wake_ts"]) > datetime.now(UTC), "at its time, by any clock"
        assert agent_status(line, "tired") == "exhausted"
        assert status["sleep"]["next"]["reason"] == "", "a last cycle of the future is none to wait for"
        # And it works: a whole sleep with a clock that shows less than what lies in the store.
        line.call("hold.release", hold_id=line.call("hold.list")["holds"][0]["hold_id"])
        line.call("event", event="force_sleep")
        ended = at(status["sleep"]["last_cycle"]["ended_ts"])
        until(lambda: at(line.call("status")["sleep"]["last_cycle"]["ended_ts"]) < ended, what="its cycle")
    clocks.step(STEP_S)  # back in its right time all is as it was meant
    with again(home, clocks) as line:
        assert due_slots(line) == 0
        assert agent_status(line, "tired") == "exhausted"
    clocks.step(3 * HOUR_S)
    with again(home, clocks) as line:
        assert due_slots(line) == 1
        assert agent_status(line, "tired") == "idle"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("step_s", [STEP_S, -STEP_S, -56 * 365 * 24 * HOUR_S])
def test_whoever_looks_while_it_is_down_is_told_its_times(
    home: Path, clocks: Clocks, capsys: pytest.CaptureFixture[str], step_s: float
) -> None:
    """The client's clock is right, and the daemon's was not: by hours, or as that of a board without a battery."""
    clocks.step(step_s)
    lived(home, clocks)
    for options in ([], ["--json"]):
        assert main(["--home", str(home), "status", *options]) == 3
        assert "WAKE" in capsys.readouterr().out
