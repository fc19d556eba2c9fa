"""A real daemon process in a home of its own, and a bare line client for its control socket.

Neither uses the client package: what the wire promises is looked at with nothing between.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from waiting import until

START_LIMIT_S = 20.0
REPLY_LIMIT_S = 10.0
# What a service manager or a developer's shell may have set, and a daemon under test must not see.
_NOT_PASSED_ON = ("TORPOR_", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_")
_STARTED: list[RunningDaemon] = []


class StartFailedError(AssertionError):
    """The process ended before its socket answered; the text has its exit status and its log."""


class CallRefusedError(AssertionError):
    """A request was answered with an error where the test expected a result."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error['data']['name']} ({error['code']}): {error['message']} {error['data']}")
        self.error = error
        self.name: str = error["data"]["name"]


class LineClient:
    """One connection to a control socket: whole lines out, whole lines in, each with a deadline."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(REPLY_LIMIT_S)
            self.sock.connect(os.fspath(path))
        except OSError:
            self.sock.close()
            raise
        self._rest = b""
        self._lines: deque[bytes] = deque()
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def send_line(self, message: Mapping[str, Any] | str | bytes) -> None:
        """Send one line: a message as JSON, or a text as it is."""
        text = json.dumps(message) if isinstance(message, Mapping) else message
        self.send((text.encode() if isinstance(text, str) else text) + b"\n")

    def read_bytes_line(self, timeout_s: float = REPLY_LIMIT_S) -> bytes | None:
        """Return the next line without its end; None at the end of the stream. Raises TimeoutError."""
        end_at = time.monotonic() + timeout_s
        while not self._lines:
            self.sock.settimeout(max(0.001, end_at - time.monotonic()))
            data = self.sock.recv(1 << 16)
            if not data:
                assert not self._rest, f"the stream ended within a line: {self._rest[:200]!r}"
                return None
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines.extend(lines)
        return self._lines.popleft()

    def read_line(self, timeout_s: float = REPLY_LIMIT_S) -> dict[str, Any]:
        """Return the next message. Raises TimeoutError, EOFError."""
        line = self.read_bytes_line(timeout_s)
        if line is None:
            raise EOFError("the daemon closed the connection")
        message = json.loads(line)
        assert isinstance(message, dict), line
        return message

    def at_end(self, timeout_s: float = REPLY_LIMIT_S) -> bool:
        """Whether the daemon has closed, with nothing before it. A reset is no clean end, and raises."""
        return self.read_bytes_line(timeout_s) is None

    def request(self, method: str, /, **params: Any) -> int:
        """Send a request and return its id."""
        self._count += 1
        self.send_line({"jsonrpc": "2.0", "id": self._count, "method": method, "params": params})
        return self._count

    def ask(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Send a request and return its whole reply."""
        request_id = self.request(method, **params)
        reply = self.read_line()
        assert reply["id"] == request_id, reply
        return reply

    def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Send a request and return its result. Raises CallRefusedError."""
        return result_of(self.ask(method, **params))

    def half_close(self) -> None:
        """Send no more."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close both ways."""
        self.sock.close()


def result_of(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of a reply. Raises CallRefusedError."""
    if "error" in reply:
        raise CallRefusedError(reply["error"])
    result = reply["result"]
    assert isinstance(result, dict), reply
    return result


class RunningDaemon:
    """`torpord run` on one home; made by `start`. The `home` fixture ends whatever is left of it."""

    def __init__(self, home: Path, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.home = home
        self.socket = Path(env.get("TORPOR_SOCKET", home / "torpor.sock"))
        self.log = home.parent / f"{home.name}.log"
        self._clients: list[LineClient] = []
        self._command = list(command)
        self._env = dict(env)
        with self.log.open("ab") as out:
            # A group of its own: what its hooks started ends with it.
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._env, start_new_session=True
            )
        _STARTED.append(self)

    @classmethod
    def start(
        cls,
        home: Path,
        settings: str = "",
        args: Sequence[str] = (),
        launcher: Sequence[str] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> RunningDaemon:
        """Start one. `launcher` stands in place of `python -m torpord`; `wait=False` returns before it serves.

        `settings` replaces torpor.toml where it is not empty. Raises StartFailedError.
        """
        home.mkdir(mode=0o700, exist_ok=True)
        if settings:
            (home / "torpor.toml").write_text(settings)
        command = [*(launcher or (sys.executable, "-m", "torpord")), "run", "--home", str(home), *args]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
        daemon = cls(home, command, {**clean, **(env or {})})
        if wait:
            daemon.wait_ready()
        return daemon

    def again(self, *, wait: bool = True) -> RunningDaemon:
        """Start the next one on the same home, with the same command and surroundings."""
        daemon = RunningDaemon(self.home, self._command, self._env)
        if wait:
            daemon.wait_ready()
        return daemon

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def wait_ready(self, limit_s: float = START_LIMIT_S) -> None:
        """Wait until it answers on its socket. Raises StartFailedError where it ends instead."""
        until(self._answers, limit_s=limit_s, what=f"an answer on {self.socket}")

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise StartFailedError(f"exit {self.process.returncode}: {self.log.read_text(errors='replace')[-4000:]}")
        try:
            with LineClient(self.socket) as client:
                return "result" in client.ask("hello", protocol=1)
        except (OSError, EOFError):
            return False

    def connect(self) -> LineClient:
        """Open a connection. Who forgets to close it has it closed with the daemon's end."""
        client = LineClient(self.socket)
        self._clients.append(client)
        return client

    def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Ask on a connection of its own; returns the result. Raises CallRefusedError."""
        with self.connect() as client:
            return client.call(method, **params)

    def ask(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Ask on a connection of its own; returns the whole reply."""
        with self.connect() as client:
            return client.ask(method, **params)

    def stop(self) -> int:
        """Send SIGTERM and wait; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait_gone()

    def kill(self) -> None:
        """Send SIGKILL and wait."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait_gone()

    def wait_gone(self, limit_s: float = START_LIMIT_S) -> int:
        """Wait until the process has ended by itself; returns the exit status."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {limit_s} s: {self.log_lines()[-5:]}") from None

    def end(self) -> None:
        """End it and all of its group, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the group is gone
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(START_LIMIT_S)
        for client in self._clients:
            client.close()

    def log_lines(self) -> list[dict[str, Any]]:
        """Return what all daemons of this home have logged; a line that is no JSON comes as {"text": ...}."""
        return list(_parsed(self.log.read_text(errors="replace").splitlines()))


def _parsed(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            found = line
        yield found if isinstance(found, dict) else {"text": line}


def end_all(home: Path) -> None:
    """End every daemon of a home: those started here, and one that a client spawned."""
    for daemon in [each for each in _STARTED if each.home == home]:
        daemon.end()
        _STARTED.remove(daemon)
    with contextlib.suppress(OSError, ValueError, KeyError):  # no lock, or not a daemon's
        pid = int(json.loads((home / "torpor.lock").read_text())["pid"])
        if os.fsencode(home) in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
