"""The client's rule (`client/PROTOCOL.md`), small, with raw sockets: who keeps to it gets one answer, always."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from daemon_process import LineClient, RunningDaemon
from waiting import until

ANSWER_LIMIT_S = 30.0


class Spawner:
    """Starts a daemon where there is none; one at a time, however many ask."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self.daemon = daemon
        self.starts = 0
        self._one = threading.Lock()

    def start(self) -> None:
        """Return when there is a daemon to connect to, or trying again is right."""
        with self._one:
            if self._accepts():
                return
            self.daemon = self.daemon.again(wait=False)
            self.starts += 1
            until(lambda: self.daemon.process.poll() is not None or self._accepts(), what="a daemon that accepts")
            # 75: another has the lock. 0: it lived, and is gone already. Both: look again.
            assert self.daemon.process.poll() in (None, 0, 75, -9), self.daemon.log_lines()[-5:]

    def _accepts(self) -> bool:
        try:
            LineClient(self.daemon.socket).close()
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True


class PatientClient:
    """Asks until it is answered; `replayed` counts the answers that an earlier try had got already."""

    def __init__(self, socket: Path, spawner: Spawner | None = None) -> None:
        self._socket = socket
        self._spawner = spawner
        self.tries = 0

    def ask(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Return the reply that is not `draining`. Raises AssertionError after ANSWER_LIMIT_S."""
        end_at = time.monotonic() + ANSWER_LIMIT_S
        while time.monotonic() < end_at:
            self.tries += 1
            reply = self._one_try(method, params)
            if reply is not None:
                return reply
        raise AssertionError(f"no answer to {method} {params} within {ANSWER_LIMIT_S} s, {self.tries} tries")

    def try_on(self, client: LineClient | None) -> dict[str, Any] | None:
        """Return the reply to the one request that was sent on this connection; None where asking again is right."""
        if client is None:
            return None
        with client:
            return self._said(client)

    def _one_try(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        try:
            client = LineClient(self._socket)
        except (FileNotFoundError, ConnectionRefusedError):
            if self._spawner is not None:
                self._spawner.start()
            return None
        except BlockingIOError:
            return None  # a full backlog: wait for a place in it
        with client:
            try:
                client.request(method, **params)
            except (BrokenPipeError, ConnectionResetError):
                return None
            return self._said(client)

    @staticmethod
    def _said(client: LineClient) -> dict[str, Any] | None:
        try:
            reply = client.read_line()
        except (EOFError, ConnectionResetError):
            return None
        return None if reply.get("error", {}).get("data", {}).get("name") == "draining" else reply
