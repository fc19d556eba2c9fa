"""What macOS does in its own way, in one place because it is not run where this is developed.

Type-checked by `mypy --platform darwin --no-warn-unreachable`; the sources are the manual pages and headers named at
each. The modules beside this one import it at the place of use, and only on macOS.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import math
import os
import select
import struct
import sys
from typing import TYPE_CHECKING

import anyio
import psutil  # type: ignore[import-untyped]

from torpord.host.alarm import Ring
from torpord.host.faults import SetupError
from torpord.host.processes import Peer, ProcessIdentity, ended_by_looking, is_alive
from torpord.host.watch import LOOK_AGAIN

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path

assert sys.platform == "darwin", "torpord.host.macos is for macOS"  # noqa: S101 - tells the type checker the same


def is_local(path: Path) -> bool:
    """Return whether statfs(2) calls the file system of `path` MNT_LOCAL. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    # The struct with 64-bit inodes, f_flags at byte 64; on Apple's own processors its symbol has no suffix.
    call = getattr(libc, "statfs$INODE64", None) or libc.statfs
    buffer = ctypes.create_string_buffer(4096)
    if call(os.fsencode(path), buffer) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    mnt_local = 0x1000
    return bool(int.from_bytes(buffer.raw[64:68], sys.byteorder) & mnt_local)


def sockets_of_launchd(name: str) -> list[int]:
    """Return the descriptors launchd holds for the key `name` (launch_activate_socket(3)); none outside of launchd."""
    libc = ctypes.CDLL(None)
    fds = ctypes.POINTER(ctypes.c_int)()
    count = ctypes.c_size_t()
    failed = libc.launch_activate_socket(name.encode(), ctypes.byref(fds), ctypes.byref(count))
    if failed in (errno.ESRCH, errno.ENOENT):  # not launchd's child, or its job has no such socket
        return []
    if failed:
        raise SetupError(78, f"launchd does not hand over the socket {name!r}: {os.strerror(failed)}")
    found = [fds[index] for index in range(count.value)]
    libc.free(fds)
    return found


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of the process that has this pid now; None if there is none, or one that has ended.

    By sysctl(3), KERN_PROC_PID. Not by psutil: its `create_time` follows each step of the wall clock (from 7.1 on), and
    after one every process would be another. The kernel's own stays what it was. Raises OSError.
    """
    if not 0 < pid < 1 << 31:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    which = (ctypes.c_int * 4)(1, 14, 1, pid)  # <sys/sysctl.h>: CTL_KERN, KERN_PROC, KERN_PROC_PID
    buffer = ctypes.create_string_buffer(4096)
    size = ctypes.c_size_t(len(buffer))
    if libc.sysctl(which, 4, buffer, ctypes.byref(size), None, 0) != 0:
        if ctypes.get_errno() == errno.ESRCH:
            return None
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return _identity(pid, buffer.raw[: size.value])


def _identity(pid: int, kinfo: bytes) -> ProcessIdentity | None:
    # A struct extern_proc (<sys/proc.h>) of 64-bit systems is first in a struct kinfo_proc: p_starttime at byte 0,
    # p_stat at 36, p_pid at 40. No bytes at all: there is no such process.
    if not kinfo:
        return None
    seconds, microseconds, status, found = struct.unpack_from("=qi24xb3xi", kinfo)
    if found != pid:
        raise OSError(errno.EPROTO, f"sysctl tells of process {found} where {pid} was asked for")
    zombie = 5  # SZOMB, as psutil names it STATUS_ZOMBIE
    return None if status == zombie else ProcessIdentity(pid, f"{seconds}.{microseconds:06}")


async def ended(identity: ProcessIdentity) -> None:
    """Return once that very process has ended: kqueue(2), EVFILT_PROC. Raises OSError where no descriptor is left.

    Where it may not be watched (another user's) it looks every second.
    """
    queue = select.kqueue()
    try:
        exits = select.kevent(identity.pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        try:
            queue.control([exits], 0, 0)
        except ProcessLookupError:
            return
        except OSError as error:
            await ended_by_looking(identity, error)
            return
        # Only now: a successor that got the pid before is what the kernel would tell of.
        if is_alive(identity):
            await anyio.wait_readable(queue.fileno())
    finally:
        queue.close()


def program(pid: int) -> str:
    """Return the name of the program that runs as `pid` now; '' if it is gone or not ours to look at."""
    with contextlib.suppress(psutil.Error):
        return str(psutil.Process(pid).name())
    return ""


def boot_id() -> str:
    """Return the sysctl kern.bootsessionuuid; '' where it cannot be read."""
    buffer = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(buffer))
    failed = ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", buffer, ctypes.byref(size), None, 0)
    return "" if failed else buffer.value.decode("ascii", "replace")


def peer(sock: socket.socket) -> Peer:
    """Ask <sys/un.h>'s SOL_LOCAL (0) for LOCAL_PEERCRED (1, a struct xucred) and LOCAL_PEERPID (2). Raises OSError."""
    _, uid, _, gid = struct.unpack_from("=IIh2xI", sock.getsockopt(0, 1, 76))
    (pid,) = struct.unpack("i", sock.getsockopt(0, 2, 4))
    return Peer(pid, uid, gid)


def on_mains() -> bool | None:
    """Return whether the machine runs on mains power; None where it has no battery."""
    battery = psutil.sensors_battery()
    return None if battery is None else bool(battery.power_plugged)


class DirectoryEvents:
    """Changes in directories by kqueue(2), EVFILT_VNODE: which directory, not which name.

    A file's own change in place (a touch of one that is there) is not told, only its directory's.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self._queue = select.kqueue()
        self.fd = self._queue.fileno()
        self._by_fd = {os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC): path for path in directories}
        wanted = select.KQ_NOTE_WRITE | select.KQ_NOTE_DELETE | select.KQ_NOTE_RENAME | select.KQ_NOTE_ATTRIB
        flags = select.KQ_EV_ADD | select.KQ_EV_CLEAR
        self._queue.control([select.kevent(fd, select.KQ_FILTER_VNODE, flags, wanted) for fd in self._by_fd], 0, 0)

    def read(self) -> set[tuple[Path, str]]:
        """Return what has come, without waiting."""
        return {(self._by_fd[event.ident], LOOK_AGAIN) for event in self._queue.control(None, 16, 0)}

    def close(self) -> None:
        """Give the descriptors back."""
        self._queue.close()
        for fd in self._by_fd:
            os.close(fd)


class WallTimer:
    """A timer on the wall clock by kqueue(2), EVFILT_TIMER with NOTE_ABSOLUTE. Steps of the clock are not told."""

    _NANOSECONDS, _ABSOLUTE = 0x4, 0x8  # <sys/event.h>; the select module does not name them

    def __init__(self) -> None:
        self._queue = select.kqueue()
        self.fd = self._queue.fileno()

    def arm(self, at_s: float) -> Ring | None:
        """Set it anew: adding the same ident again replaces the old one."""
        flags = select.KQ_EV_ADD | select.KQ_EV_ONESHOT
        notes = self._NANOSECONDS | self._ABSOLUTE
        event = select.kevent(1, select.KQ_FILTER_TIMER, flags, notes, max(1, math.ceil(at_s * 1e9)))
        self._queue.control([event], 0, 0)
        return None

    def read(self) -> Ring | None:
        """Return what has come, without waiting."""
        return Ring.DUE if self._queue.control(None, 1, 0) else None

    def close(self) -> None:
        """Give the descriptor back."""
        self._queue.close()
