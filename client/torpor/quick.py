"""`torpor send EVENT` while the daemon is up, and `torpor hook`: the ways that hooks run all the time.

All that is imported here is loaded by the interpreter anyway, but for `_socket`: `socket` costs as much again as the
whole call, `json` and `argparse` more. Whatever is not the plain case (other options, other characters, a daemon that
is down, an answer that is not the usual one) goes to `torpor.cli`, which knows all the rules.
"""

import os
import sys
import time

from torpor import wire
from torpor.home import command, home_dir, socket_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import NoReturn

_LIMIT_S = 30.0
_BY_CTRL_C = 130  # as a shell says it: 128 and SIGINT
_REQUEST = '{"jsonrpc":"2.0","id":1,"method":"event","params":{"event":"%s"%s}}\n'
_USUAL = b'{"jsonrpc":"2.0","id":1,"result":{"state":"'


def main(argv: list[str]) -> "NoReturn":
    """Run the command line `argv` and end the process with its exit status."""
    try:
        if len(argv) > 2 and argv[1] == "send":
            _quick(argv[2:])
        elif (hook := _hook_in(argv)) is not None:
            _hook(hook)
        from torpor.cli import main as whole  # noqa: PLC0415 - see the docstring

        status = whole(argv[1:])
    except KeyboardInterrupt:
        status = _BY_CTRL_C
    sys.exit(status)


def _hook_in(argv: list[str]) -> list[str] | None:
    """Return the arguments of `torpor hook`, in whatever order; None where it is another command, or prints."""
    at = 1
    while at < len(argv) and argv[at].partition("=")[0] in ("--home", "--timeout"):
        at += 1 if "=" in argv[at] else 2
    if at >= len(argv) or argv[at] != "hook":
        return None
    args = [*argv[1:at], *argv[at + 1 :]]
    return None if {"--print-settings", "--help", "-h"}.intersection(args) else args


def _hook(args: list[str]) -> "NoReturn":
    try:
        from torpor.hook import main as hook  # noqa: PLC0415 - see the docstring

        hook(args)
    finally:
        os._exit(0)  # a part of torpor that is broken is not the agent's trouble, either


def _quick(args: list[str]) -> None:
    """Send the plain case and end the process; return where it is another case."""
    try:
        state = _sent(args)
    except TimeoutError:
        if sys.stderr is not None:  # closed: there the line would come on standard output
            read = _plain(args)
            status = command("torpor status", home_dir(read[2] if read else None))
            print(f"torpor: no answer within {_LIMIT_S:g} s: `{status}` tells more", file=sys.stderr)  # noqa: T201
        sys.exit(wire.EX_TEMPFAIL)
    if state is not None:
        _end(f"sent: {state}")


def _end(line: str) -> "NoReturn":
    """Print the line and be gone. Taking the interpreter down in order costs a tenth of the call, and for nothing."""
    try:
        print(line, flush=True)  # noqa: T201 - a command
    finally:
        # Also where nobody reads the line: the event is applied, and that is what was asked.
        os._exit(wire.EX_OK)


def _sent(args: list[str]) -> str | None:
    """Send the plain case, and return the daemon's state, or None: then nothing is known, and asking again is right."""
    read = _plain(args)
    if read is None:
        return None
    event, key, home = read
    try:
        import _socket  # noqa: PLC0415 - see the docstring
    except ImportError:  # an interpreter that has it under another name
        return None
    try:
        path = socket_path(home_dir(home))
    except Exception:  # noqa: BLE001 - BadHome; `torpor.cli` will find it again, and say it
        return None
    request = _REQUEST % (event, f',"key":"{key}"' if key else "")
    line = _answer(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM), path, request.encode())
    if not line.startswith(_USUAL):
        return None
    state = line[len(_USUAL) : line.find(b'"', len(_USUAL))].decode()
    return state if state in wire.STATES else None


def _plain(args: list[str]) -> tuple[str, str, str | None] | None:
    """Return event, key and home where the arguments are the plain case."""
    event, key, home = "", "", None
    rest = iter(args)
    for arg in rest:
        if arg == "--key":
            key = next(rest, "")
            if not key.isascii() or not key.isprintable() or '"' in key or "\\" in key or not 0 < len(key) < 129:
                return None
        elif arg == "--home":
            home = next(rest, None)
            if not home:
                return None
        elif event or arg not in wire.EVENTS:
            return None
        else:
            event = arg
    return (event, key, home) if event else None


def _answer(connection: "_socket.socket", path: str, request: bytes) -> bytes:
    """Return the daemon's line, or b"" where the connection did not bring one. Raises TimeoutError."""
    end = time.monotonic() + _LIMIT_S
    arrived = b""
    try:
        connection.settimeout(_LIMIT_S)
        connection.connect(path)
        connection.send(request)  # some hundred bytes: they fit, or nothing does
        while not arrived.endswith(b"\n"):
            connection.settimeout(max(end - time.monotonic(), 0.001))
            more = connection.recv(4096)
            if not more or len(arrived) > 65536:
                return b""
            arrived += more
    except TimeoutError:
        raise  # all the time there was is used up
    except OSError:
        return b""
    finally:
        connection.close()
    return arrived
