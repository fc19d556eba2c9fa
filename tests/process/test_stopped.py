"""A daemon that is stopped for ten minutes (SIGSTOP) and continued, with no service manager to take it for dead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from process.clocks import Clocks
from process.reading import assert_whole
from process.test_stalls import records, stopped
from process.timers import settings
from waiting import until

STOPPED_S = 600.0
AGENTS = [f"agent {number}" for number in range(3)]
# As by default: all of it is over in the time it is stopped for.
DEFAULTS = {"drowsy_after": "5m", "sleep_after": "30m"}


@pytest.fixture
def clocks(short_dir: Path) -> Clocks:
    return Clocks(short_dir / "clocks")


def holders(daemon: RunningDaemon) -> set[str]:
    return {each["who"] for each in daemon.call("hold.list")["holds"]}


def test_stopped_for_ten_minutes_it_loses_nobody(home: Path, clocks: Clocks) -> None:
    """What was asked meanwhile is answered, who was there still is, and what ran out has run out."""
    daemon = RunningDaemon.start(home, settings(**DEFAULTS), launcher=clocks.launcher)
    follower, asking = daemon.connect(), daemon.connect()
    for agent_id in AGENTS:
        daemon.call("agent.register", agent_id=agent_id)
        daemon.call("agent.heartbeat", agent_id=agent_id, doing="busy")
    for who, ttl_s in (("short", STOPPED_S / 2), ("long", STOPPED_S * 2)):
        daemon.call("hold.acquire", who=who, why="a time", ttl_s=ttl_s)
    asking.call("hold.acquire", who="connected", why="as long as the connection")
    told = follower.call("subscribe")["next"]
    seq = daemon.call("status")["wrapper_event_seq"]
    with stopped(daemon):
        asking.request("event", event="heartbeat_refresh")
        (home / "tmp").mkdir(exist_ok=True)
        left = {"method": "event", "params": {"event": "heartbeat_refresh"}}
        (home / "tmp" / "a.json").write_text(json.dumps(left))
        (home / "tmp" / "a.json").rename(home / "wake.d" / "a.json")
        clocks.let_pass(STOPPED_S)
    assert asking.read_line()["result"]["state"] == "WAKE"
    until(lambda: not (home / "wake.d" / "a.json").exists(), what="the file to be taken")
    until(lambda: "short" not in holders(daemon), what="the end of the hold that ran out")
    assert holders(daemon) == {"long", "connected"}
    assert daemon.call("status")["wrapper_event_seq"] == seq + 2
    assert daemon.call("status")["agents"]["busy"] == len(AGENTS)
    assert records(daemon, "agent_offline") == []
    (line,) = records(daemon, "resumed_from_stall")
    assert STOPPED_S / 2 < line["data"]["stalled_s"] < STOPPED_S + 30
    assert followed(follower, told), "its subscriber is told of it"
    assert daemon.stop() == 0
    assert_whole(home)


def followed(line: LineClient, after: int) -> list[dict[str, Any]]:
    """Read a subscription until the stop is told."""
    found: list[dict[str, Any]] = []
    while not any(each["kind"] == "resumed_from_stall" for each in found):
        message = line.read_line()
        assert message["method"] == "record"
        found.append(message["params"])
        assert found[-1]["seq"] == after + len(found), "no gap, and no repeat"
    return found


def test_stopped_over_all_its_deadlines_it_takes_one_state_after_the_other(home: Path, clocks: Clocks) -> None:
    daemon = RunningDaemon.start(home, settings(drowsy_after="3m", sleep_after="5m"), launcher=clocks.launcher)
    with stopped(daemon):
        clocks.let_pass(STOPPED_S)
    with daemon.connect() as line:
        until(lambda: line.call("status")["state"] == "SLEEP", what="its sleep")
        moved = [each["data"] for each in records(daemon, "state_transition")]
        assert [each["to"] for each in moved][-2:] == ["DROWSY", "SLEEP"]
        assert line.call("event", event="request_arrived")["state"] == "WAKE"
    assert daemon.stop() == 0
    assert_whole(home)
