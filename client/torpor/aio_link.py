"""The steps of a talk, performed with asyncio.

On the socket itself: asyncio's streams throw away what has arrived when a later send fails, and with it the reason the
daemon gave for hanging up.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, assert_never

from torpor import talk, wake
from torpor.errors import ProtocolError, Timeout
from torpor.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Generator

    from torpor.deadline import Deadline

_READ_BYTES = 65536


class AsyncLink:
    """At most one open connection. `epoch` as in `torpor.link.Link`."""

    def __init__(self, place: talk.Place) -> None:
        self._place = place
        self._socket: socket.socket | None = None
        self._lines = Lines()
        self.epoch = 0

    def close(self) -> None:
        """Close the connection. The next talk opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._lines.clear()

    async def run(self, talker: talk.Talk, steps: Generator[talk.Step, Any, Any], deadline: Deadline) -> Any:
        """Perform `steps` to their end and return its value, or the Deliver they come to before: then run them again.

        Raises Timeout when `deadline` has passed, and what the steps raise.
        """
        try:
            step = steps.send(None)
            while not isinstance(step, talk.Deliver):
                try:
                    outcome = await self._perform(step, deadline)
                except (OSError, EOFError, ProtocolError) as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as end:
            return end.value
        except TimeoutError:
            raise Timeout(f"no answer within {deadline.timeout_s:g} s: {talker.obstacle}") from None
        return step

    async def _perform(self, step: talk.Step, deadline: Deadline) -> Any:
        match step:
            case talk.Connect():
                deadline.left_s()
                return self._connect()
            case talk.Disconnect():
                return self.close()
            case talk.Send(line):
                async with asyncio.timeout(deadline.left_s()):
                    return await self._send(line)
            case talk.Receive(endless):
                async with asyncio.timeout(None if endless else deadline.left_s()):
                    return await self._receive()
            case talk.Pause(pause_s, endless):
                left_s = None if endless else deadline.left_s()
                return await asyncio.sleep(pause_s if left_s is None else min(pause_s, left_s))
            case talk.Start(place):
                return await asyncio.to_thread(wake.start, place, deadline)
            case talk.Renew():
                return deadline.renew()
            case talk.Deliver():  # pragma: no cover - `run` hands it out
                return None
            case _:
                assert_never(step)

    def _connect(self) -> bool:
        if self._socket is not None:
            return False
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Not the loop's own connecting: it takes the EAGAIN of a full backlog for a connection that is made.
            fresh.settimeout(0)
            fresh.connect(self._place.socket)
        except BaseException:
            fresh.close()
            raise
        self._lines.clear()
        self._socket = fresh
        self.epoch += 1
        return True

    async def _send(self, line: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._open_socket(), line)
        except asyncio.CancelledError:
            self.close()  # half a line may be under way, and nothing can follow it
            raise

    async def _receive(self) -> bytes:
        loop, open_socket = asyncio.get_running_loop(), self._open_socket()
        while (line := self._lines.take()) is None:
            self._lines.feed(await loop.sock_recv(open_socket, _READ_BYTES))
        return line

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise EOFError
        return self._socket
