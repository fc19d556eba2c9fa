"""Accepting, and its end: no task accepts at a listener that is given up, however the event loop's turns fall."""

from __future__ import annotations

import errno
import os
import socket
import time
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from structlog.testing import capture_logs

from shell.virtual_time import run
from torpord.control import server as servers
from torpord.core.events import Cause
from torpord.host import listen, processes


class Left:
    """A connection that nobody should have begun to serve."""

    def __init__(self, number: int, sock: socket.socket, _: Cause) -> None:
        raise AssertionError(f"connection {number} was accepted: {sock}")


@pytest.mark.asyncio
@pytest.mark.parametrize("shut", [True, False])
async def test_a_wait_that_was_over_when_accepting_ended_accepts_nobody(
    shut: bool, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen.own(str(short_dir / "own.sock"))
    async with anyio.create_task_group() as tasks:
        server = servers.Server(listener, os.getuid(), tasks, Left, time.monotonic)

        async def already_over(_: socket.socket) -> None:
            # What the exit does in the turn in which somebody came: with a socket of its own, and with another's.
            if shut:
                listener.shut()
            server.stop_accepting()

        monkeypatch.setattr(servers.anyio, "wait_readable", already_over)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(short_dir / "own.sock"))
            with anyio.fail_after(5):
                await server.run()
    listener.close()


@pytest.mark.asyncio
async def test_who_hung_up_while_it_waited_is_closed_and_ends_nothing(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As macOS tells it: there is no peer to ask for."""

    def nobody(sock: socket.socket) -> processes.Peer:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN), sock)

    monkeypatch.setattr(processes, "peer", nobody)
    listener = listen.own(str(short_dir / "own.sock"))
    async with anyio.create_task_group() as tasks:
        server = servers.Server(listener, os.getuid(), tasks, Left, time.monotonic)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(short_dir / "own.sock"))
            assert server.accept_waiting() == 1
            client.settimeout(5)
            assert client.recv(1) == b""
    listener.close()


def test_that_no_descriptor_is_left_is_told_once_for_as_long_as_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    none_left = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    outcomes: list[OSError | None] = [none_left, none_left, none_left, None, none_left]

    class Listening:
        sock = None

        def accept(self) -> None:
            if not outcomes:
                server.stop_accepting()
            elif (outcome := outcomes.pop(0)) is not None:
                raise outcome

    async def at_once(_: object) -> None:
        await anyio.lowlevel.checkpoint()

    async def main() -> None:
        nonlocal server
        async with anyio.create_task_group() as tasks:
            server = servers.Server(Listening(), os.getuid(), tasks, Left, time.monotonic)  # type: ignore[arg-type]
            await server.run()

    server: servers.Server
    monkeypatch.setattr(servers.anyio, "wait_readable", at_once)
    with capture_logs() as logged:
        run(main)
    assert [line["event"] for line in logged] == ["cannot_accept"] * 2
