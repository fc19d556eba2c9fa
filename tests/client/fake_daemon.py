"""A daemon made of a script: what it does with each connection is the test's to say."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import threading
from collections.abc import Callable
from typing import Any, Self

from torpor import wire

RESULTS: dict[str, dict[str, Any]] = {
    "hello": {"protocol": 1, "daemon": {"version": "0", "pid": 0}, "state": "WAKE", "limits": wire.LIMITS},
    "event": {"state": "WAKE", "seq": 7, "changed": False, "wrapper_event_seq": 3},
    "status": {
        "state": "WAKE",
        "since_ts": "2026-01-02T03:04:05.000+00:00",
        "generation": 2,
        "pid": 4242,
        "version": "0.1.0",
        "protocol": 1,
        "started_ts": "2026-01-02T03:04:05.000+00:00",
        "start_cause": "spawn",
        "uptime_s": 5.0,
        "last_activity_ts": None,
        "wrapper_event_seq": 3,
        "ledger_seq": 7,
        "next": {"state": "DROWSY", "in_s": 60.0, "at": "2026-01-02T03:05:05.000+00:00", "blocked_by": []},
        "holds": [],
        "runs": {"running": 1, "completed": 12, "failed": 0},
        "sleep": {"last_cycle": None, "progress": None, "quarantine": None, "debt_s": 0.0},
        "supervisor": "none",
        "next_wake_ts": None,
        "shadow_run": False,
        "rss_bytes": 25_000_000,
        "cpu_s": 0.1,
        "home": "/somewhere",
    },
    "why": {"state": "WAKE", "awake_because": [{"kind": "hold", "who": "me", "why": "work"}], "next": None,
            "not_yet_because": []},
    "doctor": {
        "store": {"version": 3, "problem": None, "integrity": None, "bytes": 1, "wal_bytes": 1, "free_bytes": 10**9},
        "settings": {"file": "/somewhere/torpor.toml", "problem": None},
        "stuck": {},
        "environ": {"PATH": "/usr/bin:/bin"},
        "children": [],
    },
    "log": {"records": [], "next": 7},
    "subscribe": {"next": 7},
    "wait": {"state": "WAKE", "seq": 7},
    "hold.acquire": {"hold_id": "h1", "state": "WAKE"},
    "hold.release": {"hold_id": "h1", "released": True},
    "hold.list": {"holds": [], "cursor": None},
    "hibernate": {"state": "WAKE", "waiting_for": []},
    "stop": {"state": "WAKE"},
    "way.proven": {"way": "wake.d", "took_s": 0.5},
    "reload": {"changed": ["lifecycle.drowsy_after"]},
    "run.start": {"run_id": "4f1c2d3e", "status": "pending"},
    "run.list": {"runs": [], "cursor": None},
    "run.pause": {"run_id": "4f1c2d3e", "status": "paused"},
    "run.resume": {"run_id": "4f1c2d3e", "status": "running"},
    "run.cancel": {"run_id": "4f1c2d3e", "status": "cancelled"},
    "run.retry": {"run_id": "4f1c2d3e", "status": "running"},
    "run.remove": {"run_id": "4f1c2d3e", "status": "completed"},
    "run.export": {"text": '{"run_id":"4f1c2d3e"}', "cursor": None},
    "run.import": {"run_id": "4f1c2d3e", "status": "paused"},
}  # fmt: skip


class Visitor:
    """One connection, as the daemon sees it."""

    def __init__(self, connection: socket.socket, daemon: FakeDaemon) -> None:
        self.socket = connection
        self.daemon = daemon
        self._lines = connection.makefile("rb")

    def request(self) -> dict[str, Any]:
        """Return the next request. Raises EOFError."""
        line = self._lines.readline()
        if not line:
            raise EOFError
        request: dict[str, Any] = json.loads(line)
        self.daemon.requests.append(request)
        return request

    def send(self, message: dict[str, Any] | bytes) -> None:
        self.socket.sendall(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")

    def answer(self, request: dict[str, Any], result: dict[str, Any] | None = None) -> None:
        result = RESULTS[request["method"]] if result is None else result
        self.send({"jsonrpc": "2.0", "id": request["id"], "result": result})

    def refuse(self, number: int | None, name: str, **data: Any) -> None:
        error = {"code": wire.ERROR_CODES[name], "message": f"no: {name}", "data": {"name": name, **data}}
        self.send({"jsonrpc": "2.0", "id": number, "error": error})

    def record(self, seq: int, kind: str = "state_transition") -> None:
        record = {"seq": seq, "ts": "2026-01-02T03:04:05.000+00:00", "kind": kind, "data": {}, "cause": {}}
        self.send({"jsonrpc": "2.0", "method": "record", "params": record})


Scene = Callable[[Visitor], None]


def serve(visitor: Visitor) -> None:
    """Answer everything as a healthy daemon would."""
    while True:
        visitor.answer(visitor.request())


class FakeDaemon:
    """Listens in `home` and holds its lock. Connections get the scenes in turn, those after the last one `serve`."""

    def __init__(self, home: pathlib.Path, *scenes: Scene, locks: bool = True, backlog: int = 64) -> None:
        self.home = home
        self.requests: list[dict[str, Any]] = []
        self.visits = 0
        self.ended = threading.Event()
        self._scenes = list(scenes)
        self._locks = locks
        self._backlog = backlog
        self._visitors: list[socket.socket] = []
        self._accepting: threading.Thread | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.listen()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def listen(self) -> None:
        self.home.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(self.home / wire.LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        if self._locks:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        path = self.home / wire.SOCKET_NAME
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(self._backlog)

    def accept(self) -> None:
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def methods(self) -> list[str]:
        return [request["method"] for request in self.requests]

    def stop(self, **state: Any) -> None:
        """Go down; with `state`, write a state file before the lock is released, as the daemon does."""
        (self.home / wire.SOCKET_NAME).unlink(missing_ok=True)
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
        if self._accepting is not None:
            self._accepting.join()  # from here on nobody comes
        self.ended.set()
        for visitor in self._visitors:
            with contextlib.suppress(OSError):
                visitor.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        if state:
            write_state(self.home, **state)
        os.close(self._lock)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.visits += 1
            scene = self._scenes.pop(0) if self._scenes else serve
            self._visitors.append(connection)
            thread = threading.Thread(target=self._play, args=(scene, connection))
            thread.start()
            self._threads.append(thread)

    def _play(self, scene: Scene, connection: socket.socket) -> None:
        visitor = Visitor(connection, self)
        with connection, visitor._lines, contextlib.suppress(EOFError, OSError):
            scene(visitor)


def write_state(home: pathlib.Path, **fields: Any) -> None:
    known = {"schema_version": 1, "current_state": "WAKE", "since_ts": "2026-01-02T03:04:05.000+00:00", "pid": None,
             "reason": "hibernate", "next_wake_ts": None, "supervisor": "none"}  # fmt: skip
    home.mkdir(mode=0o700, exist_ok=True)
    draft = home / "state.draft"
    draft.write_text(json.dumps(known | fields))
    draft.rename(home / wire.STATE_NAME)
