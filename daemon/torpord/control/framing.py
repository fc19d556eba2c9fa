"""Lines out of a stream of bytes, and requests out of lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from torpor import wire
from torpord.core.draft import Refusal

NO_ID = object()
"""The id of a request that has none: it is applied and not answered."""

TOO_LONG = Refusal(
    "too_large", f"a line is at most {wire.MAX_LINE_BYTES} bytes; this connection is closed, as the next line is lost"
)
# What an id may be, and what NO_ID is: no value of JSON is one of those. A flag is none, though it is an `int`.
_ID_TYPES = frozenset({str, int, float, type(None), type(NO_ID)})
# A whole number of more than 64 bits is read as the nearest double; beyond this not every whole number has one.
_EXACT = 2**53


class Lines:
    """Collects bytes and gives whole lines, without their end.

    `too_long`: a line is over the limit, and there is no telling where the next one begins.
    """

    __slots__ = ("_rest", "too_long")

    def __init__(self) -> None:
        self._rest = bytearray()
        self.too_long = False

    @property
    def begun(self) -> bool:
        """Whether a line has come in part."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what has arrived and return the lines it completes, up to one that is too long."""
        self._rest += data
        lines: list[bytes] = []
        if b"\n" in data:
            *whole, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
            for line in whole:
                if len(line) > wire.MAX_LINE_BYTES:
                    self.too_long = True
                    return lines
                lines.append(line)
        self.too_long = len(self._rest) > wire.MAX_LINE_BYTES
        return lines

    def end(self) -> list[bytes]:
        """Return what is left when the sender is done: a last line may lack its end. Half an object parses as none."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [rest] if rest.strip() else []


@dataclass(slots=True)  # frozen ones take three times as long to make, and this is made for every line
class Request:
    """A well-formed request. `id` is NO_ID, or what the client chose."""

    id: Any
    method: str
    params: Mapping[str, Any]


def parse(line: bytes) -> Request | tuple[Any, Refusal]:
    """Read one line as a request; what is none comes back as (id, refusal), with id None where it cannot be told."""
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return None, Refusal("parse_error", f"this line is not JSON ({error}): send one JSON object a line, UTF-8, LF")
    if not isinstance(message, dict):
        hint = (
            "there are no batches: send one request a line instead" if isinstance(message, list) else "send an object"
        )
        return None, Refusal("invalid_request", f"a request is a JSON object: {hint}")
    request_id = message.get("id", NO_ID)
    if type(request_id) not in _ID_TYPES:
        return None, Refusal("invalid_request", "id is a string, a number or null", {"field": "id"})
    if isinstance(request_id, float) and abs(request_id) > _EXACT:
        hint = "this number would not come back as it was sent: a whole id has at most 64 bits, or is a string"
        return None, Refusal("invalid_request", hint, {"field": "id"})
    answer_to = None if request_id is NO_ID else request_id
    if message.get("jsonrpc") != "2.0":
        return answer_to, Refusal("invalid_request", 'a request says "jsonrpc": "2.0"', {"field": "jsonrpc"})
    method, params = message.get("method"), message.get("params", {})
    if not isinstance(method, str):
        return answer_to, Refusal("invalid_request", "method is a string", {"field": "method"})
    if not isinstance(params, dict):
        return request_id, Refusal("invalid_params", "params is an object, by name", {"field": "params"})
    return Request(request_id, method, params)


def result(request_id: Any, value: Any) -> bytes:
    """Write the line that answers a request."""
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "result": value}, option=orjson.OPT_APPEND_NEWLINE)


def error(request_id: Any, refusal: Refusal) -> bytes:
    """Write the line that refuses a request."""
    data = {"name": refusal.name, **refusal.data}
    body = {"code": wire.ERROR_CODES[refusal.name], "message": refusal.message, "data": data}
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "error": body}, option=orjson.OPT_APPEND_NEWLINE)


def notification(method: str, params: Any) -> bytes:
    """Write a line that answers nothing."""
    return orjson.dumps({"jsonrpc": "2.0", "method": method, "params": params}, option=orjson.OPT_APPEND_NEWLINE)
