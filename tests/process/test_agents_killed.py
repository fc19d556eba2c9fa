"""SIGKILL while agents are at it: what was acknowledged holds, but for some seconds of when somebody was last heard."""

from __future__ import annotations

import contextlib
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from daemon_process import CallRefusedError, LineClient, RunningDaemon
from process.reading import assert_whole
from process.timers import settings
from process.trap import Trap
from torpord.points import POINTS
from torpord.writer.deferred import MOST_DELAY_S
from waiting import until

GONE = (EOFError, BrokenPipeError, ConnectionResetError, ConnectionRefusedError, FileNotFoundError)
IN_THE_PAST = "2020-01-01T00:00:00Z"
# What the contract gives; the daemon takes less of it.
MOST_LOST_S = 5.0
# One word after the other; each can only be granted where the ones before it were.
STORY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("agent.register", {"agent_id": "a", "meta": {"x": 1}}),
    ("agent.register", {"agent_id": "b"}),
    ("slot.add", {"agent_id": "a", "type": "on_call", "at": IN_THE_PAST}),
    ("agent.transition", {"agent_id": "b", "to": "busy"}),
    ("agent.transition", {"agent_id": "b", "to": "exhausted", "retry_after": 3600}),
    ("agent.heartbeat", {"agent_id": "b"}),
    ("agent.transition", {"agent_id": "b", "to": "offline"}),
    ("agent.heartbeat", {"agent_id": "b"}),
)


def told(client: LineClient, number: int) -> dict[str, Any]:
    method, params = STORY[number]
    return client.call(method, **params, key=f"word {number}")


def views(daemon: RunningDaemon) -> dict[str, dict[str, Any]]:
    with daemon.connect() as client:
        found = client.call("agent.list")["agents"]
    return {agent["agent_id"]: agent for agent in found}


@pytest.mark.parametrize("point", [name for name in POINTS if name.startswith(("writer.", "store."))])
@pytest.mark.parametrize("nth", [2, 5])
def test_killed_in_the_midst_of_their_words(point: str, nth: int, home: Path, short_dir: Path) -> None:
    trap = Trap(short_dir / "trap", {point: "kill"}, armed=False, nth=nth)
    daemon = RunningDaemon.start(home, settings(), launcher=trap.launcher)
    trap.arm()
    heard: dict[int, dict[str, Any]] = {}
    with contextlib.suppress(*GONE), daemon.connect() as client:
        for number in range(len(STORY)):
            heard[number] = told(client, number)
    assert daemon.wait_gone() == -signal.SIGKILL
    daemon = RunningDaemon.start(home)
    with daemon.connect() as client:
        for number in range(len(STORY)):
            again = told(client, number)
            if number in heard:
                assert again == {**heard[number], "replayed": True}
    found = views(daemon)
    assert (found["a"]["status"], found["b"]["status"]) == ("idle", "exhausted")
    assert found["a"]["slots"] == 1
    assert daemon.stop() == 0
    assert_whole(home)


def seconds(ts: str) -> float:
    return datetime.fromisoformat(ts).timestamp()


def test_killed_with_heartbeats_that_are_not_stored_loses_their_times_alone(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    with daemon.connect() as client:
        client.call("agent.register", agent_id="a")
        client.call("agent.transition", agent_id="a", to="busy")
        for _ in range(20):
            client.call("agent.heartbeat", agent_id="a")
    before = views(daemon)["a"]
    daemon.kill()
    daemon = RunningDaemon.start(home)
    after = views(daemon)["a"]
    lost_s = seconds(before.pop("seen_ts")) - seconds(after.pop("seen_ts"))
    assert 0 <= lost_s <= MOST_LOST_S
    assert after == before
    assert daemon.stop() == 0
    assert_whole(home)


def test_a_heartbeat_is_stored_within_seconds_with_nobody_asking(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    daemon.call("agent.register", agent_id="a")
    wal = home / "torpor.db-wal"
    written = wal.stat().st_mtime_ns
    daemon.call("agent.heartbeat", agent_id="a")
    seen_ts = views(daemon)["a"]["seen_ts"]
    until(lambda: wal.stat().st_mtime_ns > written, limit_s=MOST_LOST_S, what="the heartbeat's commit")
    daemon.kill()
    daemon = RunningDaemon.start(home)
    assert views(daemon)["a"]["seen_ts"] == seen_ts
    assert MOST_DELAY_S < MOST_LOST_S


def test_killed_with_a_slot_offered_and_not_taken_offers_it_again_and_it_is_taken_once(home: Path) -> None:
    daemon = RunningDaemon.start(home, settings())
    with daemon.connect() as client:
        client.call("agent.register", agent_id="a")
        slot_id = client.call("slot.add", agent_id="a", type="work", at=IN_THE_PAST)["slot_id"]
        offered = client.call("agent.heartbeat", agent_id="a")["slots"]
        assert [slot["slot_id"] for slot in offered] == [slot_id]
        assert client.call("agent.heartbeat", agent_id="a")["slots"] == [], "once, until its pause is over"
    daemon.kill()
    daemon = RunningDaemon.start(home)
    with daemon.connect() as client:
        (again,) = client.call("agent.heartbeat", agent_id="a")["slots"]
        assert (again["slot_id"], again["status"], again["offers"]) == (slot_id, "offered", 2)
        taken = client.call("slot.take", slot_id=slot_id, key="mine")
    daemon.kill()
    daemon = RunningDaemon.start(home)
    with daemon.connect() as client:
        assert client.call("slot.take", slot_id=slot_id, key="mine") == {**taken, "replayed": True}
        with pytest.raises(CallRefusedError, match="conflict"):
            client.call("slot.take", slot_id=slot_id, key="another's")
        assert client.call("agent.get", agent_id="a")["agent"]["status"] == "busy"
    assert daemon.stop() == 0
    assert_whole(home)
