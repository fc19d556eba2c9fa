"""Looking is not using: whoever only looks does not keep the daemon awake."""

from __future__ import annotations

import os
from typing import Any

import pytest

from daemon_process import RunningDaemon
from torpord.control.methods import ROWS
from waiting import until
from wire.agents import ahead
from wire.runs import version_1

LOOKS: dict[str, dict[str, Any]] = {
    "hello": {"protocol": 1},
    "status": {},
    "why": {},
    "doctor": {},
    "log": {"after": 0},
    "subscribe": {"after": 0},
    "wait": {"state": "WAKE"},
    "hold.list": {},
    "run.list": {},
    "run.get": {},
    "run.export": {},
    "agent.get": {},
    "agent.list": {},
    "slot.list": {},
}
TOUCHED = ("last_activity_ts", "wrapper_event_seq", "ledger_seq", "since_ts")


def test_every_looking_method_is_here() -> None:
    assert set(LOOKS) == {row.name for row in ROWS if row.change is None}


def test_no_looking_method_touches_anything(daemon: RunningDaemon) -> None:
    run_id = daemon.call("run.import", text=version_1())["run_id"]
    daemon.call("agent.register", agent_id="editor")
    daemon.call("slot.add", agent_id="editor", type="work", at=ahead(3600))
    of_one = {"run.get": {"run_id": run_id}, "run.export": {"run_id": run_id}, "agent.get": {"agent_id": "editor"}}
    before = daemon.call("status")
    for _ in range(20):
        for method, params in {**LOOKS, **of_one}.items():
            daemon.call(method, **params)
        daemon.call("wait", run_id=run_id, status="paused")
        daemon.call("wait", agent_id="editor", status="idle")
        daemon.call("run.import", text="{", more=True)  # not the last piece: nothing has happened yet
        with daemon.connect() as line:  # refused ones neither, nor a connection that says nothing
            line.ask("wait", state="SLEEP", timeout_s=0)
            line.ask("wait", run_id=run_id, timeout_s=0)
            line.ask("wait", agent_id="editor", status="busy", timeout_s=0)
            line.ask("run.get", run_id="../x")
            line.ask("agent.get", agent_id="nobody")
            line.ask("agent.heartbeat", agent_id="nobody")
            line.ask("log", after=10_000)
            line.ask("nosuch")
            line.send(b"nonsense\n")
            line.read_line()
    after = daemon.call("status")
    assert [after[name] for name in TOUCHED] == [before[name] for name in TOUCHED]


def test_it_falls_asleep_under_the_eyes_of_many(home: Any) -> None:
    settings = '[lifecycle]\ndrowsy_after = "300ms"\nsleep_after = "600ms"\nmin_up = "1h"\n'
    daemon = RunningDaemon.start(home, settings)
    with daemon.connect() as follower, daemon.connect() as line:
        follower.call("subscribe", after=0)

        def asleep() -> bool:
            for method in ("status", "why", "log", "hold.list"):
                line.call(method)
            return str(line.call("status")["state"]) == "SLEEP"

        until(asleep, what="sleep under eyes")
    assert daemon.call("status")["wrapper_event_seq"] == 0


@pytest.mark.parametrize("event", ["heartbeat_refresh", "request_arrived", "wake_signal"])
def test_an_event_counts(daemon: RunningDaemon, event: str) -> None:
    before = daemon.call("status")
    daemon.call("event", event=event)
    after = daemon.call("status")
    assert after["wrapper_event_seq"] == before["wrapper_event_seq"] + 1
    assert after["last_activity_ts"] > before["last_activity_ts"]
    assert after["since_ts"] == before["since_ts"]  # staying is no transition
    assert after["ledger_seq"] == before["ledger_seq"]


def test_every_other_change_counts_as_a_request(daemon: RunningDaemon) -> None:
    """But for `force_sleep`, `hibernate` and `stop`, which ask for the opposite."""
    counted = 0

    def counts() -> None:
        nonlocal counted
        counted += 1
        assert daemon.call("status")["wrapper_event_seq"] == counted

    hold_id = daemon.call("hold.acquire", who="w", why="y", pid=os.getpid())["hold_id"]
    counts()
    daemon.call("hold.release", hold_id=hold_id)
    counts()
    daemon.call("reload")
    counts()
    daemon.call("event", event="force_sleep")
    assert daemon.call("status")["state"] == "SLEEP"
    daemon.call("reload")
    counts()
    assert daemon.call("status")["state"] == "WAKE"


def test_a_change_that_is_refused_does_not_count(daemon: RunningDaemon) -> None:
    before = daemon.call("status")
    assert "error" in daemon.ask("hold.release", hold_id="nosuch")
    assert "error" in daemon.ask("event", event="nosuch")
    assert "error" in daemon.ask("hold.acquire", who="w")
    after = daemon.call("status")
    assert [after[name] for name in TOUCHED] == [before[name] for name in TOUCHED]
