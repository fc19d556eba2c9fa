"""`key`: the same request again, in whatever way it comes again, changes nothing and gets the first result."""

from __future__ import annotations

from typing import Any

import pytest

from daemon_process import CallRefusedError, LineClient, RunningDaemon
from torpord.control.methods import ROWS
from wire.writing import lines, message

EVENT = {"event": "request_arrived"}
CHANGES: dict[str, dict[str, Any]] = {
    "event": EVENT,
    "hold.acquire": {"who": "make", "why": "it builds", "ttl_s": 60},
    "hold.release": {},
    "hibernate": {"now": False},
    "reload": {},
    "stop": {},
    "way.proven": {"way": "spawn"},
    "run.start": {"flow": "housekeeping"},
    "run.pause": {"run_id": "0"},
    "run.resume": {"run_id": "0"},
    "run.cancel": {"run_id": "0"},
    "run.retry": {"run_id": "0"},
    "run.remove": {"run_id": "0"},
    "run.import": {"text": "{}"},
    "agent.register": {"agent_id": "a", "meta": {"b": 1, "a": [0.5, None]}},
    "agent.heartbeat": {"agent_id": "a", "doing": "busy"},
    "agent.transition": {"agent_id": "a", "to": "exhausted", "retry_after": 600},
    "agent.forget": {"agent_id": "a"},
    "slot.add": {"agent_id": "a", "type": "work", "at": "2001-01-01T00:00:00Z", "payload": {"b": 1, "a": [0.5, None]}},
    "slot.take": {},
    "slot.finish": {},
    "slot.cancel": {"reason": "r"},
}


def test_every_changing_method_is_here() -> None:
    assert set(CHANGES) == {row.name for row in ROWS if row.change}


OF_AGENTS = [name for name in CHANGES if name.startswith(("agent.", "slot."))]


@pytest.mark.parametrize("method", ["event", "hold.acquire", "hold.release", "reload", *OF_AGENTS])
def test_the_same_key_gets_the_first_result_and_changes_nothing(daemon: RunningDaemon, method: str) -> None:
    params = dict(CHANGES[method])
    if method == "hold.release":
        params["hold_id"] = daemon.call("hold.acquire", who="w", why="y", ttl_s=60)["hold_id"]
    if method in OF_AGENTS:
        daemon.call("agent.register", agent_id="a")
    if method in ("slot.take", "slot.finish", "slot.cancel"):
        params["slot_id"] = daemon.call("slot.add", **CHANGES["slot.add"])["slot_id"]
    if method == "slot.finish":
        daemon.call("slot.take", slot_id=params["slot_id"])
    first = daemon.call(method, key="k", **params)
    assert "replayed" not in first
    before = daemon.call("status")
    for _ in range(3):
        assert daemon.call(method, key="k", **params) == {**first, "replayed": True}
    after = daemon.call("status")
    unchanged = ("ledger_seq", "wrapper_event_seq", "last_activity_ts", "holds", "agents", "next_wake_ts")
    assert [after[name] for name in unchanged] == [before[name] for name in unchanged]


def test_twice_in_one_write_is_done_once(shared: RunningDaemon, line: LineClient) -> None:
    before = line.call("status")["wrapper_event_seq"]
    request = message("event", 1, **EVENT, key="twice")
    line.send(lines([request, {**request, "id": 2}, message("status", 3)]))
    first, second, status = (line.read_line()["result"] for _ in range(3))
    assert second == {**first, "replayed": True}
    assert status["wrapper_event_seq"] == before + 1


def test_from_many_connections_at_once_it_is_done_once(shared: RunningDaemon) -> None:
    before = shared.call("status")["wrapper_event_seq"]
    clients = [shared.connect() for _ in range(20)]
    try:
        for client in clients:
            client.send_line(message("event", 1, **EVENT, key="from many"))
        results = [client.read_line()["result"] for client in clients]
    finally:
        for client in clients:
            client.close()
    assert sum("replayed" not in result for result in results) == 1
    assert shared.call("status")["wrapper_event_seq"] == before + 1


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_key_outlives_the_daemon(daemon: RunningDaemon, end: str) -> None:
    event = daemon.call("event", key="an event", **EVENT)
    hold = daemon.call("hold.acquire", key="a hold", **CHANGES["hold.acquire"])
    getattr(daemon, end)()
    successor = daemon.again()
    before = successor.call("status")["wrapper_event_seq"]
    assert successor.call("event", key="an event", **EVENT) == {**event, "replayed": True}
    assert successor.call("hold.acquire", key="a hold", **CHANGES["hold.acquire"]) == {**hold, "replayed": True}
    assert successor.call("status")["wrapper_event_seq"] == before
    assert [each["hold_id"] for each in successor.call("hold.list")["holds"]] == [hold["hold_id"]]


def test_a_stop_that_comes_again_does_not_stop_the_successor(daemon: RunningDaemon) -> None:
    first = daemon.call("stop", key="stop once")
    assert daemon.wait_gone() == 0
    successor = daemon.again()
    assert successor.call("stop", key="stop once") == {**first, "replayed": True}
    assert successor.call("status")["generation"] == 2


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("event", {"event": "wake_signal"}),
        ("event", {**EVENT, "by": "another"}),
        ("hold.acquire", {"who": "w", "why": "y"}),
        ("hibernate", {}),
        ("stop", {}),
    ],
)
def test_the_same_key_with_something_else_is_a_conflict(line: LineClient, method: str, params: dict[str, Any]) -> None:
    line.call("event", key="taken", **EVENT)
    before = line.call("status")["ledger_seq"]
    with pytest.raises(CallRefusedError) as refused:
        line.call(method, key="taken", **params)
    assert refused.value.name == "conflict"
    assert refused.value.error["data"]["field"] == "key"
    assert line.call("status")["ledger_seq"] == before


def test_the_order_of_params_is_no_difference(line: LineClient) -> None:
    first = line.call("event", event="request_arrived", by="me", key="in another order")
    turned = {"key": "in another order", "by": "me", "event": "request_arrived"}
    line.send_line({"params": turned, "method": "event", "id": "x", "jsonrpc": "2.0"})
    assert line.read_line()["result"] == {**first, "replayed": True}


def test_a_refusal_keeps_no_key(line: LineClient) -> None:
    with pytest.raises(CallRefusedError, match="not_found"):
        line.call("hold.release", hold_id="nosuch", key="refused first")
    assert "replayed" not in line.call("event", key="refused first", **EVENT)


def test_a_notification_keeps_its_key_too(line: LineClient) -> None:
    line.send_line({"jsonrpc": "2.0", "method": "event", "params": {**EVENT, "key": "no id"}})
    assert line.call("event", key="no id", **EVENT)["replayed"] is True
