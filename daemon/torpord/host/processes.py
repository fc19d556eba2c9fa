"""Other processes: which very one it is, whether it lives, when it ends, and who is at the other end of a socket.

A pid alone says nothing: it is given to another process soon after its owner's end. With the start time it is one
process for ever (until the next boot, for which there is the boot's id).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import anyio

_POLL_S = 1.0  # only on a system with neither pidfd_open nor kqueue: Linux before 5.3, or a sandbox that forbids it


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One very process. `start` is the kernel's text for when it began: to compare, not to read."""

    pid: int
    start: str


@dataclass(frozen=True, slots=True)
class Peer:
    """Who connected, by the kernel's word, at the moment of connecting. Pid 0: in no namespace that we see."""

    pid: int
    uid: int
    gid: int


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of the process that has this pid now; None if there is none, or one that has ended."""
    if sys.platform == "darwin":
        return _identify_by_psutil(pid)
    fields = _stat_fields(pid)
    # proc(5): field 3 is the state, field 22 the start time in clock ticks since boot. A zombie (Z) or dead (X) one
    # waits only for its parent to look: it has ended.
    if not fields or fields[0] in ("Z", "X", "x"):
        return None
    return ProcessIdentity(pid, fields[19])


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether that very process has not ended."""
    return identify(identity.pid) == identity


async def ended(identity: ProcessIdentity) -> None:
    """Return once that very process has ended, at once if it has. Costs no wake-up before."""
    if sys.platform == "darwin":
        await _ended_by_kqueue(identity)
        return
    try:
        fd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        while is_alive(identity):
            await anyio.sleep(_POLL_S)
        return
    try:
        # Only now: a successor that got the pid before the open is what the descriptor would stand for.
        if is_alive(identity):
            await anyio.wait_readable(fd)
    finally:
        os.close(fd)


def program(pid: int) -> str:
    """Return the name of the program that runs as `pid` now, as ps(1) shows it; '' if it is gone."""
    if sys.platform == "darwin":
        import psutil  # noqa: PLC0415 - macOS only

        with contextlib.suppress(psutil.Error):
            return str(psutil.Process(pid).name())
        return ""
    # It may have ended since it asked: then there is no name.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").rstrip("\n")
    return ""


def boot_id() -> str:
    """Return what is the same until the machine starts anew, and then never again; '' where nothing tells."""
    if sys.platform == "darwin":
        return _boot_session()
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def peer(sock: socket.socket) -> Peer:
    """Return who is at the other end of a connected Unix socket. Raises OSError."""
    if sys.platform == "darwin":
        # <sys/un.h>: SOL_LOCAL 0, LOCAL_PEERCRED 1 (struct xucred), LOCAL_PEERPID 2. Not run where this is developed.
        _, uid, _, gid = struct.unpack_from("=IIh2xI", sock.getsockopt(0, 1, 76))
        return Peer(struct.unpack("i", sock.getsockopt(0, 2, 4))[0], uid, gid)
    return Peer(*struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on: the second is a name that may hold spaces and brackets."""
    # ESRCH while reading and ENOENT at the open are the same news: it is gone.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return []


def _identify_by_psutil(pid: int) -> ProcessIdentity | None:
    import psutil  # noqa: PLC0415 - macOS only

    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        return ProcessIdentity(pid, repr(process.create_time()))
    except psutil.NoSuchProcess:
        return None


async def _ended_by_kqueue(identity: ProcessIdentity) -> None:
    """Wait for EVFILT_PROC. macOS only, and not run where this is developed."""
    queue = select.kqueue()
    try:
        exits = select.kevent(identity.pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        try:
            queue.control([exits], 0, 0)
        except ProcessLookupError:
            return
        if is_alive(identity):
            await anyio.wait_readable(queue.fileno())
    finally:
        queue.close()


def _boot_session() -> str:
    """Read the sysctl kern.bootsessionuuid. macOS only, and not run where this is developed."""
    import ctypes  # noqa: PLC0415 - macOS only

    buffer = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(buffer))
    failed = ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", buffer, ctypes.byref(size), None, 0)
    return "" if failed else buffer.value.decode("ascii", "replace")
