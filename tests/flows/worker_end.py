"""A worker process, and the daemon's end of its pipe in the hands of a test."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import orjson

import torpor

Message = dict[str, Any]
LIMIT_S = 20.0


class WorkerEnd:
    """Speaks as the daemon does; `closed` in a test's end, or the worker would stay."""

    def __init__(self, folder: pathlib.Path, spec: Message, **hello: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.output = folder / "output"
        mine, theirs = socket.socketpair()
        mine.settimeout(LIMIT_S)
        with self.output.open("wb") as output, theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "torpord.flows.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                cwd="/",
                process_group=0,
                env={key: value for key, value in os.environ.items() if not key.startswith("TORPOR_")},
            )
        self.sock = mine
        self._lines = mine.makefile("rb")
        run: Message = {"run_id": "r1", "origin": "r1", "data": {}, "branches": {}, "visits": {}}
        defaults = {"version": torpor.__version__, "work_dir": str(folder), **run}
        self.send(t="hello", flow=spec, **{**defaults, **hello})

    def send(self, **message: Any) -> None:
        self.sock.sendall(orjson.dumps(message) + b"\n")

    def read(self) -> Message:
        """Return the next message; {} at the pipe's end."""
        line = self._lines.readline()
        return orjson.loads(line) if line else {}

    def expect(self, kind: str) -> Message:
        message = self.read()
        assert message.get("t") == kind, (message, self.said())
        return message

    def begin(self, state: str, branch: str = "", visit: int = 1, attempt: int = 1, **more: Any) -> None:
        self.send(t="begin", steps=[step(state, branch, visit, attempt, **more)])

    def begun(self) -> Message:
        """Load it and begin its initial state."""
        loaded = self.expect("loaded")
        self.begin(loaded["initial"])
        return loaded

    def drive(self, seen: Callable[[Message], None] = lambda _: None) -> list[Message]:
        """Acknowledge everything and begin what follows, until the run has completed or a step has failed."""
        ended: list[Message] = []
        waiting: dict[str, str] = {}
        joined = ""
        while True:
            message = self.read()
            assert message, self.said()
            seen(message)
            if "n" not in message:
                continue
            more: Message = {}
            if message["t"] == "ended":
                ended.append(message)
                outcome = message["outcome"]
                match outcome:
                    case {"next": state, "visit": visit}:
                        if waiting.get(message["branch"]) == state:
                            del waiting[message["branch"]]
                            more = {} if waiting else {"join": state}
                        else:
                            more = {"steps": [step(state, message["branch"], visit)]}
                    case {"parallel": branches, "join": join}:
                        joined, waiting = join, {each["branch"]: join for each in branches}
                        more = {"steps": [step(each["state"], each["branch"]) for each in branches]}
                    case _:
                        self.send(t="ack", n=message["n"])
                        return ended
            elif message["t"] == "joined":
                more = {"steps": [step(joined, "", message["visit"])]}
            self.send(t="ack", n=message["n"], **more)

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def ended(self) -> int:
        """Wait for the process's end; returns its status."""
        return self.process.wait(LIMIT_S)

    def close(self) -> None:
        """Leave no process behind."""
        self._lines.close()
        self.sock.close()
        # At the pipe's end it ends what it has started, and itself; killed at once it would leave its commands behind.
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def step(state: str, branch: str = "", visit: int = 1, attempt: int = 1, **more: Any) -> Message:
    return {"branch": branch, "state": state, "visit": visit, "attempt": attempt, **more}
