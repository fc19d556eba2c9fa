"""`hibernate`, `stop`, signals: what clients see of the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon_process import LineClient, RunningDaemon
from waiting import until
from wire.writing import lines, message

SOON = '[lifecycle]\nmin_up = "0s"\n'
# Where neither a change nor the way back to what was before is a matter of time.
STAYS = '[lifecycle]\nshadow_run = true\nmin_up = "0s"\n'


def _state_file(daemon: RunningDaemon) -> dict[str, object]:
    found: dict[str, object] = json.loads((daemon.home / "lifecycle_state.json").read_text())
    return found


def test_hibernate_goes_down_as_soon_as_nothing_is_busy(home: Path) -> None:
    daemon = RunningDaemon.start(home, SOON)
    with daemon.connect() as holder:
        hold_id = holder.call("hold.acquire", who="make", why="it builds")["hold_id"]
        said = daemon.call("hibernate")
        assert said["state"] == "WAKE"
        assert [each["hold_id"] for each in said["waiting_for"]] == [hold_id]
        holder.call("hold.release", hold_id=hold_id)
        assert daemon.wait_gone() == 0
    ended = _state_file(daemon)
    assert (ended["current_state"], ended["pid"], ended["reason"]) == ("HIBERNATION", None, "hibernate")
    successor = daemon.again()
    assert successor.call("status")["state"] == "WAKE"  # a start is itself a demand
    kinds = [(each["kind"], each["data"].get("to")) for each in successor.call("log")["records"]]
    assert ("state_transition", "HIBERNATION") in kinds
    assert kinds.index(("stopped", None)) < kinds.index(("started", None), 1)


def test_hibernate_now_gives_the_sleep_cycle_no_time(home: Path) -> None:
    daemon = RunningDaemon.start(home, STAYS)
    assert daemon.call("hibernate", now=True) == {"state": "SLEEP", "waiting_for": []}
    assert daemon.call("wait", state="HIBERNATION", timeout_s=10)["state"] == "HIBERNATION"
    kinds = [each["kind"] for each in daemon.call("log")["records"]]
    assert "sleep_cycle_skipped" in kinds
    assert "sleep_cycle_done" not in kinds


def test_hibernate_does_the_work_of_sleep_first(home: Path) -> None:
    daemon = RunningDaemon.start(home, STAYS)
    daemon.call("hibernate")
    daemon.call("wait", state="HIBERNATION", timeout_s=10)
    kinds = [each["kind"] for each in daemon.call("log")["records"]]
    assert kinds.index("sleep_cycle_done") < kinds.index("shadow_run_warning")


def test_a_wake_signal_takes_a_waiting_hibernation_back(daemon: RunningDaemon) -> None:
    with daemon.connect() as holder:
        holder.call("hold.acquire", who="make", why="it builds")
        daemon.call("hibernate")
        daemon.call("event", event="wake_signal")
    until(lambda: not daemon.call("hold.list")["holds"], what="the hold to end")
    assert daemon.call("status")["state"] == "WAKE"


def test_stop_ends_it_in_the_state_it_is_in(daemon: RunningDaemon) -> None:
    daemon.call("event", event="force_sleep")
    daemon.call("hold.acquire", who="w", why="busy is no hindrance", ttl_s=60)
    daemon.call("event", event="request_arrived")
    assert daemon.call("stop") == {"state": "WAKE"}
    assert daemon.wait_gone() == 0
    ended = _state_file(daemon)
    assert (ended["current_state"], ended["pid"], ended["reason"]) == ("WAKE", None, "stop")
    assert not daemon.socket.exists()


def test_what_is_asked_after_stop_is_refused_and_not_applied(daemon: RunningDaemon) -> None:
    event = {"event": "request_arrived"}
    with daemon.connect() as line:
        line.send(lines([message("event", 1, **event), message("stop", 2), message("event", 3, **event)]))
        assert line.read_line()["result"]["wrapper_event_seq"] == 1
        assert line.read_line()["result"] == {"state": "WAKE"}
        assert line.read_line()["error"]["data"]["name"] == "draining"
        assert line.at_end()
    assert daemon.wait_gone() == 0
    assert daemon.again().call("status")["wrapper_event_seq"] == 1


@pytest.mark.parametrize("how", ["stop", "signal"])
def test_what_had_been_sent_is_answered_and_what_was_not_read_was_not_applied(daemon: RunningDaemon, how: str) -> None:
    clients = [daemon.connect() for _ in range(10)]
    for client in clients:
        client.send(lines([message("event", n, event="request_arrived") for n in range(200)]))
    if how == "stop":
        daemon.call("stop")
    else:
        daemon.process.terminate()
    applied = sum(_answers(client) for client in clients)
    assert daemon.wait_gone() == 0
    assert daemon.again().call("status")["wrapper_event_seq"] == applied


def _answers(client: LineClient) -> int:
    """Read all 200 replies; returns how many say that it was done. Behind the first refusal there are only more."""
    replies = [client.read_line() for _ in range(200)]
    assert client.at_end()
    done = ["result" in reply for reply in replies]
    assert done == sorted(done, reverse=True)
    assert {reply["error"]["data"]["name"] for reply in replies if "error" in reply} <= {"draining"}
    return sum(done)


def test_an_idle_connection_is_closed_without_a_word(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("status")
        assert daemon.stop() == 0
        assert line.at_end()
        with pytest.raises(BrokenPipeError):  # so its client knows that nobody read it
            line.request("status")


@pytest.mark.parametrize("again", ["stop", "hibernate"])
def test_asked_twice_it_ends_once(daemon: RunningDaemon, again: str) -> None:
    with daemon.connect() as line:
        line.send(lines([message("stop", 1), message(again, 2), message("status", 3)]))
        replies = [line.read_line() for _ in range(3)]
        assert "result" in replies[0]
    assert daemon.wait_gone() == 0
    kinds = [each["kind"] for each in daemon.again().call("log")["records"]]
    assert (kinds.count("stop_requested"), kinds.count("stopped")) == (1, 1)
