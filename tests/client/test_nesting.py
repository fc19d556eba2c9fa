"""What nests deeper than Python counts, and what has no end, is nonsense like any other: told, and got over."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
from typing import Any

import pytest

from client.conftest import Ask
from client.fake_daemon import RESULTS, FakeDaemon, Visitor
from torpor import AsyncClient, Client, presence, wire
from torpor.errors import ProtocolError

DEEP = b"[" * 200_000


def _nest(visitor: Visitor) -> None:
    visitor.request()
    visitor.send(DEEP + b"\n")
    visitor.request()  # the client hangs up, and asks no more here


def test_an_answer_that_nests_without_end_is_no_torpor_s(home: pathlib.Path, ask: Ask) -> None:
    with FakeDaemon(home, _nest):
        with pytest.raises(ProtocolError, match="is not JSON"):
            ask(home, "status")
        assert ask(home, "status")["state"] == RESULTS["status"]["state"]


def test_a_state_file_that_nests_without_end_is_none(home: pathlib.Path) -> None:
    (home / wire.STATE_NAME).write_bytes(DEEP)
    assert presence.last_known(home.as_posix()) is None


def _floods(visitor: Visitor) -> None:
    visitor.request()
    visitor.send(b"x" * (wire.MAX_LINE_BYTES + 70_000))
    visitor.request()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_after_a_line_without_end_the_same_client_asks_on_a_new_connection(home: pathlib.Path, kind: Any) -> None:
    loop = asyncio.new_event_loop()

    def done(outcome: Any) -> Any:
        return loop.run_until_complete(outcome) if asyncio.iscoroutine(outcome) else outcome

    with FakeDaemon(home, _floods) as daemon, contextlib.closing(loop):
        client = kind(home, timeout=10.0)
        with pytest.raises(ProtocolError, match="a line of more than"):
            done(client.status())
        assert done(client.status())["state"] == RESULTS["status"]["state"]
        assert daemon.visits == 2
        done(client.close())
