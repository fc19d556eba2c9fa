"""Requests as bytes, many at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

from daemon_process import LineClient

MANY = 10_000


def message(method: str, request_id: Any = 0, /, **params: Any) -> dict[str, Any]:
    """Return a request."""
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def notification(method: str, /, **params: Any) -> dict[str, Any]:
    """Return a request without an id."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def lines(messages: Sequence[dict[str, Any]]) -> bytes:
    """Return them as they go over the wire."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in messages)


def send_aside(client: LineClient, data: bytes) -> threading.Thread:
    """Send from a thread, for what does not fit into the socket before somebody reads. Join it."""
    client.sock.settimeout(30)  # before: a socket has one time-out, and the sender needs the longer one
    thread = threading.Thread(target=_send, args=(client, data), daemon=True)
    thread.start()
    return thread


def _send(client: LineClient, data: bytes) -> None:
    try:
        client.send(data)
    except OSError:
        return  # it was dropped, or closed by the test: what is read says so
