"""One client floods, in every way; another measures how long its own requests take, with and without, in turns.

python -P soak/flood.py SOCKET KIND     the flood: a process of its own, stopped (SIGSTOP) by turns
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __name__ != "__main__":  # the flood itself does without the tests
    from daemon_process import LineClient, RunningDaemon, end_all
    from process.timers import settings
    from waiting import until

CHUNK_BYTES = 1 << 16
NOBODY = 65534
# What the measuring one asks by turns: a look, which nobody's commit need hold up, and a durable change.
ASKED: dict[str, dict[str, str]] = {"status": {}, "event": {"event": "request_arrived"}}
# And the same look on a connection that is new: who comes stands behind all who came before.
NEW = "a new connection"


def _lines(method: str, **params: object) -> bytes:
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n"
    return line * (CHUNK_BYTES // len(line))


# How one may flood over one connection: what is sent, again and again, as fast as it is taken.
SENT = {
    "events": _lines("event", event="request_arrived"),
    "holds": _lines("hold.acquire", who="flood", why="x" * 1000, ttl_s=0.01),
    "looks": _lines("status"),
    "pages": _lines("log", limit=1000),
    "nonsense": b"\x00no json\n" * (CHUNK_BYTES // 9),
    "long lines": b"[" * (CHUNK_BYTES - 1) + b"\n",
}
KINDS = (*SENT, "never read", "connections", "strangers")


def flood(path: str, kind: str) -> None:
    """Flood for ever."""
    if kind == "strangers":
        os.setuid(NOBODY)
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            if kind not in ("connections", "strangers"):
                if kind != "never read":
                    threading.Thread(target=_read_all, args=(sock,), daemon=True).start()
                while True:
                    sock.sendall(SENT.get(kind, SENT["pages"]))


def _read_all(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(1 << 20):
            pass


@contextlib.contextmanager
def flooded(path: Path, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a flood that stands still."""
    process = subprocess.Popen([sys.executable, "-P", __file__, str(path), kind])
    process.send_signal(signal.SIGSTOP)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def measure(path: Path, kind: str, *, rounds: int, round_s: float) -> dict[str, Any]:
    """Return what each request took, alone and in the flood, in milliseconds, and the ratio of the medians."""
    names = (*ASKED, NEW)
    took_s: dict[tuple[str, bool], list[float]] = {(name, on): [] for name in names for on in (False, True)}
    with flooded(path, kind) as process, _connected(path) as line:
        for number in range(2 * rounds):
            on = number % 2 == 1
            process.send_signal(signal.SIGCONT if on else signal.SIGSTOP)
            end_at = time.monotonic() + round_s
            while time.monotonic() < end_at:
                for name in names:
                    began_at = time.monotonic()
                    _ask(line, path, name)
                    took_s[name, on].append(time.monotonic() - began_at)
                time.sleep(0.002)
        assert process.poll() is None, "the flood ended by itself"
    return {name: _compared(took_s[name, False], took_s[name, True]) for name in names}


def _ask(line: LineClient, path: Path, name: str) -> None:
    if name == NEW:
        with _connected(path) as new:
            new.call("status")
    else:
        line.call(name, **ASKED[name])


def _connected(path: Path) -> LineClient:
    """Connect; where the door's queue is full, wait for a place in it, as the rule for clients says."""

    def found() -> LineClient | None:
        with contextlib.suppress(BlockingIOError):
            return LineClient(path)
        return None

    return until(found, limit_s=30)


def _compared(alone_s: list[float], flooded_s: list[float]) -> dict[str, float]:
    def at(values: list[float], part: float) -> float:
        return round(sorted(values)[int(part * (len(values) - 1))] * 1000, 2)

    return {
        "alone_ms": at(alone_s, 0.5),
        "flooded_ms": at(flooded_s, 0.5),
        "alone_p99_ms": at(alone_s, 0.99),
        "flooded_p99_ms": at(flooded_s, 0.99),
        "ratio": round(statistics.median(flooded_s) / statistics.median(alone_s), 1),
        "asked": len(flooded_s),
    }


def run(home: Path, *, rounds: int, round_s: float, kinds: tuple[str, ...] = KINDS) -> dict[str, Any]:
    """Measure beside each kind of flood. Raises AssertionError where the daemon does not answer as it should."""
    daemon = RunningDaemon.start(home, settings())
    daemon.socket.chmod(0o666)  # a stranger may connect, if the folder lets him: it is the daemon that refuses him
    home.parent.chmod(0o711)
    home.chmod(0o711)
    found = {kind: measure(daemon.socket, kind, rounds=rounds, round_s=round_s) for kind in kinds}
    home.chmod(0o700)
    status = daemon.stop()
    assert status == 0, (status, daemon.log.read_text()[-3000:])
    return found


def soak(for_s: float) -> dict[str, Any]:
    """Run the long one."""
    with tempfile.TemporaryDirectory(prefix="tp-", dir="/tmp") as name:
        home = Path(name) / "home"
        try:
            return run(home, rounds=max(3, int(for_s / len(KINDS) / 2)), round_s=1.0)
        finally:
            end_all(home)


if __name__ == "__main__":
    flood(sys.argv[1], sys.argv[2])
