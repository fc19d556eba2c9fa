"""Who is turned away at the door writes no line each: a flood of them would fill the disk with the daemon's log."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from structlog.testing import capture_logs

from torpor import wire
from torpord.control import server as servers
from torpord.control.sparing import EVERY_S, Sparing
from torpord.core.events import Cause
from torpord.host import listen, processes

NOBODY = 65534


class TurnedAway:
    """A connection that is never served."""

    def __init__(self, number: int, sock: socket.socket, _: Cause) -> None:
        self.number = number
        self.sock = sock
        self.handling = self.ended_sending = False

    async def refuse(self, name: str, message: str) -> None:
        assert str(NOBODY) in message or name == "too_many"
        self.sock.close()

    async def serve(self) -> None:
        raise AssertionError(f"{self.number} is not to be served")


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["not_permitted", "too_many"])
async def test_a_flood_of_refused_connections_is_one_line_a_minute(
    name: str, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "too_many":
        monkeypatch.setattr(wire, "MAX_CONNECTIONS", 0)
    else:
        monkeypatch.setattr(processes, "peer", lambda _: processes.Peer(os.getpid(), NOBODY, NOBODY))
    path = str(short_dir / "own.sock")
    listener, now_s = listen.own(path), 1000.0

    async def flood(times: int) -> list[Any]:
        with capture_logs() as logged:
            for _ in range(times):
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(path)
                    assert server.accept_waiting() == 1
                await anyio.lowlevel.checkpoint()
        return [(line["event"], line["name"], line["untold"]) for line in logged]

    async with anyio.create_task_group() as tasks:
        server = servers.Server(listener, os.getuid(), tasks, TurnedAway, lambda: now_s)
        assert await flood(100) == [("refused", name, 0)]
        now_s += EVERY_S - 1
        assert await flood(100) == []
        now_s += 1
        assert await flood(100) == [("refused", name, 199)]
        with capture_logs() as last:
            await server.drain()
        assert [(line["event"], line["name"], line["untold"]) for line in last] == [("refused", name, 99)]
    listener.close()


def test_each_name_is_counted_by_itself_and_none_is_lost() -> None:
    sparing = Sparing(every_s=10)
    assert [sparing.due("a", 0), sparing.due("a", 9.9), sparing.due("b", 9.9), sparing.due("b", 10)] == [
        0,
        None,
        0,
        None,
    ]
    assert sparing.due("a", 10) == 1
    assert sparing.due("a", 11) is None
    assert sparing.rest() == {"a": 1, "b": 1}
    assert sparing.rest() == {}
    assert sparing.due("a", 20) == 0
