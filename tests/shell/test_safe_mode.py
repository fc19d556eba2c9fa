"""Safe mode on a disk that fails just then: it is told in words, and nobody is left without an answer."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from shell.virtual_time import run
from torpor import wire
from torpord.control.framing import Request
from torpord.control.params import RefusedError
from torpord.control.safe import SafeConnection
from torpord.shell.safe_mode import Reason, SafeMode
from torpord.shell.start_up import Options
from torpord.shell.statefile import unfinished_stop


def dies(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have the disk tell nothing of these files any more."""
    for call in (os.stat, os.lstat):

        def failing(path: Any, call: Any = call, **more: Any) -> os.stat_result:
            if not isinstance(path, int) and Path(path).name in names:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            found: os.stat_result = call(path, **more)
            return found

        monkeypatch.setattr(os, call.__name__, failing)


def test_a_store_that_cannot_be_looked_at_is_not_gone_and_not_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground: Any = SimpleNamespace(options=Options(tmp_path, tmp_path / "torpor.toml"))
    dies(monkeypatch, wire.STORE_NAME)
    mode = SafeMode(ground, Reason("the disk", wire.EX_TEMPFAIL))
    assert mode._gone() == ""
    with pytest.raises(RefusedError, match=r"torpor\.db cannot be looked at now \(Input/output error\)"):
        mode._reload()
    monkeypatch.undo()
    assert "taken away" in mode._gone(), "it was there, for all that was known"


def test_whether_a_stop_was_left_unfinished_is_not_known_where_the_disk_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / wire.STOPPED_NAME).touch()
    dies(monkeypatch, wire.STOPPED_NAME)
    assert not unfinished_stop(tmp_path)


def test_a_mistake_of_ours_is_answered_and_the_next_request_as_well() -> None:
    async def answer(request: Request) -> Mapping[str, Any]:
        if request.method == "doctor":
            raise KeyError("a mistake")
        return {"fine": True}

    async def main() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - it takes no name
        with theirs:
            for number, method in enumerate(("doctor", "status")):
                theirs.sendall(json.dumps({"jsonrpc": "2.0", "id": number, "method": method}).encode() + b"\n")
            theirs.shutdown(socket.SHUT_WR)
            with anyio.fail_after(10):
                await SafeConnection(1, ours, {"source": "client"}, answer).serve()
            first, second = (json.loads(line) for line in theirs.makefile())
        assert (first["id"], first["error"]["data"]["name"]) == (0, "internal_error")
        assert (second["id"], second["result"]) == (1, {"fine": True})

    run(main)
