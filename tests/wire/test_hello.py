from __future__ import annotations

from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from torpor import wire


def test_it_says_who_is_there(shared: RunningDaemon, line: LineClient) -> None:
    said = line.call("hello", protocol=1, client={"name": "a test", "version": "1"})
    assert set(said) == {"protocol", "daemon", "state", "limits"}
    assert set(said["daemon"]) == {"version", "pid", "started_ts", "generation"}
    assert (said["protocol"], said["daemon"]["pid"], said["daemon"]["generation"]) == (1, shared.pid, 1)
    assert said["state"] in wire.STATES
    assert said["limits"] == wire.LIMITS


def test_nobody_needs_it(line: LineClient) -> None:
    assert line.call("status")["state"] == "WAKE"


def test_it_comes_first_or_not_at_all(line: LineClient) -> None:
    line.call("hello", protocol=1)
    refused = line.ask("hello", protocol=1)["error"]
    assert (refused["code"], refused["data"]["name"]) == (-32600, "invalid_request")
    assert line.call("status")["state"] == "WAKE"


def test_it_does_not_come_after_another_request(line: LineClient) -> None:
    line.call("status")
    assert line.ask("hello", protocol=1)["error"]["data"]["name"] == "invalid_request"


def test_a_line_that_is_no_request_does_not_count_as_one(line: LineClient) -> None:
    line.send(b"nonsense\n")
    assert line.read_line()["error"]["data"]["name"] == "parse_error"
    assert line.call("hello", protocol=1)["protocol"] == 1


@pytest.mark.parametrize(
    "params",
    [
        {"protocol": 2},
        {"protocol": 0},
        {"protocol": -1},
        {"protocol": 2, "client": {"name": "later", "version": "9"}},
        {"protocol": 2, "client": "in another form"},
        {"protocol": 2, "features": ["what a later protocol may say"]},
    ],
)
def test_a_protocol_that_is_not_spoken_is_refused_before_anything_else_is_looked_at(
    line: LineClient, params: dict[str, Any]
) -> None:
    refused = line.ask("hello", **params)["error"]
    assert (refused["code"], refused["data"]["name"]) == (-32007, "protocol_mismatch")
    assert refused["data"]["protocol"] == wire.PROTOCOL


@pytest.mark.parametrize("protocol", ["1", 1.0, True, None, [1], {}, 1.5])
def test_a_protocol_is_a_whole_number(line: LineClient, protocol: Any) -> None:
    refused = line.ask("hello", protocol=protocol)["error"]
    assert (refused["data"]["name"], refused["data"]["field"]) == ("invalid_params", "protocol")


def test_a_protocol_must_be_named(line: LineClient) -> None:
    refused = line.ask("hello")["error"]
    assert (refused["data"]["name"], refused["data"]["field"]) == ("invalid_params", "protocol")


@pytest.mark.parametrize(
    "client", ["torpor", {}, {"name": "a"}, {"name": "", "version": "1"}, {"name": 1, "version": 1}]
)
def test_a_client_says_its_name_and_version(line: LineClient, client: Any) -> None:
    refused = line.ask("hello", protocol=1, client=client)["error"]
    assert (refused["data"]["name"], refused["data"]["field"]) == ("invalid_params", "client")
