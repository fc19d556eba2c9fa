"""A daemon that is stopped, as a shell's Ctrl-Z, a frozen container or a machine that swaps does it: SIGSTOP."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from process.timers import settings
from waiting import until

TIMEOUT_S = 3.0
AGENTS = [f"agent {number}" for number in range(6)]


def passes(seconds: float) -> None:
    """Let real time pass: it is what is looked at."""
    end_s = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end_s, limit_s=seconds + 10)


@contextmanager
def stopped(daemon: RunningDaemon) -> Iterator[None]:
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


@pytest.fixture
def daemon(home: Path) -> RunningDaemon:
    more = f'[agents]\nheartbeat_timeout = "{TIMEOUT_S:g}s"'
    daemon = RunningDaemon.start(home, settings(more))
    with daemon.connect() as client:
        for agent_id in AGENTS:
            client.call("agent.register", agent_id=agent_id)
            client.call("agent.heartbeat", agent_id=agent_id, doing="busy")
    return daemon


def records(daemon: RunningDaemon, *kinds: str) -> list[dict[str, Any]]:
    found = daemon.call("log", kinds=list(kinds))["records"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("stop_s", [1.5 * TIMEOUT_S, TIMEOUT_S + 0.1])
def test_nobody_is_timed_out_for_a_time_in_which_the_daemon_was_stopped(daemon: RunningDaemon, stop_s: float) -> None:
    with stopped(daemon):
        passes(stop_s)
    until(lambda: records(daemon, "resumed_from_stall"), what="the stop, in the ledger")
    assert daemon.call("status")["agents"]["busy"] == len(AGENTS)
    assert records(daemon, "agent_offline") == []
    (line,) = records(daemon, "resumed_from_stall")
    assert 0 < line["data"]["stalled_s"] <= stop_s + 1
    assert any(each.get("event") == "resumed_from_stall" for each in daemon.log_lines())
    # Whoever stays silent has its time from then on, and no more than that.
    until(lambda: len(records(daemon, "agent_offline")) == len(AGENTS), limit_s=4 * TIMEOUT_S)
    assert daemon.stop() == 0


def test_what_was_said_meanwhile_is_heard(daemon: RunningDaemon) -> None:
    """Also by who has not waited for the answer."""
    with stopped(daemon):
        clients = []
        for agent_id in AGENTS[:4]:
            client = LineClient(daemon.socket)
            client.request("hello", protocol=1)
            client.request("agent.heartbeat", agent_id=agent_id)
            clients.append(client)
        clients[0].close()
        passes(1.5 * TIMEOUT_S)
    for client in clients[1:]:
        assert client.read_line()["result"]["protocol"] == 1
        assert client.read_line()["result"]["status"] == "busy"
        client.close()
    assert daemon.call("status")["agents"]["busy"] == len(AGENTS)
    assert records(daemon, "agent_offline", "agent_online") == []
    assert daemon.stop() == 0


def test_without_agents_a_stop_is_of_no_account(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings('[agents]\nheartbeat_timeout = "1s"'))
    with stopped(daemon):
        passes(3)
    assert daemon.call("status")["state"] == "WAKE"
    assert records(daemon, "resumed_from_stall") == []
    assert daemon.stop() == 0
