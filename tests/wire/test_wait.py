"""`wait`: an answer once a state is reached, out of order with all others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon
from torpor.wire import MAX_WAITS
from waiting import until
from wire.kernel import needs_proc, open_sockets
from wire.writing import lines, message


def test_it_holds_already(line: LineClient) -> None:
    head = line.call("status")["ledger_seq"]
    assert line.call("wait", state="WAKE") == {"state": "WAKE", "seq": head}


def test_it_is_reached_later(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        waiting = line.request("wait", state="SLEEP", timeout_s=10)
        daemon.call("event", event="force_sleep")
        reply = line.read_line()
        assert (reply["id"], reply["result"]["state"]) == (waiting, "SLEEP")
        (record,) = daemon.call("log", after=reply["result"]["seq"] - 1, limit=1)["records"]
        assert (record["kind"], record["data"]["to"]) == ("state_transition", "SLEEP")


def test_a_state_that_is_only_passed_through_counts(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.request("wait", state="DROWSY", timeout_s=10)
        line.call("status")  # it is waiting now
        daemon.call("event", event="force_sleep")
        assert line.read_line()["result"]["state"] == "DROWSY"


@pytest.mark.parametrize("timeout_s", [0, 0.05])
def test_it_runs_out_of_time(line: LineClient, timeout_s: float) -> None:
    began = time.monotonic()
    error = line.ask("wait", state="SLEEP", timeout_s=timeout_s)["error"]
    assert time.monotonic() - began >= timeout_s
    assert (error["code"], error["data"]["name"], error["data"]["state"]) == (-32008, "timeout", "WAKE")


def test_others_are_answered_meanwhile_and_the_shortest_first(line: LineClient) -> None:
    waits = [message("wait", name, state="SLEEP", timeout_s=s) for name, s in (("late", 0.4), ("soon", 0.2))]
    line.send(lines([*waits, message("status", "look"), message("event", "use", event="request_arrived")]))
    replies = [line.read_line() for _ in range(4)]
    assert [reply["id"] for reply in replies] == ["look", "use", "soon", "late"]
    assert [reply["result"]["state"] for reply in replies[:2]] == ["WAKE", "WAKE"]


def test_many_wait_on_one_connection_and_one_more_is_too_many(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.send(lines([message("wait", n, state="SLEEP") for n in range(MAX_WAITS + 1)]))
        refused = line.read_line()
        assert (refused["id"], refused["error"]["data"]["name"]) == (MAX_WAITS, "too_many")
        daemon.call("event", event="force_sleep")
        assert sorted(line.read_line()["id"] for _ in range(MAX_WAITS)) == list(range(MAX_WAITS))
        line.send(lines([message("wait", n, state="SLEEP") for n in range(MAX_WAITS)]))  # they can wait again
        assert all("result" in line.read_line() for _ in range(MAX_WAITS))


@pytest.mark.parametrize("how", ["stop", "signal"])
def test_who_still_waits_when_it_stops_is_told_to_ask_again(daemon: RunningDaemon, how: str) -> None:
    with daemon.connect() as line, daemon.connect() as half_closed:
        ids = {line.request("wait", state="SLEEP"), line.request("wait", state="HIBERNATION", timeout_s=60)}
        half_closed.request("wait", state="SLEEP")
        half_closed.half_close()
        line.call("status")
        if how == "stop":
            daemon.call("stop")
        else:
            daemon.process.terminate()
        replies = [line.read_line(), line.read_line()]
        assert {reply["id"] for reply in replies} == ids
        assert {reply["error"]["data"]["name"] for reply in [*replies, half_closed.read_line()]} == {"draining"}
        assert line.at_end()
        assert half_closed.at_end()
    assert daemon.wait_gone() == 0


def test_who_waits_for_hibernation_hears_of_it_before_the_end(home: Path) -> None:
    daemon = RunningDaemon.start(home, '[lifecycle]\nmin_up = "0s"\n')
    with daemon.connect() as line:
        waiting = line.request("wait", state="HIBERNATION", timeout_s=10)
        line.call("status")
        daemon.call("hibernate")
        reply = line.read_line()
        assert (reply["id"], reply["result"]["state"]) == (waiting, "HIBERNATION")
        assert line.at_end()
    assert daemon.wait_gone() == 0


def test_who_has_closed_its_sending_side_still_gets_its_answer(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        waiting = [line.request("wait", state="SLEEP"), line.request("wait", state="WAKE", timeout_s=9)]
        line.half_close()
        assert line.read_line()["id"] == waiting[1]
        daemon.call("event", event="force_sleep")
        assert line.read_line()["id"] == waiting[0]
        assert line.at_end()


@needs_proc
@pytest.mark.parametrize("method", ["wait", "subscribe"])
@pytest.mark.parametrize("half_closed_first", [False, True])
def test_who_vanishes_leaves_no_connection_behind(shared: RunningDaemon, method: str, half_closed_first: bool) -> None:
    params = {"state": "SLEEP"} if method == "wait" else {}
    clients = [shared.connect() for _ in range(20)]
    for client in clients:
        client.send(lines([message(method, 1, **params), message("status", 2)]))
        if half_closed_first:
            client.half_close()
    for client in clients:
        while client.read_line()["id"] != 2:
            pass
    assert open_sockets(shared.pid) > 20
    for client in clients:
        client.close()
    until(lambda: open_sockets(shared.pid) < 20, what="twenty connections to be gone")
