"""Every method with good parameters: the shape of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from torpor import wire
from torpord.core.kinds import KINDS

NUMBER = (int, float)
STATUS = {
    "state": str,
    "since_ts": str,
    "generation": int,
    "pid": int,
    "version": str,
    "protocol": int,
    "started_ts": str,
    "start_cause": str,
    "uptime_s": NUMBER,
    "last_activity_ts": str,
    "wrapper_event_seq": int,
    "ledger_seq": int,
    "next": dict,
    "holds": list,
    "agents": dict,
    "recovering": dict,
    "runs": dict,
    "sleep": dict,
    "supervisor": str,
    "manager": str,
    "unit": str,
    "wake_armed": type(None),  # likewise
    "ways_back": dict,
    "next_wake_ts": type(None),  # where there is no slot
    "resumes_ts": str | None,
    "shadow_run": bool,
    "safe_mode": type(None),
    "installed": dict,
    "home": str,
    "rss_bytes": int,
    "cpu_s": NUMBER,
}
HOLD = {"hold_id", "who", "why", "since_ts", "until_ts", "bound", "pid"}
REASON = {"kind", "who", "why", "since", "until"}


def _shaped(found: Mapping[str, Any], shape: Mapping[str, Any]) -> None:
    assert set(found) == set(shape)
    wrong = {name: found[name] for name, kind in shape.items() if not isinstance(found[name], kind)}
    assert not wrong


def _is_time(text: str) -> bool:
    return datetime.fromisoformat(text).utcoffset() == timedelta(0)


def test_status(shared: RunningDaemon, line: LineClient) -> None:
    status = line.call("status")
    _shaped(status, STATUS)
    assert all(_is_time(status[name]) for name in ("since_ts", "started_ts", "last_activity_ts"))
    assert status["agents"] == dict.fromkeys(wire.AGENT_STATUSES, 0)
    assert status["recovering"] == {"count": 0, "next_ts": None}
    assert status["runs"] == dict.fromkeys(wire.RUN_STATUSES, 0)
    assert set(status["next"]) == {"state", "in_s", "at", "blocked_by"}
    assert set(status["sleep"]) == {"last_cycle", "last_upkeep", "progress", "quarantine", "next", "debt_s"}
    assert (status["state"], status["next"]["state"], status["start_cause"]) == ("WAKE", "DROWSY", "manual")
    assert (status["manager"], status["unit"], status["ways_back"]) == ("none", "", {})
    assert (status["pid"], status["home"], status["protocol"]) == (shared.pid, str(shared.home), wire.PROTOCOL)
    assert 0 < status["next"]["in_s"] <= 300


def test_why(line: LineClient) -> None:
    line.call("event", event="request_arrived", by="the test")
    why = line.call("why")
    assert set(why) == {"state", "awake_because", "next", "not_yet_because", "quiet", "planned"}
    assert why["planned"] == {"wanted": None, "armed": None, "problem": None}
    (reason,) = why["awake_because"]
    assert set(reason) == REASON
    assert reason["kind"] == "activity"
    assert "the test" in reason["who"]
    assert _is_time(reason["since"])
    assert _is_time(reason["until"])


@pytest.mark.parametrize("event", [each for each in wire.EVENTS if each != "force_sleep"])
def test_event(line: LineClient, event: str) -> None:
    said = line.call("event", event=event, by="a test")
    _shaped(said, {"state": str, "seq": int, "changed": bool, "wrapper_event_seq": int})
    assert (said["state"], said["changed"]) == ("WAKE", False)


def test_force_sleep_and_the_way_back(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        said = line.call("event", event="force_sleep")
        assert (said["state"], said["changed"]) == ("SLEEP", True)
        back = line.call("event", event="request_arrived")
        assert (back["state"], back["changed"]) == ("WAKE", True)
        moves = line.call("log", kinds=["state_transition"])["records"]
    assert [(each["data"]["from"], each["data"]["to"]) for each in moves] == [
        ("WAKE", "DROWSY"),
        ("DROWSY", "SLEEP"),
        ("SLEEP", "WAKE"),
    ]


def test_log(shared: RunningDaemon, line: LineClient) -> None:
    page = line.call("log")
    assert set(page) == {"records", "next"}
    first = page["records"][0]
    assert set(first) == {"seq", "ts", "kind", "data", "cause"}
    assert (first["seq"], first["kind"], first["data"]["pid"]) == (1, "started", shared.pid)
    assert _is_time(first["ts"])
    assert {each["kind"] for each in page["records"]} <= set(KINDS)
    assert page["next"] == line.call("status")["ledger_seq"]


def test_a_cause_is_the_peer_by_the_kernels_word(line: LineClient) -> None:
    import os

    hold_id = line.call("hold.acquire", who="someone who says pid 1", why="test")["hold_id"]
    line.call("hold.release", hold_id=hold_id)
    acquired = line.call("log", kinds=["hold_acquired"])["records"][-1]
    assert (acquired["cause"]["pid"], acquired["cause"]["uid"]) == (os.getpid(), os.getuid())
    assert acquired["cause"]["program"]


def test_the_log_goes_in_pages_without_gap_or_repeat(line: LineClient) -> None:
    for number in range(5):
        hold_id = line.call("hold.acquire", who=str(number), why="for the ledger")["hold_id"]
        line.call("hold.release", hold_id=hold_id)
    head = line.call("status")["ledger_seq"]
    seen: list[int] = []
    after = 0
    while after < head:
        page = line.call("log", after=after, limit=3)
        assert 0 < len(page["records"]) <= 3
        seen += [each["seq"] for each in page["records"]]
        after = page["next"]
    assert seen == list(range(1, head + 1))
    assert line.call("log", after=head) == {"records": [], "next": head}


def test_holds(line: LineClient) -> None:
    taken = line.call("hold.acquire", who="make", why="it builds", ttl_s=60)
    _shaped(taken, {"hold_id": str, "state": str})
    listed = line.call("hold.list")
    assert set(listed) == {"holds", "cursor"}
    assert listed["cursor"] is None
    (hold,) = listed["holds"]
    assert set(hold) == HOLD
    assert (hold["hold_id"], hold["who"], hold["why"]) == (taken["hold_id"], "make", "it builds")
    assert (hold["bound"], hold["pid"]) == ("time", None)
    assert line.call("status")["holds"] == listed["holds"]
    assert line.call("why")["awake_because"][0]["kind"] == "hold"
    released = line.call("hold.release", hold_id=taken["hold_id"])
    assert released == {"hold_id": taken["hold_id"], "released": True}
    assert line.call("hold.list")["holds"] == []


def test_wait_and_subscribe(line: LineClient) -> None:
    _shaped(line.call("wait", state="WAKE", timeout_s=1), {"state": str, "seq": int})
    head = line.call("status")["ledger_seq"]
    assert line.call("subscribe") == {"next": head}


def test_reload(line: LineClient) -> None:
    assert line.call("reload") == {"changed": []}


def test_hibernate_says_whom_it_waits_for_and_stop_ends_it(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("hold.acquire", who="make", why="it builds")
        said = line.call("hibernate")
        _shaped(said, {"state": str, "waiting_for": list})
        (busy,) = said["waiting_for"]
        assert (busy["kind"], busy["who"], busy["why"]) == ("hold", "make", "it builds")
        assert any(each["kind"] == "wish" for each in line.call("why")["not_yet_because"])
        assert line.call("stop") == {"state": "WAKE"}
        assert line.at_end()
    assert daemon.wait_gone() == 0
