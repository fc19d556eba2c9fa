"""The steps of a talk, performed with asyncio."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, assert_never

from torpor import talk, wake, wire
from torpor.errors import ProtocolError, Timeout

if TYPE_CHECKING:
    from collections.abc import Generator

    from torpor.deadline import Deadline


class AsyncLink:
    """At most one open connection. `epoch` as in `torpor.link.Link`."""

    def __init__(self, place: talk.Place) -> None:
        self._place = place
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.epoch = 0

    def close(self) -> None:
        """Close the connection. The next talk opens another."""
        if self._writer is not None:
            self._writer.transport.abort()  # what is unsent belongs to a call that was given up
        self._reader = self._writer = None

    async def run(self, talker: talk.Talk, steps: Generator[talk.Step, Any, Any], deadline: Deadline) -> Any:
        """Perform `steps` to their end and return its value, or the Deliver they come to before: then run them again.

        Raises Timeout when `deadline` has passed, and what the steps raise.
        """
        try:
            step = steps.send(None)
            while not isinstance(step, talk.Deliver):
                try:
                    outcome = await self._perform(step, deadline)
                except (OSError, EOFError) as error:
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
                return await self._connect()
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

    async def _connect(self) -> bool:
        if self._writer is not None:
            return False
        # By hand: asyncio takes the EAGAIN of a full backlog for a connection under way, and then for one made.
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            fresh.settimeout(0)
            fresh.connect(self._place.socket)
            self._reader, self._writer = await asyncio.open_unix_connection(sock=fresh, limit=wire.MAX_LINE_BYTES)
        except BaseException:
            fresh.close()
            raise
        self.epoch += 1
        return True

    async def _send(self, line: bytes) -> None:
        if self._writer is None:
            raise EOFError
        self._writer.write(line)
        await self._writer.drain()

    async def _receive(self) -> bytes:
        if self._reader is None:
            raise EOFError
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            self.close()
            raise ProtocolError(f"the daemon sent a line of more than {wire.MAX_LINE_BYTES} bytes") from error
