"""The worker process, `python -m torpord.flows.worker FD`: one run, spoken of with the daemon over a pipe.

`notes` on the pipe's words are in `daemon/ARCHITECTURE.md`. The author's code is loaded before the event loop runs, so
that it may do at import what any program may.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import Any

import orjson

from torpord.flows.engine import Engine
from torpord.flows.errors import FlowError, describe
from torpord.flows.journal import Message
from torpord.flows.loader import load
from torpord.flows.pipe import Pipe
from torpord.host.clock import SystemClock

# A cancelled step has so long for its own end; the daemon has less patience, and a signal that needs none.
CANCEL_LIMIT_S = 5.0


def main() -> None:
    """Serve one run, then leave at once: threads that block, and what hangs on the interpreter's end, do not count."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    line, rest = _first_line(sock)
    if line:
        hello = orjson.loads(line)
        try:
            flow = load(hello["flow"])
        except FlowError as error:
            sock.sendall(_line({"t": "unloadable", "error": describe(error)}))
        else:
            states = {s.name: {"retries": s.retries, "timeout_s": s.timeout_s} for s in flow.states.values()}
            loaded = {"t": "loaded", "version": flow.version, "initial": flow.initial, "states": states}
            sock.sendall(_line(loaded))
            asyncio.run(_serve(sock, rest, flow, hello))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _first_line(sock: socket.socket) -> tuple[bytes, bytes]:
    parts = []
    while chunk := sock.recv(1 << 16):
        parts.append(chunk)
        if b"\n" in chunk:
            line, _, rest = b"".join(parts).partition(b"\n")
            return line, rest
    return b"", b""


def _line(message: Message) -> bytes:
    return orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)


async def _serve(sock: socket.socket, rest: bytes, flow: Any, hello: Message) -> None:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[str] = loop.create_future()
    engine: Engine

    def taken(message: Message) -> None:
        match message["t"]:
            case "ack" | "begin":
                engine.take(message)
            case "yield":
                engine.yielding.ask()
            case "cancel" | "exit" as word if not told.done():
                told.set_result(word)

    pipe = Pipe(b"", taken, lambda: os._exit(0))
    clock = SystemClock()
    engine = Engine(flow, pipe, hello["run_id"], hello["origin"], lambda: clock.now().awake_s)
    engine.place(hello["data"], hello["branches"], hello["visits"])
    sock.setblocking(False)
    pipe._parts = [rest] if rest else []
    await loop.create_unix_connection(lambda: pipe, sock=sock)
    loop.add_signal_handler(signal.SIGTERM, lambda: told.done() or told.set_result("cancel"))
    await asyncio.wait([told, engine.broken], return_when=asyncio.FIRST_COMPLETED)
    engine.cancel()
    await engine.settled()
    await engine.close()


if __name__ == "__main__":
    main()
