"""More connections than there may be, and clients that never read."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Iterator
from typing import Any

import pytest

from daemon_process import LineClient, RunningDaemon
from torpor import wire
from torpord.control.server import MOST_REFUSALS
from waiting import until
from wire.kernel import needs_proc, open_sockets, rss_bytes
from wire.test_subscription import LONG, make_lines
from wire.writing import MANY, lines, message, send_aside

# What the daemon may hold for clients that flood it and never read, over what it holds anyway.
ROOM_BYTES = 24 << 20


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for as many descriptors in this process as the daemon takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * wire.MAX_CONNECTIONS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this process may open {hard} files, the test needs {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_one_connection_more_is_told_so_and_closed(daemon: RunningDaemon, many_files: None) -> None:
    clients = full_house(daemon)
    for _ in range(3):
        with daemon.connect() as refused:
            said = refused.read_line()
            assert (said["id"], said["error"]["code"], said["error"]["data"]["name"]) == (None, -32006, "too_many")
            assert refused.at_end()
    with daemon.connect() as asked_first:
        asked_first.request("event", event="request_arrived")
        assert asked_first.read_line()["error"]["data"]["name"] == "too_many"
    assert clients[0].call("status")["wrapper_event_seq"] == 0

    clients[7].close()
    clients[7] = until(lambda: _served(daemon), what="a place that is free again")
    assert clients[0].call("status")["state"] == "WAKE"


@needs_proc
def test_a_flood_of_refused_ones_takes_few_descriptors(daemon: RunningDaemon, many_files: None) -> None:
    clients = full_house(daemon)
    before = open_sockets(daemon.pid)
    flood = [daemon.connect() for _ in range(6 * MOST_REFUSALS)]  # none of them goes by itself
    for client in flood[MOST_REFUSALS:]:
        with contextlib.suppress(ConnectionResetError):  # closed with nothing said
            client.read_bytes_line()
    assert open_sockets(daemon.pid) <= before + MOST_REFUSALS
    assert clients[0].call("status")["state"] == "WAKE"


def full_house(daemon: RunningDaemon) -> list[LineClient]:
    """As many connections as there may be, all of them served. One of the start may still be on its way out."""
    return [until(lambda: _served(daemon), what="a place") for _ in range(wire.MAX_CONNECTIONS)]


def _served(daemon: RunningDaemon) -> LineClient | None:
    client = daemon.connect()
    client.request("status")
    if "result" in client.read_line():
        return client
    client.close()
    return None


def test_a_daemon_of_many_connections_still_stops_at_once(daemon: RunningDaemon) -> None:
    clients = [daemon.connect() for _ in range(200)]
    for client in clients:
        client.request("wait", state="SLEEP")
    assert daemon.stop() == 0
    for client in clients:
        assert client.read_line()["error"]["data"]["name"] == "draining"
        assert client.at_end()


@needs_proc
def test_who_never_reads_is_dropped_and_costs_little(daemon: RunningDaemon) -> None:
    """All of them at once, as each takes its ten seconds: floods of looks, of changes, and a live subscription."""
    make_lines(daemon, 300, LONG)
    sockets, memory = open_sockets(daemon.pid), rss_bytes(daemon.pid)
    began = time.monotonic()
    floods = {
        "log": lines([message("log", n) for n in range(MANY)]),
        "status": lines([message("status", n) for n in range(MANY)]),
        "event": lines([message("event", n, event="heartbeat_refresh") for n in range(MANY)]),
        "nonsense": b"x\n" * 100_000,
    }
    clients = {name: daemon.connect() for name in floods}
    senders = [send_aside(clients[name], data) for name, data in floods.items()]
    follower = daemon.connect()
    follower.call("subscribe")
    with daemon.connect() as other:
        make_lines(daemon, 1000, LONG)
        until(lambda: _still_small(other, daemon, memory) and open_sockets(daemon.pid) <= sockets + 1, limit_s=25)
        assert time.monotonic() - began >= wire.MAX_BEHIND_S  # and not before: who is only slow is not dropped
        assert other.call("status")["state"] == "WAKE"
    for sender in senders:
        sender.join(10)
        assert not sender.is_alive()  # its sending failed
    # A connection is gone before the log's line of it is written.
    dropped = until(lambda: found if len(found := _dropped(daemon)) > len(clients) else None)
    assert len(dropped) == len(clients) + 1
    assert all(each["level"] == "warning" and each["why"] for each in dropped)
    assert follower.read_line()["params"]["kind"] == "hold_acquired"  # what had been sent is still there to be read


def _dropped(daemon: RunningDaemon) -> list[dict[str, Any]]:
    return [each for each in daemon.log_lines() if each.get("event") == "reader_dropped"]


def _still_small(other: LineClient, daemon: RunningDaemon, memory: int) -> bool:
    began = time.monotonic()
    other.call("status")
    assert time.monotonic() - began < 1.0
    assert rss_bytes(daemon.pid) < memory + ROOM_BYTES
    return True
