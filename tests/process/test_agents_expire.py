"""Agents that nobody has heard of for as long as the ledger is kept are forgotten, if nothing is left of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from daemon_process import RunningDaemon
from process.timers import settings
from waiting import until
from wire.agents import ahead

DAY_S = 86_400.0


def aged(home: Path, agent_id: str, days: float) -> None:
    """Let an agent's status be so many days older than it is. Only while no daemon has the store."""
    with closing(sqlite3.connect(home / "torpor.db")) as db, db:
        db.execute("UPDATE agents SET since_ts = since_ts - ? WHERE agent_id = ?", (days * DAY_S, agent_id))


def test_who_is_silent_for_a_month_is_forgotten_by_the_housekeeping(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings(min_up="1h"))
    everybody = ("silent", "recent", "has a slot", "has a quota to wait for", "there")
    with daemon.connect() as line:
        for agent_id in everybody:
            line.call("agent.register", agent_id=agent_id)
        line.call("slot.add", agent_id="has a slot", type="work", at=ahead(40 * DAY_S))
        line.call("agent.transition", agent_id="has a quota to wait for", to="exhausted", recovery_at=ahead(DAY_S))
        for agent_id in everybody[:-1]:
            line.call("agent.transition", agent_id=agent_id, to="offline")
    assert daemon.stop() == 0
    for agent_id in everybody:
        aged(home, agent_id, 29 if agent_id == "recent" else 31)
    again = daemon.again()
    with again.connect() as line:
        line.call("event", event="force_sleep")
        until(lambda: line.call("status")["sleep"]["last_cycle"], what="the cycle")
        assert line.call("status")["sleep"]["last_cycle"]["result"]["expire_runs"] == {"runs": 0, "agents": 1}
        (forgotten,) = line.call("log", kinds=["agent_forgotten"])["records"]
        assert forgotten["data"] == {"agent_id": "silent", "how": "expired"}
        assert {each["agent_id"] for each in line.call("agent.list")["agents"]} == set(everybody) - {"silent"}
    assert again.stop() == 0
