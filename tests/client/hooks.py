"""Running `torpor hook claude-code` as an agent does, with a daemon that answers as a test wants."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import torpor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from client.fake_daemon import FakeDaemon, Visitor

SCRIPT = pathlib.Path(__file__).parents[2] / "client" / "bin" / "torpor"
# Wall time of a whole process on a machine that does other things as well; the hook's own limit is one second.
LIMIT_S = 4.0
S = "claude-code:abc123"
COMMON = {"session_id": "abc123", "transcript_path": "/p/t.jsonl", "cwd": "/p"}
WORD = {"agent_id": S, "status": "busy", "changed": True, "slots": [], "due": 0, "seq": 9}


def a_hook(event: str, **more: Any) -> dict[str, Any]:
    return {**COMMON, "hook_event_name": event, **more}


def surroundings(home: pathlib.Path) -> dict[str, str]:
    return {**os.environ, "TORPOR_HOME": str(home), "PYTHONPATH": str(pathlib.Path(torpor.__file__).parents[1])}


def run(
    home: pathlib.Path, told: Any, args: Sequence[str] = ("hook", "claude-code")
) -> subprocess.CompletedProcess[bytes]:
    data = told if isinstance(told, bytes) else json.dumps(told).encode()
    command = [sys.executable, str(SCRIPT), *args]
    return subprocess.run(command, env=surroundings(home), input=data, capture_output=True, timeout=30, check=False)


def is_silent(home: pathlib.Path, told: Any, args: Sequence[str] = ("hook", "claude-code")) -> None:
    begun = time.monotonic()
    done = run(home, told, args)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert time.monotonic() - begun < LIMIT_S


def refusing(**refusals: list[dict[str, Any] | None]) -> Callable[[Visitor], None]:
    """Answer each method with what is listed for it in turn, a refusal's data or None, and then grant it."""

    def scene(visitor: Visitor) -> None:
        while True:
            request = visitor.request()
            of_method = refusals.get(request["method"].removeprefix("agent."), [])
            refusal = of_method.pop(0) if of_method else None
            if refusal is None:
                visitor.answer(request, WORD)
            else:
                visitor.refuse(request["id"], **refusal)

    return scene


def granting(visitor: Visitor) -> None:
    refusing()(visitor)


def said(daemon: FakeDaemon) -> list[list[Any]]:
    """Return what was said, without the keys and pids."""
    return [
        [request["method"], {name: value for name, value in request["params"].items() if name not in ("key", "pid")}]
        for request in daemon.requests
    ]
