"""Lines out of a stream of bytes."""

from __future__ import annotations

from torpor import wire
from torpor.errors import ProtocolError


class Lines:
    """Collects what arrives and gives whole lines. What has been searched for an end is not searched again."""

    __slots__ = ("_arrived", "_searched")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget what has arrived: it belongs to another connection."""
        self._arrived = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Raises EOFError for nothing: half a line at the end is none."""
        if not data:
            raise EOFError
        self._arrived += data

    def take(self) -> bytes | None:
        """Return the next line without its end, or None. Raises ProtocolError where it is over the wire's limit."""
        end = self._arrived.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._arrived)
            if self._searched > wire.MAX_LINE_BYTES:
                raise ProtocolError(f"the daemon sent a line of more than {wire.MAX_LINE_BYTES} bytes")
            return None
        line = bytes(self._arrived[:end])
        del self._arrived[: end + 1]
        self._searched = 0
        return line
