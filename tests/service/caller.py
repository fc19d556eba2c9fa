"""A client made of nothing but a socket that keeps the client rule (client/PROTOCOL.md): for tests of the daemon alone.

Only ENOENT and ECONNREFUSED mean *down*, and where a service manager holds the socket they never come: they are counted
like all the other reasons to ask again, and the tests say which of them may be there.
"""

from __future__ import annotations

import collections
import errno
import itertools
import json
import socket
import uuid
from typing import Any

from waiting import until

_RETRY = {
    errno.ENOENT: "ENOENT",
    errno.ECONNREFUSED: "ECONNREFUSED",
    errno.EAGAIN: "EAGAIN",
    errno.ECONNRESET: "ECONNRESET",
    errno.EPIPE: "EPIPE",
}


class Refused(Exception):  # noqa: N818 - as the client's own
    """The daemon's answer was an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.name: str = error["data"]["name"]


class Caller:
    """Asks until there is an answer, each time on a connection of its own and with the same key."""

    def __init__(self, path: str, limit_s: float = 20.0) -> None:
        self.path = path
        self.limit_s = limit_s
        self.again: collections.Counter[str] = collections.Counter()
        self._early: socket.socket | None = None
        self._ids = itertools.count(1)

    def connect(self) -> None:
        """Open the connection of the first attempt, long before there is something to say."""
        self._early = socket.socket(socket.AF_UNIX)
        self._early.connect(self.path)

    def look(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask for something that changes nothing, and takes no key."""
        return self._ask({"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params})

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask for something that must happen once."""
        return self.look(method, key=uuid.uuid4().hex, **params)

    def event(self, event: str = "request_arrived") -> dict[str, Any]:
        """Send an event."""
        return self.ask("event", event=event)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        line = json.dumps(request).encode() + b"\n"
        answer = until(lambda: self._once(line), limit_s=self.limit_s, what=f"an answer; asked again: {self.again}")
        assert answer["id"] == request["id"], answer
        if "error" in answer:
            raise Refused(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def _once(self, line: bytes) -> dict[str, Any] | None:
        """Return the answer, None where the rule says to ask again. Raises what is neither."""
        is_open = self._early is not None
        with self._early or socket.socket(socket.AF_UNIX) as sock:
            self._early = None
            sock.settimeout(self.limit_s)
            try:
                if not is_open:
                    sock.connect(self.path)
                sock.sendall(line)
                with sock.makefile("rb") as replies:
                    reply = replies.readline()
            except TimeoutError as error:
                raise AssertionError(f"silence: {line!r}; asked again: {self.again}") from error
            except OSError as error:
                self.again[_RETRY[error.errno or 0]] += 1
                return None
        if not reply.endswith(b"\n"):
            self.again["EOF"] += 1
            return None
        answer: dict[str, Any] = json.loads(reply)
        if answer.get("error", {}).get("data", {}).get("name") == "draining":
            self.again["draining"] += 1
            return None
        return answer
