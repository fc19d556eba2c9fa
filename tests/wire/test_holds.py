"""What ends a hold, and what as many as there may be cost the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon_process import CallRefusedError, LineClient, RunningDaemon
from torpor import wire
from waiting import until
from wire.writing import lines, message

HOLD_AND_STAY = """
import json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
request = {"jsonrpc": "2.0", "id": 1, "method": "hold.acquire", "params": {"who": "child", "why": "it lives"}}
sock.sendall(json.dumps(request).encode() + b"\\n")
print(sock.recv(65536).decode(), flush=True)
sys.stdin.read()
"""
PATIENCE_S = 1.0


def _released(daemon: RunningDaemon) -> list[str]:
    return [each["data"]["how"] for each in daemon.call("log", kinds=["hold_released"])["records"]]


def _until_released(daemon: RunningDaemon, how: str) -> None:
    until(lambda: not daemon.call("hold.list")["holds"], what="the hold to end")
    assert _released(daemon) == [how]


@contextmanager
def _child(code: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-I", "-S", "-c", code, *args]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("how", ["close", "half_close"])
def test_one_of_a_connection_ends_with_it(daemon: RunningDaemon, how: str) -> None:
    with daemon.connect() as line:
        line.call("hold.acquire", who="w", why="y")
        (hold,) = daemon.call("hold.list")["holds"]
        assert (hold["bound"], hold["until_ts"], hold["pid"]) == ("connection", None, None)
        getattr(line, how)()
        _until_released(daemon, "connection_closed")


def test_one_of_a_connection_ends_when_its_client_is_killed(daemon: RunningDaemon) -> None:
    with _child(HOLD_AND_STAY, str(daemon.socket)) as child:
        assert child.stdout is not None
        assert "hold_id" in child.stdout.readline()
        assert len(daemon.call("hold.list")["holds"]) == 1
        child.kill()
        _until_released(daemon, "connection_closed")


def test_only_the_holds_of_that_connection_end(daemon: RunningDaemon) -> None:
    with daemon.connect() as stays, daemon.connect() as goes:
        stays.call("hold.acquire", who="another connection", why="y")
        goes.call("hold.acquire", who="this connection", why="y")
        goes.call("hold.acquire", who="time", why="y", ttl_s=60)
        goes.call("hold.acquire", who="process", why="y", pid=os.getpid())
        goes.close()
        until(lambda: len(daemon.call("hold.list")["holds"]) < 4, what="one hold to end")
        held = {each["who"] for each in daemon.call("hold.list")["holds"]}
        assert held == {"another connection", "time", "process"}


def test_one_with_a_time_ends_with_it(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        began = time.monotonic()
        line.call("hold.acquire", who="w", why="y", ttl_s=0.2)
        (hold,) = line.call("hold.list")["holds"]
        assert (hold["bound"], hold["until_ts"] > hold["since_ts"]) == ("time", True)
        _until_released(daemon, "expired")
        assert time.monotonic() - began >= 0.2


def test_one_of_a_process_ends_with_it(daemon: RunningDaemon) -> None:
    with _child("input()") as child:
        daemon.call("hold.acquire", who="w", why="y", pid=child.pid)
        (hold,) = daemon.call("hold.list")["holds"]
        assert (hold["bound"], hold["pid"]) == ("process", child.pid)
        child.send_signal(signal.SIGKILL)
        child.wait()
        _until_released(daemon, "process_ended")


def test_a_zombie_has_ended(daemon: RunningDaemon) -> None:
    with _child("input()") as child:
        daemon.call("hold.acquire", who="w", why="y", pid=child.pid)
        child.send_signal(signal.SIGKILL)  # and nobody waits for it
        _until_released(daemon, "process_ended")


def test_of_a_process_and_a_time_the_first_ends_it(daemon: RunningDaemon) -> None:
    daemon.call("hold.acquire", who="w", why="y", pid=os.getpid(), ttl_s=0.2)
    assert daemon.call("hold.list")["holds"][0]["bound"] == "process"
    _until_released(daemon, "expired")


def test_a_process_that_is_not_there_holds_nothing(line: LineClient) -> None:
    with _child("pass") as child:
        child.wait()
        with pytest.raises(CallRefusedError) as refused:
            line.call("hold.acquire", who="w", why="y", pid=child.pid)
    assert (refused.value.name, refused.value.error["data"]["field"]) == ("invalid_params", "pid")


def test_what_is_not_held_cannot_be_released(line: LineClient) -> None:
    hold_id = line.call("hold.acquire", who="w", why="y")["hold_id"]
    line.call("hold.release", hold_id=hold_id)
    for gone in (hold_id, "nosuch"):
        with pytest.raises(CallRefusedError, match="no such hold") as refused:
            line.call("hold.release", hold_id=gone)
        assert refused.value.name == "not_found"


def test_anybody_may_release(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        hold_id = line.call("hold.acquire", who="w", why="y")["hold_id"]
        daemon.call("hold.release", hold_id=hold_id)
        assert daemon.call("hold.list")["holds"] == []


def test_while_it_is_held_it_does_not_sleep(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        line.call("hold.acquire", who="make", why="it builds")
        error = daemon.ask("event", event="force_sleep")["error"]
        assert error["data"]["name"] == "conflict"
        assert "make" in error["message"]
        assert error["data"]["busy"][0]["who"] == "make"
        assert daemon.call("status")["next"]["in_s"] is None
    until(lambda: not daemon.call("hold.list")["holds"], what="the hold to end")
    assert daemon.call("event", event="force_sleep")["state"] == "SLEEP"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_a_restart_leaves(daemon: RunningDaemon, end: str) -> None:
    with daemon.connect() as line, _child("input()") as child:
        line.call("hold.acquire", who="connection", why="y")
        line.call("hold.acquire", who="time", why="y", ttl_s=60)
        line.call("hold.acquire", who="this process", why="y", pid=os.getpid())
        line.call("hold.acquire", who="a process that ends meanwhile", why="y", pid=child.pid)
        getattr(daemon, end)()
        child.kill()
        child.wait()
        successor = daemon.again()
    held = {each["who"] for each in successor.call("hold.list")["holds"]}
    assert held == {"time", "this process"}


def _acquire(line: LineClient, count: int, **params: str) -> None:
    line.send(lines([message("hold.acquire", n, **params) for n in range(count)]))
    for _ in range(count):
        assert "result" in line.read_line()


def _slowest_status_s(line: LineClient) -> float:
    """Ask for the status until there are no holds."""
    slowest, held = 0.0, True
    while held:
        began = time.monotonic()
        held = bool(line.call("status")["holds"])
        slowest = max(slowest, time.monotonic() - began)
    return slowest


def test_as_many_holds_as_there_may_be(daemon: RunningDaemon) -> None:
    with daemon.connect() as many, daemon.connect() as other:
        for _ in range(12):  # the longest first: those are the ones that are shown
            _acquire(many, 10, who="\U0001f4a4" * 128, why="\U0001f4a4" * wire.MAX_TEXT_CHARS)
        for _ in range(0, wire.MAX_HOLDS - 120, 40):
            _acquire(many, 40, who="w", why="y" * 500)
        with pytest.raises(CallRefusedError) as refused:
            other.call("hold.acquire", who="w", why="one more")
        assert refused.value.name == "too_many"

        seen: list[str] = []
        cursor: dict[str, str] | None = {}
        while cursor is not None:
            other.request("hold.list", **cursor)
            text = other.read_bytes_line() or b""
            assert len(text) < wire.MAX_PAGE_BYTES
            page = json.loads(text)["result"]
            seen += [each["hold_id"] for each in page["holds"]]
            cursor = page["cursor"] and {"cursor": page["cursor"]}
        assert len(seen) == len(set(seen)) == wire.MAX_HOLDS

        for method, params in (("status", {}), ("why", {}), ("hibernate", {}), ("event", {"event": "force_sleep"})):
            other.request(method, **params)
            assert len(other.read_bytes_line() or b"") < wire.MAX_LINE_BYTES, method

        many.close()
        assert _slowest_status_s(other) < PATIENCE_S  # the ends of one client's holds are not everybody's wait


def test_pages_lose_and_repeat_nothing_while_holds_come_and_go(daemon: RunningDaemon) -> None:
    with daemon.connect() as line:
        _acquire(line, 300, who="stays", why="y" * wire.MAX_TEXT_CHARS)
        stay = {each["hold_id"] for each in _all_holds(line)}
        assert len(stay) == 300
        page = line.call("hold.list")
        seen = [each["hold_id"] for each in page["holds"]]
        while page["cursor"] is not None:
            _acquire(line, 3, who="comes", why="y")
            line.call("hold.release", hold_id=page["cursor"])  # the very one the next page begins behind
            stay.discard(page["cursor"])
            page = line.call("hold.list", cursor=page["cursor"])
            seen += [each["hold_id"] for each in page["holds"]]
        assert len(seen) == len(set(seen))
        assert stay <= set(seen)


def _all_holds(line: LineClient) -> list[dict[str, str]]:
    page = line.call("hold.list")
    holds: list[dict[str, str]] = page["holds"]
    while page["cursor"] is not None:
        page = line.call("hold.list", cursor=page["cursor"])
        holds += page["holds"]
    return holds
