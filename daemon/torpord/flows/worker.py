"""The worker process, `python -m torpord.flows.worker FD`: one run, spoken of with the daemon over a pipe.

The author's code is loaded before the event loop runs, so that it may do at import what any program may. The process
leaves by `os._exit`: neither a thread that blocks nor what hangs on the interpreter's end may keep it.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, Never

import orjson

import torpor
from torpord.flows import descendants
from torpord.flows.api import Flow
from torpord.flows.engine import Engine
from torpord.flows.errors import FlowError, describe
from torpord.flows.journal import Message
from torpord.flows.loader import load
from torpord.flows.pipe import Pipe
from torpord.flows.priority import step_back
from torpord.host.clock import SystemClock

# How long cancelled steps may take for their own end. A command has a second of it. The daemon's patience is shorter.
CANCEL_LIMIT_S = 2.0
EXIT_BROKEN = 70  # sysexits(3): EX_SOFTWARE


def main() -> Never:
    """Serve one run."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    # A terminal's Ctrl-C is for the daemon. A handler, not SIG_IGN: that would be inherited by commands.
    signal.signal(signal.SIGINT, lambda *_: None)
    # What it says just before it dies is what its author needs most.
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    step_back()
    descendants.adopt()
    line, rest = _first_line(sock)
    if not line:
        _leave(0)
    hello = orjson.loads(line)
    if hello["version"] != torpor.__version__:  # installed since the daemon began: no run is carried out by both
        sock.sendall(_line({"t": "outdated", "version": torpor.__version__}))
        _leave(0)
    try:
        flow = load(hello["flow"])
    except FlowError as error:
        sock.sendall(_line({"t": "unloadable", "error": describe(error)}))
        _leave(0)
    states = {state.name: {"retries": state.retries, "timeout_s": state.timeout_s} for state in flow.states.values()}
    sock.sendall(_line({"t": "loaded", "version": flow.version, "initial": flow.initial, "states": states}))
    loop = asyncio.new_event_loop()
    try:
        # Not asyncio.run: that waits for all threads at its end.
        loop.run_until_complete(_serve(sock, rest, flow, hello))
    except BaseException:  # noqa: BLE001 - SystemExit of a task that an author's code has started on its own
        traceback.print_exc()
    _leave(EXIT_BROKEN)


def _first_line(sock: socket.socket) -> tuple[bytes, bytes]:
    """Read up to the end of the first line; return it and what has come after it. b"" where there is none."""
    parts: list[bytes] = []
    while chunk := sock.recv(1 << 16):
        parts.append(chunk)
        if b"\n" in chunk:
            line, _, rest = b"".join(parts).partition(b"\n")
            return line, rest
    return b"", b""


def _line(message: Message) -> bytes:
    return orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)


async def _serve(sock: socket.socket, rest: bytes, flow: Flow, hello: Message) -> Never:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[Any] = loop.create_future()

    def tell(word: str) -> None:
        if not told.done():
            told.set_result(word)

    def taken(message: Message) -> None:
        match message["t"]:
            case "yield":
                engine.yielding.ask()
            case "cancel" | "exit" as word:
                tell(word)
            case _:
                engine.take(message)

    pipe = Pipe(rest, taken, _abandoned)
    work_dir = Path(hello["work_dir"])
    engine = Engine(flow, pipe, hello["run_id"], hello["origin"], work_dir, SystemClock().awake_s)
    engine.place(hello["data"], hello["branches"], hello["visits"])
    loop.add_signal_handler(signal.SIGTERM, tell, "cancel")
    sock.setblocking(False)  # noqa: FBT003 - it takes no name
    await loop.create_unix_connection(lambda: pipe, sock=sock)
    await asyncio.wait([told, engine.broken], return_when=asyncio.FIRST_COMPLETED)
    engine.cancel()
    try:
        async with asyncio.timeout(CANCEL_LIMIT_S if told.done() and told.result() == "cancel" else None):
            await engine.settled()
            await engine.close()
        if engine.broken.done():
            engine.broken.result()
    except TimeoutError:
        _leave(0)
    except BaseException:  # noqa: BLE001 - of the services' end, or a mistake of ours: said where the daemon keeps it
        traceback.print_exc()
        _leave(EXIT_BROKEN)
    _leave(0)


def _abandoned() -> None:
    """Leave nothing behind: the daemon is gone, or has given this worker up."""
    descendants.kill_all()
    os._exit(0)


def _leave(status: int) -> Never:
    descendants.kill_all()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or EXIT_BROKEN  # nobody reads them any more
    os._exit(status)


if __name__ == "__main__":
    main()
