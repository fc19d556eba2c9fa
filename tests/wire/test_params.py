"""Bad parameters: each is refused by name, in words, and changes nothing."""

from __future__ import annotations

import os
from typing import Any

import pytest

from daemon_process import LineClient
from torpor import wire
from torpord.control.methods import ROWS

EVENT = {"event": "request_arrived"}
HOLD = {"who": "w", "why": "y"}
LONG = "x" * (wire.MAX_TEXT_CHARS + 1)
GOOD: dict[str, dict[str, Any]] = {
    "hello": {"protocol": 1},
    "event": EVENT,
    "wait": {"state": "WAKE"},
    "hold.acquire": HOLD,
    "hold.release": {"hold_id": "0"},
    "way.proven": {"way": "spawn"},
    "run.start": {"flow": "housekeeping"},
    "run.get": {"run_id": "0"},
    "run.pause": {"run_id": "0"},
    "run.resume": {"run_id": "0"},
    "run.cancel": {"run_id": "0"},
    "run.retry": {"run_id": "0"},
    "run.remove": {"run_id": "0"},
    "run.export": {"run_id": "0"},
    "run.import": {"text": "{}"},
    "agent.register": {"agent_id": "a"},
    "agent.heartbeat": {"agent_id": "a"},
    "agent.transition": {"agent_id": "a", "to": "exhausted"},
    "agent.get": {"agent_id": "a"},
    "agent.forget": {"agent_id": "a"},
    "slot.add": {"agent_id": "a", "type": "work", "at": "2001-01-01T00:00:00Z"},
    "slot.take": {"slot_id": "0"},
    "slot.finish": {"slot_id": "0"},
    "slot.cancel": {"slot_id": "0"},
}


def _refused(line: LineClient, method: str, params: dict[str, Any], field: str) -> str:
    reply = line.ask(method, **params)
    error = reply["error"]
    assert (error["code"], error["data"]["name"], error["data"]["field"]) == (-32602, "invalid_params", field)
    assert len(error["message"]) < 1000
    return str(error["message"])


@pytest.mark.parametrize(
    "method", ["", "Status", "status ", "agent.begin", "run.begin", "__class__", "x" * 100_000, "é\t"]
)
def test_an_unknown_method_is_answered_with_those_there_are(line: LineClient, method: str) -> None:
    error = line.ask(method)["error"]
    assert (error["code"], error["data"]["name"]) == (-32601, "method_not_found")
    assert all(row.name in error["message"] for row in ROWS)
    assert len(error["message"]) < 1000


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_unknown_parameter_is_named(line: LineClient, row: Any) -> None:
    message = _refused(line, row.name, {**GOOD.get(row.name, {}), "colour": "blue"}, "colour")
    assert all(name in message for name in row.params)


@pytest.mark.parametrize(
    ("method", "field"), [(row.name, name) for row in ROWS for name, param in row.params.items() if param.required]
)
def test_a_missing_parameter_is_named(line: LineClient, method: str, field: str) -> None:
    params = {name: value for name, value in GOOD[method].items() if name != field}
    assert field in _refused(line, method, params, field)


SHAPES = (None, {}, [{}], [[["deep"]]], {"name": {}})
# hello has its own word for a protocol that is none; what runs carry is any object.
WRONG = [
    (row.name, name, value)
    for row in ROWS
    for name, param in row.params.items()
    for value in SHAPES
    if (row.name, name) != ("hello", "protocol") and not param.kind.takes(value)
]


@pytest.mark.parametrize(("method", "field", "value"), WRONG, ids=str)
def test_no_parameter_takes_what_has_the_wrong_shape(line: LineClient, method: str, field: str, value: Any) -> None:
    beside = {"run_id": "0"} if field == "status" and method == "wait" else GOOD.get(method, {})
    _refused(line, method, {**beside, field: value}, field)


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("event", {"event": "stop"}, "event"),
        ("event", {"event": "drowsy_due"}, "event"),  # not a client's to send
        ("event", {"event": ["request_arrived"]}, "event"),
        ("event", {**EVENT, "by": "x" * 129}, "by"),
        ("event", {**EVENT, "by": ""}, "by"),
        ("event", {**EVENT, "by": "two\nlines"}, "by"),
        ("event", {**EVENT, "by": "bell\a"}, "by"),
        ("event", {**EVENT, "by": "\x00"}, "by"),
        ("event", {**EVENT, "by": "\x1b[31mred"}, "by"),
        ("event", {**EVENT, "by": "\u202eturned round"}, "by"),
        ("event", {**EVENT, "by": 7}, "by"),
        ("log", {"after": -1}, "after"),
        ("log", {"after": 1.0}, "after"),
        ("log", {"after": True}, "after"),
        ("log", {"after": "1"}, "after"),
        ("log", {"after": 2**53 + 2}, "after"),
        ("log", {"after": 10**30}, "after"),
        ("log", {"limit": 0}, "limit"),
        ("log", {"limit": 10_001}, "limit"),
        ("log", {"limit": False}, "limit"),
        ("log", {"kinds": "started"}, "kinds"),
        ("log", {"kinds": [1]}, "kinds"),
        ("log", {"kinds": ["x"] * 65}, "kinds"),
        ("log", {"kinds": ["x" * 65]}, "kinds"),
        ("subscribe", {"after": -(10**30)}, "after"),
        ("subscribe", {"kinds": {"started": True}}, "kinds"),
        ("wait", {"state": "wake"}, "state"),
        ("wait", {"state": 1}, "state"),
        ("wait", {"state": "WAKE", "timeout_s": -1}, "timeout_s"),
        ("wait", {"state": "WAKE", "timeout_s": 1e300}, "timeout_s"),
        ("wait", {"state": "WAKE", "timeout_s": True}, "timeout_s"),
        ("wait", {"state": "WAKE", "timeout_s": "1s"}, "timeout_s"),
        ("hold.acquire", {**HOLD, "who": ""}, "who"),
        ("hold.acquire", {**HOLD, "who": "x" * 129}, "who"),
        ("hold.acquire", {**HOLD, "why": LONG}, "why"),
        ("hold.acquire", {**HOLD, "why": "tab\there"}, "why"),
        ("hold.acquire", {**HOLD, "ttl_s": 0}, "ttl_s"),
        ("hold.acquire", {**HOLD, "ttl_s": -5}, "ttl_s"),
        ("hold.acquire", {**HOLD, "ttl_s": 1e18}, "ttl_s"),
        ("hold.acquire", {**HOLD, "ttl_s": True}, "ttl_s"),
        ("hold.acquire", {**HOLD, "pid": 0}, "pid"),
        ("hold.acquire", {**HOLD, "pid": -1}, "pid"),
        ("hold.acquire", {**HOLD, "pid": 2**31}, "pid"),
        ("hold.acquire", {**HOLD, "pid": float(os.getpid())}, "pid"),
        ("hold.acquire", {**HOLD, "pid": True}, "pid"),
        ("hold.release", {"hold_id": 5}, "hold_id"),
        ("hold.release", {"hold_id": "x" * 65}, "hold_id"),
        ("hold.list", {"cursor": 0}, "cursor"),
        ("hold.list", {"cursor": ""}, "cursor"),
        ("hibernate", {"now": 1}, "now"),
        ("hibernate", {"now": "yes"}, "now"),
        ("wait", {}, "state"),
        ("wait", {"state": "WAKE", "run_id": "0"}, "run_id"),
        ("wait", {"state": "WAKE", "status": "failed"}, "state"),
        ("wait", {"run_id": "0", "status": "done"}, "status"),
        ("wait", {"run_id": "0" * 65}, "run_id"),
        ("run.start", {"flow": ""}, "flow"),
        ("run.start", {"flow": "x" * 65}, "flow"),
        ("run.start", {"flow": "housekeeping", "data": []}, "data"),
        ("run.start", {"flow": "housekeeping", "data": "{}"}, "data"),
        ("run.start", {"flow": "housekeeping", "metadata": 5}, "metadata"),
        ("run.start", {"flow": "housekeeping", "state": "x" * 129}, "state"),
        ("run.start", {"flow": "housekeeping", "purpose": LONG}, "purpose"),
        ("run.start", {"flow": "housekeeping", "session_id": "x" * 129}, "session_id"),
        ("run.start", {"flow": "housekeeping", "max_steps": 0}, "max_steps"),
        ("run.start", {"flow": "housekeeping", "max_steps": 1.0}, "max_steps"),
        ("run.start", {"flow": "housekeeping", "max_steps": 10**9 + 1}, "max_steps"),
        ("run.start", {"flow": "housekeeping", "max_steps": 10**30}, "max_steps"),
        ("run.list", {"status": "ended"}, "status"),
        ("run.list", {"limit": 0}, "limit"),
        ("run.list", {"limit": 1001}, "limit"),
        ("run.list", {"cursor": "x"}, "cursor"),
        ("run.list", {"cursor": "-1"}, "cursor"),
        ("run.list", {"cursor": "²"}, "cursor"),
        ("run.resume", {"run_id": "0", "flow": "x" * 65}, "flow"),
        ("run.resume", {"run_id": "0", "state": ""}, "state"),
        ("run.import", {"text": 5}, "text"),
        ("run.import", {"text": "x" * (wire.MAX_PIECE_CHARS + 1)}, "text"),
        ("run.import", {"text": "{", "more": 1}, "more"),
        ("run.import", {"text": "{", "more": True, "key": "k"}, "key"),
        ("event", {**EVENT, "key": ""}, "key"),
        ("event", {**EVENT, "key": "x" * (wire.MAX_KEY_CHARS + 1)}, "key"),
        ("event", {**EVENT, "key": 5}, "key"),
        ("event", {**EVENT, "key": None}, "key"),
        ("event", {**EVENT, "key": "line\n"}, "key"),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(
    line: LineClient, method: str, params: dict[str, Any], field: str
) -> None:
    before = line.call("status")
    assert field in _refused(line, method, params, field)
    after = line.call("status")
    assert (after["ledger_seq"], after["wrapper_event_seq"]) == (before["ledger_seq"], before["wrapper_event_seq"])


@pytest.mark.parametrize("method", [row.name for row in ROWS if row.change is None])
def test_a_looking_method_takes_no_key(line: LineClient, method: str) -> None:
    _refused(line, method, {**GOOD.get(method, {}), "key": "k"}, "key")


def test_the_longest_values_are_taken(line: LineClient) -> None:
    line.call("event", event="request_arrived", by="é" * 128, key="k" * wire.MAX_KEY_CHARS)
    taken = line.call("hold.acquire", who="w" * 128, why="ä" * wire.MAX_TEXT_CHARS, ttl_s=366 * 86_400)
    line.call("hold.release", hold_id=taken["hold_id"])
    line.call("log", after=0, limit=10_000, kinds=["x" * 64] * 64)


def test_a_name_of_a_field_may_be_anything(line: LineClient) -> None:
    for name in ("", "x" * 100_000, "\x00", "__proto__", "é", "\n"):
        error = line.ask("status", **{name: 1})["error"]
        assert (error["data"]["name"], error["data"]["field"]) == ("invalid_params", name[:64])


@pytest.mark.parametrize("params", [[], [1], "text", 5, True, None])
def test_params_are_an_object(line: LineClient, params: Any) -> None:
    line.send_line({"jsonrpc": "2.0", "id": 9, "method": "status", "params": params})
    reply = line.read_line()
    assert reply["id"] == 9
    assert (reply["error"]["data"]["name"], reply["error"]["data"]["field"]) == ("invalid_params", "params")


def test_params_may_be_left_out(line: LineClient) -> None:
    line.send_line({"jsonrpc": "2.0", "id": 1, "method": "status"})
    assert line.read_line()["result"]["state"] == "WAKE"
