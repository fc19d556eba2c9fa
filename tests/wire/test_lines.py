"""What is no request, or comes in pieces: the daemon says so, and serves the others meanwhile and after."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from torpor import wire
from waiting import until
from wire.writing import lines, message, send_aside

EVENT = {"event": "request_arrived"}
DEEP = 100_000


def _events(daemon: RunningDaemon) -> int:
    return int(daemon.call("status")["wrapper_event_seq"])


def _named(reply: dict[str, Any]) -> tuple[Any, str]:
    assert reply["error"]["code"] == wire.ERROR_CODES[reply["error"]["data"]["name"]]
    return reply["id"], reply["error"]["data"]["name"]


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense",
        b"{",
        b"}",
        b'{"jsonrpc": "2.0", "id": 1, "method": "status"',
        b'{"jsonrpc": "2.0", "id": 1, "method": "status"}}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "status"} {"jsonrpc": "2.0", "id": 2, "method": "status"}',
        b"{'jsonrpc': '2.0'}",
        b"\xff\xfe\x00",
        b'{"jsonrpc": "2.0", "id": "\xff", "method": "status"}',
        b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "status"}',
        b'{"jsonrpc": "2.0", "id": "\xed\xa0\x80", "method": "status"}',
        b'{"jsonrpc": "2.0", "id": "a\x00b", "method": "status"}',
        b'{"jsonrpc": "2.0", "id": NaN, "method": "status"}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "log", "params": {"after": NaN}}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "wait", "params": {"state": "WAKE", "timeout_s": Infinity}}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "wait", "params": {"state": "WAKE", "timeout_s": -Infinity}}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "log", "params": {"after": 1e400}}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "log", "params": {"after": ' + b"9" * 5000 + b"}}",
        b'{"jsonrpc": "2.0", "id": 01, "method": "status"}',
        b"\xef\xbb\xbf" + b'{"jsonrpc": "2.0", "id": 1, "method": "status"}',
        b"[" * DEEP,
        b'{"a":' * DEEP,
        b"GET / HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
    ids=lambda text: repr(text[:60]),
)
def test_a_line_that_does_not_parse_is_told_so_and_the_connection_goes_on(line: LineClient, text: bytes) -> None:
    line.send(text + b"\n")
    assert _named(line.read_line()) == (None, "parse_error")
    assert line.call("status")["state"] == "WAKE"


@pytest.mark.parametrize("text", ["[]", "[1]", "1", '"status"', "null", "true", "[" * 1000 + "]" * 1000])
def test_what_is_no_object_is_no_request(line: LineClient, text: str) -> None:
    line.send_line(text)
    assert _named(line.read_line()) == (None, "invalid_request")
    assert line.call("status")["state"] == "WAKE"


def test_there_are_no_batches(shared: RunningDaemon, line: LineClient) -> None:
    before = _events(shared)
    line.send_line(json.dumps([message("event", 1, **EVENT), message("event", 2, **EVENT)]))
    reply = line.read_line()
    assert _named(reply) == (None, "invalid_request")
    assert "batch" in reply["error"]["message"]
    assert _events(shared) == before


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"id": 5, "method": "status"}, "jsonrpc"),
        ({"jsonrpc": "1.0", "id": 5, "method": "status"}, "jsonrpc"),
        ({"jsonrpc": 2.0, "id": 5, "method": "status"}, "jsonrpc"),
        ({"jsonrpc": "2.0", "id": 5}, "method"),
        ({"jsonrpc": "2.0", "id": 5, "method": None}, "method"),
        ({"jsonrpc": "2.0", "id": 5, "method": 7}, "method"),
        ({"jsonrpc": "2.0", "id": 5, "method": ["status"]}, "method"),
        ({"jsonrpc": "2.0", "id": 5, "result": {}}, "method"),
    ],
)
def test_a_malformed_request_is_answered_under_its_id(line: LineClient, given: dict[str, Any], field: str) -> None:
    line.send_line(given)
    reply = line.read_line()
    assert _named(reply) == (5, "invalid_request")
    assert reply["error"]["data"]["field"] == field


def test_of_two_equal_names_the_last_stands(line: LineClient) -> None:
    line.send(
        b'{"jsonrpc":"2.0","id":1,"id":2,"method":"stop","method":"wait","params":{"state":"SLEEP","state":"WAKE"}}\n'
    )
    reply = line.read_line()
    assert (reply["id"], reply["result"]["state"]) == (2, "WAKE")


def test_names_beside_those_of_a_request_are_no_matter(line: LineClient) -> None:
    line.send_line({**message("status", 1), "trace": {"a": [1]}})
    assert line.read_line()["result"]["state"] == "WAKE"


def test_lines_may_end_as_windows_ends_them(line: LineClient) -> None:
    line.send(json.dumps(message("status", 1)).encode() + b"\r\n" + json.dumps(message("status", 2)).encode() + b"\r\n")
    assert [line.read_line()["id"], line.read_line()["id"]] == [1, 2]


def test_empty_lines_are_passed_over(line: LineClient) -> None:
    line.send(b"\n\r\n  \n\t\n" + lines([message("status", 1)]) + b"\n" * 1000 + lines([message("status", 2)]))
    assert [line.read_line()["id"], line.read_line()["id"]] == [1, 2]


def test_white_space_around_an_object_is_no_matter(line: LineClient) -> None:
    line.send(b"  \t" + json.dumps(message("status", 1)).encode() + b"  \n")
    assert line.read_line()["id"] == 1


def test_a_request_may_trickle(line: LineClient) -> None:
    for byte in lines([message("status", 1)]):
        line.send(bytes([byte]))
    assert line.read_line()["result"]["state"] == "WAKE"


def test_a_character_may_be_cut_anywhere(line: LineClient) -> None:
    text = json.dumps(message("event", 1, **EVENT, by="ärger 😀"), ensure_ascii=False).encode() + b"\n"
    for at in range(0, len(text), 3):
        line.send(text[at : at + 3])
    assert line.read_line()["result"]["state"] == "WAKE"
    assert "ärger 😀" in line.call("why")["awake_because"][0]["who"]


def test_half_a_line_at_the_end_is_not_applied(shared: RunningDaemon, line: LineClient) -> None:
    before = _events(shared)
    whole = lines([message("event", 1, **EVENT)])
    line.send(whole + whole[:-4])
    line.half_close()
    assert line.read_line()["result"]["wrapper_event_seq"] == before + 1
    assert _named(line.read_line()) == (None, "parse_error")
    assert line.at_end()
    assert _events(shared) == before + 1


def test_half_a_line_of_a_client_that_is_gone_is_not_applied(shared: RunningDaemon) -> None:
    before = _events(shared)
    with shared.connect() as gone:
        gone.send(lines([message("event", 1, **EVENT)])[:-4])
    assert _events(shared) == before


def test_a_whole_object_without_a_line_end_is_answered_at_the_end(shared: RunningDaemon, line: LineClient) -> None:
    before = _events(shared)
    line.send(lines([message("event", 1, **EVENT)]).rstrip(b"\n"))
    line.half_close()
    assert line.read_line()["result"]["wrapper_event_seq"] == before + 1
    assert line.at_end()


def test_nothing_at_all_is_no_matter(shared: RunningDaemon, line: LineClient) -> None:
    line.half_close()
    assert line.at_end()
    assert shared.call("status")["state"] == "WAKE"


def _of_length(length: int, request_id: int) -> bytes:
    text = json.dumps(message("status", request_id)).encode()
    return text[:-1] + b" " * (length - len(text)) + text[-1:]


def test_a_line_may_have_a_whole_mebibyte(line: LineClient) -> None:
    sender = send_aside(line, _of_length(wire.MAX_LINE_BYTES, 1) + b"\n" + lines([message("status", 2)]))
    assert [line.read_line()["id"], line.read_line()["id"]] == [1, 2]
    sender.join()


@pytest.mark.parametrize("with_end", [True, False])
def test_one_byte_more_is_too_large(line: LineClient, with_end: bool) -> None:
    sender = send_aside(line, _of_length(wire.MAX_LINE_BYTES + 1, 1) + (b"\n" if with_end else b""))
    assert _named(line.read_line()) == (None, "too_large")
    assert line.at_end()
    sender.join()


def test_what_came_before_a_line_of_two_mebibytes_is_answered_and_what_follows_is_not_read(
    shared: RunningDaemon, line: LineClient
) -> None:
    before = _events(shared)
    event = message("event", 1, **EVENT)
    sender = send_aside(line, lines([event, message("status", 2)]) + b"x" * (2 << 20) + b"\n" + lines([event]))
    assert line.read_line()["result"]["wrapper_event_seq"] == before + 1
    assert line.read_line()["id"] == 2
    assert _named(line.read_line()) == (None, "too_large")
    assert line.at_end()
    sender.join()
    assert _events(shared) == before + 1


def test_who_sends_without_end_is_told_and_closed(shared: RunningDaemon) -> None:
    with shared.connect() as client:
        sender = send_aside(client, b"x" * (64 << 20))
        assert _named(client.read_line()) == (None, "too_large")
        until(lambda: not sender.is_alive(), what="its sending to fail")
    assert shared.call("status")["rss_bytes"] < 100 << 20
