"""A client that keeps the rule (client/PROTOCOL.md, section 10) on lines that come and go, and counts its ways."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from daemon_process import LineClient, result_of
from process.patience import ANSWER_LIMIT_S

# What says that the connection is gone. Whoever was answered has its answer; who was not asks again, with the same key.
GONE = (EOFError, BrokenPipeError, ConnectionResetError)
DOWN = (FileNotFoundError, ConnectionRefusedError)


class Caller:
    """One client among many: a request is asked until it is answered, on the connection that is there or on another.

    `start` is what it does where nobody listens. `line` is a connection that is open already. `fickle` is how often
    (of 1) it hangs up after an answer, and `hasty` how often it hangs up before one, which it then asks for again.
    """

    def __init__(
        self,
        name: str,
        socket: Path,
        start: Callable[[], None],
        dice: Random,
        *,
        line: LineClient | None = None,
        fickle: float = 0.3,
        hasty: float = 0.03,
    ) -> None:
        self.name = name
        self.ways: Counter[str] = Counter()  # how it went, by what was met
        self.limit_s = ANSWER_LIMIT_S
        self._socket = socket
        self._start = start
        self._dice = dice
        self.line = line
        self._fickle = fickle
        self._hasty = hasty
        self._keys = 0

    def change(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Ask for something that must happen once. Raises CallRefusedError."""
        self._keys += 1
        return self.ask(method, **params, key=f"{self.name}-{self._keys}")

    def look(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Ask for something that changes nothing. Raises CallRefusedError."""
        return self.ask(method, **params)

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        if self.line is not None:
            self.line.close()
            self.line = None

    def ask(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Ask until there is an answer that is not `draining`. Raises CallRefusedError."""
        end_at = time.monotonic() + self.limit_s
        while time.monotonic() < end_at:
            reply = self._once(method, params)
            if reply is not None:
                if self._dice.random() < self._fickle:
                    self.hang_up()
                self.ways["answered"] += 1
                self.ways["replayed"] += bool(reply.get("result", {}).get("replayed"))
                return result_of(reply)
        raise AssertionError(f"no answer to {method} {params} within {self.limit_s} s; so far: {dict(self.ways)}")

    def _once(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """Return the reply, None where the rule says to ask again. TimeoutError is silence, and is raised."""
        try:
            if self.line is None:
                self.line = LineClient(self._socket)
                self.ways["connections"] += 1
            number = self.line.request(method, **params)
            if "key" in params and self._dice.random() < self._hasty:
                self.ways["hung up before the answer"] += 1
                self.hang_up()
                return None
            reply = self.line.read_line(ANSWER_LIMIT_S)
        except GONE as error:
            return self._again(type(error).__name__)
        except DOWN as error:
            self._again(type(error).__name__)
            self._start()
            return None
        except BlockingIOError:
            return self._again("a full backlog")
        assert reply["id"] == number, (reply, number)
        if reply.get("error", {}).get("data", {}).get("name") == "draining":
            return self._again("draining")
        return reply

    def _again(self, why: str) -> None:
        self.ways[why] += 1
        self.hang_up()
