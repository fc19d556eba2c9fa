"""A server in the daemon's place that answers each request as it was told to, most of them badly."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import threading
from collections import deque
from pathlib import Path
from typing import Any

from client.fake_daemon import RESULTS
from torpor import wire


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def _error(number: int | None, name: str) -> bytes:
    error = {"code": wire.ERROR_CODES[name], "message": f"no: {name}", "data": {"name": name}}
    return _line({"id": number, "error": error})


def _good(request: dict[str, Any]) -> bytes:
    return _line({"id": request["id"], "result": RESULTS[request["method"]]})


# What is sent for a request, and whether the connection goes on.
def _said(way: str, request: dict[str, Any]) -> tuple[bytes, bool]:
    number, good = request["id"], _good(request)
    old = _line({"id": number - 1, "result": {"state": "of another request"}}) if number > 1 else b""
    return {
        "answers": (good, True),
        "says something old first": (old * 3 + good, True),
        "says everything twice": (good + good, True),
        "hangs up": (b"", False),
        "says half": (good[: len(good) // 2], False),
        "says all but the end": (good[:-1], False),
        "drains": (_error(number, "draining"), False),
        "drains and stays": (_error(number, "draining"), True),
        "refuses": (_error(number, "conflict"), True),
        "refuses the connection": (_error(None, "too_many"), False),
        "talks garbage": (b"\x00\xff\x1b[2J{]\n", True),
        "talks another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n", True),
        "sends no object": (b"[1, 2]\n", True),
        "sends another version": (good.replace(b'"2.0"', b'"3.0"'), True),
        "sends an empty line": (b"\n", True),
        "answers a request to come": (_line({"id": number + 7, "result": {}}), True),
        "answers under a text": (_line({"id": str(number), "result": {}}), True),
        "answers under true": (_line({"id": True, "result": {}}), True),
        "answers with nothing": (_line({"id": number}), True),
        "answers with a list": (_line({"id": number, "result": [1]}), True),
        "refuses in its own way": (_line({"id": number, "error": "no"}), True),
        "refuses without a name": (_line({"id": number, "error": {"code": 1, "message": "no"}}), True),
        "speaks another number": (_error(number, "protocol_mismatch"), True),
        "is huge": (b'{"jsonrpc":"2.0","id":%d,"result":{"x":"' % number + b"x" * (wire.MAX_LINE_BYTES + 70_000), True),
        "nests without end": (b"[" * 200_000 + b"\n", True),
        "says nothing": (b"", True),
    }[way]


# By what comes of them, if nothing else comes before.
GOOD = ("answers", "says something old first", "says everything twice", "answers in bytes")
ASK_AGAIN = ("hangs up", "says half", "says all but the end", "drains", "drains and stays", "resets", "never listens")
REFUSALS = {"refuses": "conflict", "refuses the connection": "too_many"}
NONSENSE = (
    "talks garbage", "talks another protocol", "sends no object", "sends another version", "sends an empty line",
    "answers a request to come", "answers under a text", "answers under true", "answers with nothing",
    "answers with a list", "refuses in its own way", "refuses without a name", "speaks another number", "is huge",
    "nests without end",
)  # fmt: skip
SILENCE = ("says nothing",)


class Misbehaving:
    """Listens in `home` and holds its lock, as a daemon that is up. Requests take from `ways`; then all are answered.

    "resets" and "never listens" close with the request unread, and before there is one.
    """

    def __init__(self, home: Path) -> None:
        self.ways: deque[str] = deque()
        self.requests: list[dict[str, Any]] = []
        self._lock = os.open(home / wire.LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(home / wire.SOCKET_NAME))
        self._listener.listen(64)
        self._open: list[socket.socket] = []
        self._busy: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def rests(self) -> bool:
        """Whether everything that was sent to it is read, and answered as it was told to."""
        doors = [self._listener, *(each for each in self._open if each.fileno() >= 0)]
        return not self._busy and not select.select(doors, [], [], 0)[0]

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for connection in self._open:
            with contextlib.suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        os.close(self._lock)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.ways and self.ways[0] == "never listens":
                self.ways.popleft()
                connection.close()
                continue
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._talks(connection)
        self._busy.discard(connection)

    def _talks(self, connection: socket.socket) -> None:
        arrived = b""
        while self._asks(connection):
            if self.ways and self.ways[0] == "resets":
                self.ways.popleft()
                return
            arrived += connection.recv(65536)
            *lines, arrived = arrived.split(b"\n")
            for line in lines:
                if not self._answer(connection, json.loads(line)):
                    return

    def _asks(self, connection: socket.socket) -> bool:
        self._busy.discard(connection)
        found = connection.recv(1, socket.MSG_PEEK)
        self._busy.add(connection)
        return bool(found)

    def _answer(self, connection: socket.socket, request: dict[str, Any]) -> bool:
        while self.ways and self.ways[0] in ("resets", "never listens"):
            self.ways.popleft()  # meant for a connection that was to be made anew: it was not
        way = self.ways.popleft() if self.ways else "answers"
        self.requests.append({"way": way, **request})
        if way == "answers in bytes":
            for byte in _good(request):
                connection.sendall(bytes([byte]))
            return True
        said, goes_on = _said(way, request)
        connection.sendall(said)
        return goes_on
