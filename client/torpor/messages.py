"""Lines of JSON-RPC 2.0, built and read. No I/O here, and no rules about when to ask again (`talk`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from torpor.errors import ProtocolError, Refused, Timeout

if TYPE_CHECKING:
    from torpor.replies import Record

_SHOWN_BYTES = 80  # of a line that could not be read: enough to recognise what is speaking there


class Draining(Exception):  # noqa: N818 - never seen by a caller
    """The daemon is going down and did not apply the request: ask its successor."""


def encode(number: int, method: str, params: dict[str, Any]) -> bytes:
    """Return the request's line. `number` is its id; a client's numbers rise, and are never used twice."""
    request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(request, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the object in one line from the daemon. Raises ProtocolError where there is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:  # the latter where it nests deeper than Python counts
        raise ProtocolError(f"this is not torpor's protocol: {line[:_SHOWN_BYTES]!r} is not JSON") from error
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise ProtocolError(f"this is not torpor's protocol: {line[:_SHOWN_BYTES]!r} is no JSON-RPC 2.0 message")
    return message


def result_for(number: int, message: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result if `message` answers request `number`, None if it answers one given up on earlier.

    Raises Draining, Refused, Timeout (a `wait` that ran out) or ProtocolError, as the daemon's answer is.
    """
    answered = message.get("id")
    if type(answered) is int and 0 < answered < number:
        return None
    error = message.get("error")
    # An error without an id is about the connection: one too many, a line too long.
    if error is not None and (answered == number or answered is None):
        raise _raised(error)
    if type(answered) is not int or answered != number:
        raise ProtocolError(f"the daemon answered request {answered!r}, and {number} was asked")
    result = message.get("result")
    if not isinstance(result, dict):
        raise ProtocolError(f"the daemon answered request {number} with neither a result nor an error")
    return result


def record_in(message: dict[str, Any]) -> Record | None:
    """Return the record a subscription's notification brings, None for any other message (`bye`, a parting error)."""
    if message.get("method") != "record":
        return None
    record: Record | None = message.get("params")
    if not isinstance(record, dict) or type(record.get("seq")) is not int:
        raise ProtocolError(f"the daemon told of a record that is none: {record!r}")
    return record


def is_parting(message: dict[str, Any]) -> bool:
    """Say whether it is the `bye` of a daemon that goes down, and not of one that only ends a subscription."""
    params = message.get("params")
    said = params.get("reason") if message.get("method") == "bye" and isinstance(params, dict) else None
    return said is not None and said not in ("behind", "trimmed")


def _raised(error: object) -> Exception:
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return ProtocolError(f"the daemon refused in a way that is not torpor's: {error!r}")
    data = error.get("data")
    data = data if isinstance(data, dict) else {}
    name, text = data.get("name"), error["message"]
    match name:
        case "draining":
            return Draining(text)
        case "timeout":
            return Timeout(text)
        case "protocol_mismatch":
            return ProtocolError(text)
        case str():
            return Refused(name, text, data)
        case _:
            return ProtocolError(f"the daemon refused without a name for it: {text}")
