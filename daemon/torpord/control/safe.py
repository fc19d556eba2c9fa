"""The socket in safe mode: the same lines and limits, and answers that need neither a store nor a world."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from torpord.control import framing
from torpord.control.connection import last_words, receive
from torpord.control.framing import NO_ID, Lines, Request
from torpord.control.outlet import Outlet, PeerGoneError
from torpord.control.params import RefusedError
from torpord.core.draft import Refusal
from torpord.core.events import Cause

log = structlog.get_logger("torpord.control")

# The result of one request. Raises RefusedError.
Answer = Callable[[Request], Awaitable[Mapping[str, Any]]]


class SafeConnection:
    """Serves one accepted socket: one request after the other, each answered before the next is looked at."""

    def __init__(self, number: int, sock: socket.socket, cause: Cause, answer: Answer) -> None:
        self.number = number
        self.sock = sock
        self.handling = False
        self.ended_sending = False
        self._answer = answer
        self._cause = cause
        self._lines = Lines()
        self._outlet = Outlet(sock, cause)

    async def serve(self) -> None:
        """Serve it, and close the socket."""
        with contextlib.closing(self.sock), contextlib.suppress(PeerGoneError):  # who is gone wants no answer
            while not self.ended_sending:
                data = await receive(self.sock)
                self.handling = True
                try:
                    self.ended_sending = not data
                    for line in self._lines.feed(data) if data else self._lines.end():
                        if line.strip():
                            await self._take(line)
                finally:
                    self.handling = False
                if self._lines.too_long:
                    await last_words(self.sock, self._outlet, framing.error(None, framing.TOO_LONG))
                    return

    async def refuse(self, name: str, message: str) -> None:
        """Say why there is no service here, and close."""
        with contextlib.closing(self.sock), contextlib.suppress(PeerGoneError):  # it need not have waited for it
            await last_words(self.sock, self._outlet, framing.error(None, Refusal(name, message)))

    async def _take(self, line: bytes) -> None:
        request = framing.parse(line)
        if isinstance(request, tuple):
            await self._outlet.send(framing.error(*request))
            return
        request_id = None if request.id is NO_ID else request.id
        try:
            answer = framing.result(request_id, await self._answer(request))
        except RefusedError as refused:
            log.info("refused", name=refused.refusal.name, message=refused.refusal.message, cause=self._cause)
            answer = framing.error(request_id, refused.refusal)
        except Exception as error:
            log.exception("internal_error", method=request.method, cause=self._cause)
            message = f"a mistake of the daemon's, not of the request: {error!r}; the daemon's log has more"
            answer = framing.error(request_id, Refusal("internal_error", message))
        if request.id is not NO_ID:
            await self._outlet.send(answer)
