"""This client and a daemon of a later version: what it does not know in an answer it passes over.

The later daemon is today's, behind a door that adds to every object of every answer, and has more to tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon_process import RunningDaemon
from process.flow_runs import flow_settings, start
from torpor import AsyncClient, Client
from torpor.cli import main
from wire.agents import ahead

NOVELTY = {"from_a_later_version": {"of": ["anything", None, 1e300]}, "": 0}
UNHEARD_OF = {"jsonrpc": "2.0", "method": "weather", "params": {"wind": "north"}}


def later(value: Any) -> Any:
    """Return a value as a later version may tell it: each object in it has more than it had."""
    if isinstance(value, dict):
        return {**{name: later(each) for name, each in value.items()}, **NOVELTY}
    return [later(each) for each in value] if isinstance(value, list) else value


class LaterDaemon:
    """The door: a socket whose every connection leads to the daemon, and whose answers are a later version's."""

    def __init__(self, daemon: RunningDaemon, path: Path) -> None:
        self._daemon = daemon
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                mine, _ = self._listener.accept()
            except OSError:
                return
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect(str(self._daemon.socket))
            self._open += [mine, theirs]
            for way in ((mine, theirs, lambda line: line), (theirs, mine, answered)):
                self._threads.append(threading.Thread(target=carry, args=way))
                self._threads[-1].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            ended(each)
        for thread in self._threads:
            thread.join(10)
        for each in self._open:
            each.close()


def answered(line: bytes) -> bytes:
    message = later(json.loads(line))
    more = b"" if "id" in message else json.dumps(UNHEARD_OF).encode() + b"\n"
    return more + json.dumps(message).encode() + b"\n"


def carry(from_: socket.socket, to: socket.socket, made: Callable[[bytes], bytes]) -> None:
    with contextlib.suppress(OSError), from_.makefile("rb") as lines:  # one of the two has gone: so does the other
        for line in lines:
            to.sendall(made(line))
    ended(from_)
    ended(to)


def ended(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it had ended
        sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def later_home(home: Path, short_dir: Path) -> Iterator[Path]:
    """A home whose daemon is a later version's, with something of everything in it."""
    daemon = RunningDaemon.start(home, flow_settings("toy:chain"), env={"TORPOR_SOCKET": str(short_dir / "inner")})
    daemon.call("hold.acquire", who="a test", why="to be shown", ttl_s=600)
    daemon.call("agent.register", agent_id="a")
    daemon.call("agent.transition", agent_id="a", to="exhausted", recovery_at=ahead(600))
    daemon.call("slot.add", agent_id="a", type="work", at=ahead(900))
    start(daemon, "chain", short_dir / "outside", until=2)
    door = LaterDaemon(daemon, home / "torpor.sock")
    yield home
    door.close()
    assert daemon.stop() == 0
    assert not [each for each in daemon.log_lines() if each.get("event") == "internal_error"]


LOOKS = (
    ["status"],
    ["why"],
    ["log"],
    ["wait", "WAKE"],
    ["agent"],
    ["agent", "show", "a"],
    ["slot"],
    ["runs"],
    ["flows"],
)
CHANGES = (
    ["send", "heartbeat_refresh"],
    ["wake"],
    ["agent", "beat", "a"],
    ["slot", "add", "a", "--at", "1h"],
    ["runs", "start", "chain", "--data", "{}"],
    ["reload"],
    ["hibernate"],
)


def test_every_command_passes_over_what_it_does_not_know(later_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in [*LOOKS, *([*each, "--json"] for each in LOOKS), *CHANGES]:
        status = main(["--home", str(later_home), *line])
        printed = capsys.readouterr()
        assert (status, printed.err) == (0, ""), (line, printed)


def test_the_library_takes_it_too(later_home: Path) -> None:
    with Client(later_home) as client:
        assert client.hello()["protocol"] == 1
        assert client.status()["state"] == "WAKE"
        seqs = [each["seq"] for each in client.log()["records"]]
        with client.hold("work"):
            assert len(client.hold_list()["holds"]) == 2
        (run,) = client.run_list()["runs"]
        document = client.run_export(run["run_id"])
        assert client.run_import(document | {"run_id": "another"})["run_id"] != run["run_id"]
    assert seqs == list(range(1, len(seqs) + 1))
    assert asyncio.run(followed(later_home, len(seqs))) == seqs


async def followed(home: Path, count: int) -> list[int]:
    seqs: list[int] = []
    async with AsyncClient(home) as client:
        async for record in client.subscribe(after=0):
            seqs.append(record["seq"])
            if len(seqs) == count:
                break
    return seqs
