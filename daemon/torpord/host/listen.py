"""The listening socket: one of our own in the home, or one that the service manager holds and hands over.

Accepting is done by hand, counted at the accept: asyncio's own Unix server accepts connections that nobody will answer
when it is closed at the wrong moment. It also unlinks the path by itself from Python 3.13; these sockets never meet it.

No inherited listener is ever shut down: that would lose its backlog, and fail its unit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torpor.home import path_limit
from torpord.host.faults import NOT_THERE, SetupError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

# The kernel caps it at net.core.somaxconn (4,096 on current Linux, 128 on macOS): as many as may wait while we start.
BACKLOG = 4096
FIRST_FD = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)
HANDED_OVER = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass(slots=True)
class Listener:
    """A non-blocking listening Unix stream socket.

    `inode` is (st_dev, st_ino) of the path when the listener was made, None where the path was not there. An inode
    number can be reused at once after an unlink, so it says something only while this socket is open.
    """

    sock: socket.socket
    path: str
    is_inherited: bool
    inode: tuple[int, int] | None

    def is_still_ours(self) -> bool:
        """Return whether the path still leads to this socket. Ask while it is open."""
        return self.inode is not None and self.sock.fileno() >= 0 and _inode(self.path) == self.inode

    def is_lost(self) -> bool:
        """Return whether the path is known to lead elsewhere, or nowhere. Ask while it is open.

        One that cannot be looked at now (a disk that fails) may yet be found by others.
        """
        if self.inode is None or self.sock.fileno() < 0:
            return True
        try:
            found = os.lstat(self.path)
        except OSError as error:
            return error.errno in NOT_THERE
        return (found.st_dev, found.st_ino) != self.inode

    def unlink(self) -> bool:
        """Remove the path if it is our own and still leads here: True when it is gone by our hand.

        One that the disk does not let go stays as a dead daemon's leftover: nobody listens there, and the next own
        socket clears it away.
        """
        if self.is_inherited or not self.is_still_ours():
            return False
        try:
            Path(self.path).unlink()
        except OSError:  # also one that has gone in this very instant by another hand: what was wanted
            return False
        return True

    def shut(self) -> None:
        """Let nobody in line any more; who stands in it can still be accepted. For a socket of our own, once unlinked.

        Who has found the path while it was there may get in line at any time after it is gone, unless this is done:
        behind the last look, and then the close would be all the answer there is. (Linux; elsewhere it does nothing.)
        """
        if not self.is_inherited:
            with contextlib.suppress(OSError):  # ENOTCONN where a listener cannot be shut
                self.sock.shutdown(socket.SHUT_RD)

    def accept(self) -> socket.socket | None:
        """Return the next connection, non-blocking and close-on-exec, or None when nobody waits.

        Raises OSError, among others EMFILE and ENFILE: the connection then stays in the backlog, and the listener
        stays readable; the caller must pause instead of asking again at once.
        """
        while True:
            try:
                connection, _ = self.sock.accept()
            except BlockingIOError:
                return None
            except ConnectionAbortedError:
                continue  # it gave up while it waited: nobody to answer
            connection.settimeout(0)
            return connection

    def close(self) -> None:
        """Close this process's descriptor. An inherited socket lives on in the service manager, with its backlog."""
        self.sock.close()


def own(path: str) -> Listener:
    """Bind a socket of our own, mode 0600, in place of a dead daemon's leftover but of nothing else.

    Take the home's lock first: it is what keeps two daemons from clearing away each other's socket here.
    Raises SetupError: 75 where somebody listens there, 77 where the directory forbids it, 78 for a path too long or
    taken by something that is no such socket.
    """
    length = len(os.fsencode(path))
    if length > path_limit():
        raise SetupError(
            78,
            f"socket path {path} has {length} bytes, this system takes {path_limit()}:"
            " set TORPOR_SOCKET to a shorter one",
        )
    _clear_leftover(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # close-on-exec, as all of Python's (PEP 446)
    # The mode must be right from the first instant, and only the umask can do that on both systems. It is the whole
    # process's: another thread's file made in this instant is a little more private than meant.
    umask = os.umask(0o177)
    try:
        sock.bind(path)
    except OSError as error:
        sock.close()
        code = {errno.EADDRINUSE: 75, errno.EACCES: 77, errno.EPERM: 77}.get(error.errno or 0, 78)
        raise SetupError(
            code, f"socket {path} cannot be made ({error.strerror}): mend its directory, or set TORPOR_SOCKET"
        ) from error
    finally:
        os.umask(umask)
    inode = _inode(path)
    if inode is None:  # without it the first look would take the socket for one that somebody took away
        sock.close()
        raise SetupError(
            75, f"socket {path} cannot be looked at just after it was made: mend its disk, and start again"
        )
    sock.listen(BACKLOG)
    sock.settimeout(0)
    return Listener(sock, path, is_inherited=False, inode=inode)


def inherited(environ: MutableMapping[str, str], pid: int) -> Listener | None:
    """Return the socket that systemd (sd_listen_fds(3)) or launchd (launch_activate_socket(3)) holds for us.

    None where there is none. Removes LISTEN_* from `environ`, so that no child takes them for its own.
    Raises SetupError 78 where what was handed over is not exactly one listening Unix stream socket with a path.
    """
    handed = {name: environ.pop(name, "") for name in HANDED_OVER}
    if sys.platform == "darwin":
        from torpord.host import macos  # noqa: PLC0415 - on macOS alone

        fds = macos.sockets_of_launchd("Listener")
    elif handed["LISTEN_PID"] != str(pid):
        return None  # none, or meant for the process that started us
    else:
        count = handed["LISTEN_FDS"]
        fds = list(range(FIRST_FD, FIRST_FD + (int(count) if count.isdecimal() else 0)))
    if not fds:
        return None
    if len(fds) != 1:
        names = handed["LISTEN_FDNAMES"] or "no names"
        raise SetupError(
            78, f"the service manager handed over {len(fds)} sockets ({names}), torpord takes one: one ListenStream="
        )
    return _adopted(fds[0])


def _adopted(fd: int) -> Listener:
    try:
        os.set_inheritable(fd, False)  # noqa: FBT003 - the system's own signature
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise SetupError(
            78, f"the service manager handed over descriptor {fd}, which is no socket ({error.strerror})"
        ) from error
    found = _unfit(sock)
    if found:
        sock.detach()  # the service manager's, and the next look finds it as it was
        raise SetupError(
            78, f"the service manager handed over {found}, torpord takes a listening Unix stream socket: ListenStream="
        )
    sock.settimeout(0)
    path = os.fsdecode(sock.getsockname())
    return Listener(sock, path, is_inherited=True, inode=_inode(path))


def _unfit(sock: socket.socket) -> str:
    if sock.family != socket.AF_UNIX:
        return f"a socket of family {sock.family.name}"
    if sock.type != socket.SOCK_STREAM:
        return f"a Unix socket of type {sock.type.name}"
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "a Unix socket that does not listen"
    name = sock.getsockname()
    if not name or name[:1] in (b"\0", "\0"):
        return "a Unix socket without a path"
    return ""


def _clear_leftover(path: str) -> None:
    try:
        found = os.lstat(path)
    except OSError:
        return  # nothing there; what else stands in the way, bind tells better
    if not stat.S_ISSOCK(found.st_mode):
        raise SetupError(
            78, f"socket path {path} is taken by something else, left untouched: mv {shlex.quote(path)} elsewhere"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        outcome = probe.connect_ex(path)
    if outcome in (0, errno.EAGAIN, errno.EINPROGRESS):  # EAGAIN: alive, with a full backlog
        raise SetupError(
            75, f"socket {path} is served by another process: stop it, or set TORPOR_SOCKET to a path of this daemon's"
        )
    if outcome in (errno.EACCES, errno.EPERM):
        raise SetupError(77, f"socket {path} is another user's, left untouched: set TORPOR_SOCKET to another path")
    if outcome == errno.ENOENT:
        return  # gone meanwhile
    if outcome != errno.ECONNREFUSED:
        raise SetupError(
            78, f"socket {path} is no stream socket ({os.strerror(outcome)}), left untouched: set TORPOR_SOCKET"
        )
    try:
        Path(path).unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SetupError(
            77, f"socket {path} is a dead daemon's and cannot be removed ({error.strerror}): rm {shlex.quote(path)}"
        ) from error


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
