"""Other processes: which very one it is, whether it lives, when it ends, and who is at the other end of a socket.

A pid alone says nothing: it is given to another process soon after its owner's end. With the start time it is one
process for ever (until the next boot, for which there is the boot's id).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from pathlib import Path

import anyio

from torpord.core.moment import Now
from torpord.core.value import value

_POLL_S = 1.0


@value
class ProcessIdentity:
    """One very process. `start` is the kernel's text for when it began: to compare, not to read."""

    pid: int
    start: str


# By whom a process is waited for that several wait for: what it sets when it does no more. See `ended`.
_waited_for: dict[ProcessIdentity, anyio.Event] = {}


@value
class Peer:
    """Who connected, by the kernel's word, at the moment of connecting. Pid 0: in no namespace that we see."""

    pid: int
    uid: int
    gid: int


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of the process that has this pid now; None if there is none, or one that has ended.

    Raises OSError where it cannot be told now: no descriptor is left to look with.
    """
    if sys.platform == "darwin":
        return macos.identify(pid)
    return _identify(pid)


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether that very process has not ended. Raises OSError as `identify` does."""
    return identify(identity.pid) == identity


def began_wall_s(identity: ProcessIdentity, now: Now) -> float:
    """Return when a process of this boot began, by the wall clock as it is set now."""
    if sys.platform == "darwin":
        return float(identity.start)
    age_s = now.awake_s + now.suspended_s - int(identity.start) / os.sysconf("SC_CLK_TCK")
    return now.wall_s - age_s


async def ended(identity: ProcessIdentity) -> None:
    """Return once that very process has ended, at once if it has. Costs no wake-up before.

    Raises OSError where no descriptor is left. Where the system cannot tell it looks every second: it has no pidfd_open
    (Linux before 5.3, or a sandbox that forbids it), or the pid is a thread's that is not its process's first.

    However many wait for one process, it takes one descriptor: a program with thousands of agents names its own pid for
    each of them. One waits for the system, the others for that one; where it gives up, the next takes its place.
    """
    while (other := _waited_for.get(identity)) is not None:
        await other.wait()
        if not is_alive(identity):
            return
    given_up = _waited_for[identity] = anyio.Event()
    try:
        await _ended(identity)
    finally:
        del _waited_for[identity]
        given_up.set()


async def _ended(identity: ProcessIdentity) -> None:
    if sys.platform == "darwin":
        await macos.ended(identity)
        return
    try:
        fd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    except OSError as error:
        await ended_by_looking(identity, error)
        return
    try:
        # Only now: a successor that got the pid before the open is what the descriptor would stand for.
        if is_alive(identity):
            await anyio.wait_readable(fd)
    finally:
        os.close(fd)


async def ended_by_looking(identity: ProcessIdentity, error: OSError) -> None:
    """Return once that process has ended, looking every second, as the system tells nobody for this reason.

    Raises the reason where it will pass: no descriptor or memory is left, and who waits should try again.
    """
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise error
    while is_alive(identity):  # noqa: ASYNC110 - nobody here could set an event
        await anyio.sleep(_POLL_S)


async def child_ended(pid: int) -> None:
    """Return once a child of this process has ended. It stays to be reaped, so its pid cannot become another's.

    Costs no wake-up before; where no descriptor is left, or the system has no pidfd_open, it looks every second.
    """
    if sys.platform == "darwin":
        identity = identify(pid)
        if identity is not None:
            await macos.ended(identity)
        return
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        with contextlib.suppress(ChildProcessError):  # it was reaped meanwhile
            while os.waitid(os.P_PID, pid, look) is None:  # noqa: ASYNC110, ASYNC222 - nobody sets an event; it only looks
                await anyio.sleep(_POLL_S)
        return
    try:
        await anyio.wait_readable(fd)
    finally:
        os.close(fd)


def program(pid: int) -> str:
    """Return the name of the program that runs as `pid` now, as ps(1) shows it; '' if it is gone."""
    # It may have ended since it asked, and then there is no name. No reason for a failure is worth more: it is a hint.
    if sys.platform == "darwin":
        return macos.program(pid)
    with contextlib.suppress(OSError):
        return _text(f"/proc/{pid}/comm")
    return ""


def boot_id() -> str:
    """Return what stays the same until the machine starts anew, and never comes again; '' where nothing tells."""
    if sys.platform == "darwin":
        return macos.boot_id()
    with contextlib.suppress(OSError):  # a sandbox may hide it
        return _text("/proc/sys/kernel/random/boot_id")
    return ""


def peer(sock: socket.socket) -> Peer:
    """Return who is at the other end of a connected Unix socket. Raises OSError."""
    if sys.platform == "darwin":
        return macos.peer(sock)
    return Peer(*struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))


def _identify(pid: int) -> ProcessIdentity | None:
    # proc(5): the second field is a name that may hold spaces and brackets. After it, field 3 is the state and field 22
    # the start time in clock ticks since boot.
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    # A zombie (Z) or dead (X) process only waits for its parent to look: it has ended.
    if not fields or fields[0] in ("Z", "X", "x"):
        return None
    return ProcessIdentity(pid, fields[19])


def _text(path: str) -> str:
    # ENOENT at the open and ESRCH at the read are the same news: there is no such process. Anything else is no news of
    # it: without a descriptor every process would be dead.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(path).read_text(errors="replace").rstrip("\n")
    return ""


# At the end: it imports the types from here.
if sys.platform == "darwin":
    from torpord.host import macos
