"""A daemon that a client started, in the way of a service manager that is to hold its socket: it goes first.

Told by SIGTERM, which it takes as a service manager's: what was received is answered. Not by `stop`, which would be the
wish that it stays down.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import signal
import socket
import struct
import sys
from typing import TYPE_CHECKING

from torpor import home as homes
from torpor import presence, wire
from torpor.deadline import Deadline
from torpor.service.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torpor.service.names import Place

_LIMIT_S = 30.0
_LOOK_EVERY_S = 0.02
_CONNECT_LIMIT_S = 5.0
_ANSWER_LIMIT_S = 5.0
# unix(4) of macOS; Python has no names for them.
_SOL_LOCAL, _LOCAL_PEERPID = 0, 2


@contextlib.contextmanager
def nobody_spawns(place: Place) -> Iterator[None]:
    """Keep clients from starting a daemon, and a second install from beginning, until the end of the block.

    Root installs for others in a directory of its own, and makes no file in a home that is theirs. Raises Wrong 75.
    """
    path = os.path.join(place.home, wire.SPAWN_LOCK_NAME)
    is_other = place.manager == "systemd-system"
    with contextlib.ExitStack() as held:
        if is_other:
            _lock(held, os.open(place.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), place.directory)
        made = 0 if is_other else os.O_CREAT
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | made, 0o600)
        except FileNotFoundError:
            pass  # no client has ever started a daemon there
        else:
            _lock(held, fd, path)
        yield


def _lock(held: contextlib.ExitStack, fd: int, path: str) -> None:
    held.callback(os.close, fd)
    deadline = Deadline(_LIMIT_S)
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                deadline.sleep(_LOOK_EVERY_S)
            except TimeoutError:
                raise Wrong(wire.EX_TEMPFAIL, f"{path} is locked: another install, or a daemon starts: again") from None
        else:
            return


def make_way(place: Place) -> str | None:
    """End a daemon of `place` that no service manager runs; None: there is none. Raises Wrong 75.

    Returns what goes on where the next one takes over, in words; "" where that is nothing, or cannot be known. Holds of
    a connection are taken again by who has them, once there is another daemon: see `bring_back`.
    """
    if not presence.is_up(place.home):
        return None
    known = presence.last_known(place.home)
    if known is not None and known.get("supervisor") in ("systemd", "launchd"):
        return None
    pid, had = _listening(place)
    with contextlib.suppress(ProcessLookupError):  # it went by itself
        os.kill(pid, signal.SIGTERM)
    deadline = Deadline(_LIMIT_S)
    try:
        while presence.is_up(place.home):
            deadline.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        said = f"torpord (pid {pid}), which no service manager runs, was told to end and still runs: again"
        raise Wrong(wire.EX_TEMPFAIL, said) from None
    return had


def bring_back(place: Place) -> None:
    """Have the service manager start a daemon: nobody connects who only waits for another to come. Raises Wrong 75."""
    with _connected(place, place.socket, homes.command("torpor start", place.home)):
        pass


@contextlib.contextmanager
def _connected(place: Place, who: str, mend: str) -> Iterator[socket.socket]:
    """Connect to the home's socket; where nobody takes that, `who` is named and `mend` said. Raises Wrong 75."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_CONNECT_LIMIT_S)
        try:
            probe.connect(place.socket)
        except OSError as error:
            said = f"{who} takes no connection ({error.strerror or error}): {mend}"
            raise Wrong(wire.EX_TEMPFAIL, said) from error
        yield probe


def _listening(place: Place) -> tuple[int, str]:
    """Return who listens at the socket, and what goes on there. Raises Wrong 75.

    Who it is, is the kernel's word: root may be told anything.
    """
    wanted = pwd.getpwnam(place.user).pw_uid
    restart = homes.command("torpor restart", place.home)
    with _connected(place, f"a daemon has {place.home} and", f"`{restart}`") as probe:
        had = _goes_on(probe)
        if sys.platform == "darwin":
            return int(probe.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID)), had
        pid, uid, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid != wanted:
        raise Wrong(wire.EX_NOPERM, f"{place.socket} is served by a process of uid {uid}, not by {place.user}'s")
    if pid <= 0:
        said = f"{place.socket} is served from another container, where no process of here can end it: end it there"
        raise Wrong(wire.EX_NOPERM, said)
    return int(pid), had


def _line(connected: socket.socket) -> bytes:
    """Read an answer for a few seconds in all: the one who answers may be somebody else's. Raises TimeoutError."""
    answer, deadline = b"", Deadline(_ANSWER_LIMIT_S)
    while not answer.endswith(b"\n") and len(answer) < wire.MAX_LINE_BYTES:
        connected.settimeout(deadline.left_s())
        if not (more := connected.recv(64 * 1024)):
            break
        answer += more
    return answer


def _goes_on(connected: socket.socket) -> str:
    try:
        connected.sendall(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
        status = json.loads(_line(connected))["result"]
        counts = {"hold": len(status["holds"]), "run": int(status["runs"].get("running", 0))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""  # it is told to end anyway, by the one thing that no older or younger one mistakes
    told = [f"{count} {word}{'s' * (count > 1)}" for word, count in counts.items() if count]
    return f", with {' and '.join(told)}" if told else ""
