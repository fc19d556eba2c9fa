"""What nests deeper than Python counts is nonsense like any other: no answer, and no state file."""

from __future__ import annotations

import pathlib

import pytest

from client.conftest import Ask
from client.fake_daemon import RESULTS, FakeDaemon, Visitor
from torpor import presence, wire
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
