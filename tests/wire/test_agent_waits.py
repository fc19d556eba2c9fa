"""`wait` for agents; and what agents leave in files."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon
from process.wake_files import drop, drop_beside, left
from waiting import until
from wire.agents import until_s
from wire.writing import lines, message

DAY_S = 86_400.0


@pytest.fixture
def agents(daemon: RunningDaemon) -> RunningDaemon:
    """A daemon that knows one agent, `a`, which is idle."""
    daemon.call("agent.register", agent_id="a")
    return daemon


def test_it_holds_already(agents: RunningDaemon) -> None:
    head = agents.call("status")["ledger_seq"]
    for more in ({}, {"timeout_s": 0}):
        assert agents.call("wait", agent_id="a", status="idle", **more) == {
            "agent_id": "a",
            "status": "idle",
            "seq": head,
        }


@pytest.mark.parametrize("timeout_s", [0, 0.05])
def test_it_runs_out_of_time_and_says_how_the_agent_is(agents: RunningDaemon, timeout_s: float) -> None:
    began = time.monotonic()
    error = agents.ask("wait", agent_id="a", status="busy", timeout_s=timeout_s)["error"]
    assert time.monotonic() - began >= timeout_s
    assert (error["code"], error["data"]["name"], error["data"]["status"]) == (-32008, "timeout", "idle")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("busy", "agent_doing"),
        ("on_call", "agent_doing"),
        ("exhausted", "agent_exhausted"),
        ("offline", "agent_offline"),
    ],
)
def test_it_is_reached_later_and_answered_out_of_order(agents: RunningDaemon, status: str, kind: str) -> None:
    with agents.connect() as line:
        waiting = line.request("wait", agent_id="a", status=status, timeout_s=10)
        line.call("status")
        agents.call("agent.register", agent_id="another")
        agents.call("agent.transition", agent_id="another", to=status)
        agents.call("agent.transition", agent_id="a", to=status)
        reply = line.read_line()
        assert (reply["id"], reply["result"]["agent_id"], reply["result"]["status"]) == (waiting, "a", status)
        (record,) = agents.call("log", after=reply["result"]["seq"] - 1, limit=1)["records"]
        assert (record["kind"], record["data"]["agent_id"]) == (kind, "a")


def test_a_status_that_is_only_passed_through_counts(agents: RunningDaemon) -> None:
    with agents.connect() as line, agents.connect() as other:
        waiting = {line.request("wait", agent_id="a", status=status, timeout_s=10) for status in ("busy", "offline")}
        line.call("status")
        steps = ("busy", "idle", "offline", "idle")
        other.send(lines([message("agent.transition", to, agent_id="a", to=to) for to in steps]))
        assert {line.read_line()["id"], line.read_line()["id"]} == waiting
        assert all("result" in other.read_line() for _ in steps)


def test_who_is_forgotten_meanwhile_is_not_found(agents: RunningDaemon) -> None:
    with agents.connect() as line:
        waiting = [line.request("wait", agent_id="a", status="busy", **more) for more in ({}, {"timeout_s": 60})]
        line.call("status")
        agents.call("agent.forget", agent_id="a")
        replies = [line.read_line(), line.read_line()]
        assert {reply["id"] for reply in replies} == set(waiting)
        assert {reply["error"]["data"]["name"] for reply in replies} == {"not_found"}
        assert line.ask("wait", agent_id="a", status="busy")["error"]["data"]["name"] == "not_found"


def test_another_one_of_the_same_name_is_not_who_was_waited_for(agents: RunningDaemon) -> None:
    with agents.connect() as line, agents.connect() as other:
        waiting = line.request("wait", agent_id="a", status="busy")
        line.call("status")
        steps = [message(f"agent.{word}", word, agent_id="a") for word in ("forget", "register", "heartbeat")]
        steps[2]["params"]["doing"] = "busy"
        other.send(lines(steps))
        reply = line.read_line()
        assert (reply["id"], reply["error"]["data"]["name"]) == (waiting, "not_found")
        assert line.call("wait", agent_id="a", status="busy")["status"] == "busy"


def test_who_waits_when_the_daemon_stops_is_told_to_ask_again(agents: RunningDaemon) -> None:
    with agents.connect() as line:
        waiting = line.request("wait", agent_id="a", status="busy")
        line.call("status")
        agents.call("stop")
        reply = line.read_line()
        assert (reply["id"], reply["error"]["data"]["name"]) == (waiting, "draining")
        assert line.at_end()
    assert agents.wait_gone() == 0


def test_files_tell_of_agents(shared: RunningDaemon, line: LineClient) -> None:
    drop(shared.home, "1.json", "agent.register", agent_id="by file")
    drop(shared.home, "2.json", "agent.heartbeat", agent_id="by file", doing="busy")
    until(lambda: left(shared.home) == [], what="the files to be taken")
    shown = line.call("agent.get", agent_id="by file")["agent"]
    assert (shown["status"], shown["source"]) == ("busy", "file")
    drop(shared.home, "look.json", "agent.get", agent_id="by file")
    drop(shared.home, "unknown.json", "agent.heartbeat", agent_id="nobody by file")
    until(lambda: left(shared.home) == [], what="the files to be put aside")
    aside = {path.name for path in (shared.home / "wake.rejected").iterdir()}
    assert {"look.json", "look.json.why", "unknown.json", "unknown.json.why"} <= aside
    line.call("agent.forget", agent_id="by file")


def test_what_a_file_says_counts_from_when_it_was_written(daemon: RunningDaemon) -> None:
    daemon.call("agent.register", agent_id="a")
    daemon.call("agent.register", agent_id="b")
    daemon.stop()

    def leave(name: str, ago_s: float, **params: object) -> None:
        path: Path = drop(daemon.home, name, "agent.transition", to="exhausted", **params)
        os.utime(path, (time.time() - ago_s, time.time() - ago_s))

    leave("1.json", 300, agent_id="a", retry_after=900)
    leave("2.json", 8 * 3600, agent_id="b", message="try again in 5m0s")
    with daemon.again().connect() as line:
        until(lambda: left(daemon.home) == [], what="the files to be taken")
        shown = line.call("agent.get", agent_id="a")["agent"]
        assert shown["recovery_source"] == "retry_after"
        assert until_s(shown["recovery_at"]) == pytest.approx(600, abs=10)
        # That one was over hours ago: it is told, and is over.
        until(lambda: line.call("agent.get", agent_id="b")["agent"]["status"] == "idle", what="its recovery")
        kinds = ["agent_exhausted", "agent_recovered"]
        records = [each for each in line.call("log", kinds=kinds)["records"] if each["data"]["agent_id"] == "b"]
        assert [each["kind"] for each in records] == kinds


def test_a_word_of_yesterday_undoes_nothing_of_today(daemon: RunningDaemon) -> None:
    def leave(method: str, ago_s: float, **params: object) -> None:
        draft = drop_beside(daemon.home, method, agent_id="a", **params)
        os.utime(draft, (time.time() - ago_s, time.time() - ago_s))
        draft.rename(daemon.home / "wake.d" / "1.json")
        until(lambda: left(daemon.home) == [], what="the file to be taken")

    with daemon.connect() as line:
        line.call("agent.register", agent_id="a")
        line.call("agent.transition", agent_id="a", to="exhausted")
        before = line.call("agent.get", agent_id="a")["agent"]
        leave("agent.transition", DAY_S, to="exhausted", retry_after=300)
        leave("agent.transition", DAY_S, to="exhausted", retry_after=300, force=True)
        leave("agent.transition", DAY_S, to="idle")
        leave("agent.heartbeat", DAY_S, doing="busy")
        assert line.call("agent.get", agent_id="a")["agent"] == before
        leave("agent.transition", DAY_S, to="exhausted", retry_after=2 * DAY_S)
        shown = line.call("agent.get", agent_id="a")["agent"]
        assert (shown["recovery_source"], shown["exhausted_at"]) == ("retry_after", before["exhausted_at"])
        assert until_s(shown["recovery_at"]) == pytest.approx(DAY_S, abs=10)
        line.call("agent.transition", agent_id="a", to="offline")
        before = line.call("agent.get", agent_id="a")["agent"]
        leave("agent.heartbeat", DAY_S, doing="busy")
        leave("agent.heartbeat", DAY_S)
        assert line.call("agent.get", agent_id="a")["agent"] == before
        assert line.call("log", kinds=["wake_rejected"])["records"] == [], "each was true when it was said"
        leave("agent.heartbeat", 0)
        assert line.call("agent.get", agent_id="a")["agent"]["status"] == "exhausted"


def test_when_it_was_last_heard_of_is_stored_as_it_was_said(daemon: RunningDaemon) -> None:
    daemon.call("agent.register", agent_id="a")
    daemon.stop()
    with closing(sqlite3.connect(daemon.home / "torpor.db")) as db, db:
        db.execute("UPDATE presence SET seen_ts = seen_ts - ?", (DAY_S,))
        db.execute("UPDATE agents SET online = 0")
    path = drop(daemon.home, "1.json", "agent.heartbeat", agent_id="a")
    os.utime(path, (time.time() - DAY_S / 2, time.time() - DAY_S / 2))
    for again in (daemon.again(), None):
        running = again or daemon.again()
        until(lambda: left(daemon.home) == [], what="the file to be taken")
        shown = running.call("agent.get", agent_id="a")["agent"]
        assert shown["status"] == "offline"
        assert until_s(shown["seen_ts"]) == pytest.approx(-DAY_S / 2, abs=10)
        running.stop()


def test_a_file_of_the_future_counts_from_now(daemon: RunningDaemon) -> None:
    daemon.call("agent.register", agent_id="a")
    daemon.stop()
    path = drop(daemon.home, "1.json", "agent.transition", agent_id="a", to="exhausted", retry_after=900)
    os.utime(path, (time.time() + 9 * 3600, time.time() + 9 * 3600))
    with daemon.again().connect() as line:
        until(lambda: left(daemon.home) == [], what="the file to be taken")
        recovery_at = line.call("agent.get", agent_id="a")["agent"]["recovery_at"]
        assert until_s(recovery_at) == pytest.approx(900, abs=10)
