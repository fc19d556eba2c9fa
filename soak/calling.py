"""A client that keeps the rule (client/PROTOCOL.md, section 10) on lines that come and go, and counts its ways."""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import Any

from daemon_process import LineClient, result_of
from process.patience import ANSWER_LIMIT_S, Spawner

# What says that the connection is gone. Whoever was answered has its answer; who was not asks again, with the same key.
GONE = (EOFError, BrokenPipeError, ConnectionResetError)
DOWN = (FileNotFoundError, ConnectionRefusedError)


class Caller:
    """One client among many: a request is asked until it is answered, on the connection that is there or on another.

    `fickle` is how often (of 1) it hangs up after an answer, and `hasty` how often it hangs up before one, which it
    then asks for again.
    """

    def __init__(
        self, name: str, spawner: Spawner, dice: Random, ways: Counter[str], *, fickle: float = 0.3, hasty: float = 0.03
    ) -> None:
        self.name = name
        self._spawner = spawner
        self._dice = dice
        self._ways = ways
        self._fickle = fickle
        self._hasty = hasty
        self._line: LineClient | None = None
        self._keys = 0

    def change(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Ask for something that must happen once. Raises CallRefusedError."""
        self._keys += 1
        return self._ask(method, {**params, "key": f"{self.name}-{self._keys}"})

    def look(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Ask for something that changes nothing. Raises CallRefusedError."""
        return self._ask(method, params)

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        end_at = time.monotonic() + ANSWER_LIMIT_S
        while time.monotonic() < end_at:
            reply = self._once(method, params)
            if reply is not None:
                if self._dice.random() < self._fickle:
                    self.hang_up()
                self._ways["answered"] += 1
                self._ways["replayed"] += bool(reply.get("result", {}).get("replayed"))
                return result_of(reply)
        raise AssertionError(f"no answer to {method} {params} within {ANSWER_LIMIT_S} s; so far: {dict(self._ways)}")

    def _once(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """Return the reply, None where the rule says to ask again. TimeoutError is silence, and is raised."""
        try:
            if self._line is None:
                self._line = LineClient(self._spawner.daemon.socket)
                self._ways["connections"] += 1
            number = self._line.request(method, **params)
            if "key" in params and self._dice.random() < self._hasty:
                self._ways["hung up before the answer"] += 1
                self.hang_up()
                return None
            reply = self._line.read_line(ANSWER_LIMIT_S)
        except GONE as error:
            return self._again(type(error).__name__)
        except DOWN as error:
            self._again(type(error).__name__)
            self._spawner.start()
            return None
        except BlockingIOError:
            return self._again("a full backlog")
        assert reply["id"] == number, (reply, number)
        if reply.get("error", {}).get("data", {}).get("name") == "draining":
            return self._again("draining")
        return reply

    def _again(self, why: str) -> None:
        self._ways[why] += 1
        self.hang_up()
