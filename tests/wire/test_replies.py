"""Ids, the order of replies, floods, and clients that have said all they have to say."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from wire.writing import MANY, lines, message, notification, send_aside

# What another client's request may take while somebody floods, on a machine with two busy cores.
PATIENCE_S = 1.0


@pytest.mark.parametrize("request_id", ["a", "", "é😀", "x" * 10_000, 0, -1, 2**53, 2**63, 1.5, -0.25, None])
def test_an_id_comes_back_as_it_was(line: LineClient, request_id: Any) -> None:
    line.send_line(message("status", request_id))
    reply = line.read_line()
    assert reply["jsonrpc"] == "2.0"
    assert reply["id"] == request_id
    assert type(reply["id"]) is type(request_id)
    line.send_line(message("nosuch", request_id))
    assert line.read_line()["id"] == request_id


@pytest.mark.parametrize("request_id", [{}, {"a": 1}, [], [1], True, False])
def test_an_id_is_a_text_a_number_or_null(line: LineClient, request_id: Any) -> None:
    before = line.call("status")["wrapper_event_seq"]
    line.send_line(message("event", request_id, event="request_arrived"))
    refused = line.read_line()
    assert (refused["id"], refused["error"]["data"]["name"]) == (None, "invalid_request")
    assert refused["error"]["data"]["field"] == "id"
    assert line.call("status")["wrapper_event_seq"] == before


@pytest.mark.parametrize("number", ["18446744073709551616", "1e20", "123456789012345678901234567890"])
def test_a_number_that_could_not_come_back_as_it_was_is_no_id(line: LineClient, number: str) -> None:
    line.send_line(f'{{"jsonrpc": "2.0", "id": {number}, "method": "status"}}')
    refused = line.read_line()
    assert (refused["id"], refused["error"]["data"]["field"]) == (None, "id")


def test_a_request_without_an_id_is_applied_and_not_answered(line: LineClient) -> None:
    before = line.call("status")["wrapper_event_seq"]
    line.send_line(notification("event", event="request_arrived"))
    assert line.call("status")["wrapper_event_seq"] == before + 1


def test_one_that_is_refused_is_not_answered_either(line: LineClient) -> None:
    line.send_line(notification("nosuch"))
    line.send_line(notification("event", event="nosuch"))
    line.send_line(notification("hold.release", hold_id="nosuch"))
    line.send_line(notification("wait", state="SLEEP", timeout_s=0))
    line.send_line({"jsonrpc": "2.0", "method": "status", "params": [1]})
    assert line.call("status")["state"] == "WAKE"  # its reply is the first line that comes


def _mixed(count: int) -> list[dict[str, Any]]:
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("event", {"event": "heartbeat_refresh"}),
        ("status", {}),
        ("event", {"event": "request_arrived", "by": "flood"}),
        ("nosuch", {}),
        ("hold.list", {}),
        ("event", {"event": "nosuch"}),
        ("event", {"event": "wake_signal"}),
        ("hold.release", {"hold_id": "nosuch"}),
    ]
    return [message(kinds[n % len(kinds)][0], n, **kinds[n % len(kinds)][1]) for n in range(count)]


def _slowest_status_s(other: LineClient, going_on: Callable[[], bool]) -> float:
    """Ask for the status again and again; at least once."""
    slowest, end_at = 0.0, time.monotonic() + 30
    while time.monotonic() < end_at:
        began = time.monotonic()
        other.call("status")
        slowest = max(slowest, time.monotonic() - began)
        if not going_on():
            return slowest
    raise AssertionError("it went on for ever")


def test_ten_thousand_mixed_requests_are_answered_in_order_and_nobody_waits_long_meanwhile(
    daemon: RunningDaemon,
) -> None:
    texts: list[bytes | None] = []
    with daemon.connect() as line, daemon.connect() as other:
        sender = send_aside(line, lines(_mixed(MANY)))
        reader = threading.Thread(target=lambda: texts.extend(line.read_bytes_line(30) for _ in range(MANY)))
        reader.start()
        assert _slowest_status_s(other, reader.is_alive) < PATIENCE_S
        reader.join()
        sender.join()
    replies = [json.loads(text or b"null") for text in texts]
    assert [reply["id"] for reply in replies] == list(range(MANY))
    counts = [r["result"]["wrapper_event_seq"] for r in replies if "wrapper_event_seq" in r.get("result", {})]
    events = [r["result"]["wrapper_event_seq"] for r in replies if "changed" in r.get("result", {})]
    assert counts == sorted(counts)  # a look sees every change before it
    assert events == list(range(1, MANY * 3 // 8 + 1))


@pytest.mark.parametrize(
    "text",
    [lines([notification("status")]), lines([notification("why")]), b"\n", b"x\n", lines([notification("nosuch")])],
    ids=["status", "why", "empty", "nonsense", "unknown"],
)
def test_nobody_waits_long_while_another_floods_without_reading(shared: RunningDaemon, text: bytes) -> None:
    """What is not answered gives the daemon nothing to wait for, and must give way all the same."""
    with shared.connect() as line, shared.connect() as other:
        flood = send_aside(line, text * (4_000_000 // max(len(text), 40)))
        end_at = time.monotonic() + 1.5
        assert _slowest_status_s(other, lambda: flood.is_alive() and time.monotonic() < end_at) < PATIENCE_S


def test_who_has_closed_its_sending_side_still_gets_its_replies(line: LineClient) -> None:
    line.send(lines(_mixed(100)))
    line.half_close()
    assert [line.read_line()["id"] for _ in range(100)] == list(range(100))
    assert line.at_end()


def test_a_parse_error_keeps_its_place_among_the_replies(line: LineClient) -> None:
    event = message("event", 1, event="request_arrived")
    line.send(lines([event]) + b"nonsense\n" + lines([message("status", 2)]) + b"[]\n" + lines([{**event, "id": 3}]))
    assert [json.loads(line.read_bytes_line() or b"")["id"] for _ in range(5)] == [1, None, 2, None, 3]


def test_many_clients_at_once_each_get_their_own(shared: RunningDaemon) -> None:
    clients = [shared.connect() for _ in range(50)]
    try:
        for number, client in enumerate(clients):
            client.send(lines([message("event", f"{number}-{n}", event="heartbeat_refresh") for n in range(20)]))
        for number, client in enumerate(clients):
            assert [client.read_line()["id"] for _ in range(20)] == [f"{number}-{n}" for n in range(20)]
    finally:
        for client in clients:
            client.close()
