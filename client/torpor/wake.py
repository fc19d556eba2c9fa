"""Starting a daemon where no service manager does: detached, with a clean environment, and one however many ask.

`torpor.spawn.lock` is held from the decision to spawn until the daemon accepts. The lock of the daemon itself,
`torpor.lock`, still decides: one that finds it taken ends with 75, and then there is another to connect to. One whose
disk or machine fails it now ends with 75, too: the next one may find it mended.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from torpor import presence, spool, wire
from torpor.errors import BadHome, NotPermitted, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torpor.deadline import Deadline
    from torpor.talk import Place

# -P: the working directory is no place to import from. The daemon is the one installed beside this client.
COMMAND = (sys.executable, "-P", "-m", "torpord", "run", "--spawned", "--home")
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_KEPT = ("HOME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "TORPOR_SOCKET")
_LOOK_EVERY_S = 0.01
_QUEUE_EVERY_S = 0.02
_TAIL_BYTES = 16 * 1024
_TAIL_LINES = 3
_SOMETHING_ELSE = (errno.EISDIR, errno.ENXIO)  # a folder; a socket, or a pipe without a reader
_MOST_LOG_BYTES = 8 * 1024 * 1024


def start(place: Place, deadline: Deadline) -> str:
    """Start a daemon for `place`, unless somebody else is at it; return when it is worth connecting again.

    Returns "", or the last words of one that ended with 75, try again. Raises NotPermitted, BadHome, or Unreachable
    with its last words, where it ended otherwise; the built-in TimeoutError when the deadline passes. The daemon goes
    on starting then.
    """
    try:
        spool.make_home(place.home)
        with _first_in_line(place, deadline) as first:
            if first and not presence.is_up(place.home):
                return _spawn(place, deadline)
    except TimeoutError:
        raise
    except PermissionError as error:
        raise NotPermitted(f"may not start torpord in {place.home}: {error.strerror} at {error.filename}") from error
    except OSError as error:
        raise Unreachable(f"cannot start torpord in {place.home}: {_obstacle(error)}") from error
    return ""


def _obstacle(error: OSError) -> str:
    """Say which file is in the way, and what to do about it."""
    said, path = error.strerror or str(error), error.filename
    if path is None:
        return said
    if error.errno == errno.ELOOP and os.path.islink(path):
        return f"{path} is a symlink, which is not followed here: remove it"
    if error.errno in _SOMETHING_ELSE:
        return f"{path} is no file ({said}): remove what lies there"
    return f"{said} at {path}"


def accepts(path: str) -> bool:
    """Say whether something listens at `path`; what else is wrong there is for the one who connects to find out."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
    return True


@contextlib.contextmanager
def _first_in_line(place: Place, deadline: Deadline) -> Iterator[bool]:
    """Wait for the spawn lock, and say whether it was got while there was still nobody listening."""
    path = os.path.join(place.home, wire.SPAWN_LOCK_NAME)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            if accepts(place.socket):
                yield False
                return
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                deadline.sleep(_QUEUE_EVERY_S)
            else:
                yield not accepts(place.socket)
                return
    finally:
        os.close(fd)


def _spawn(place: Place, deadline: Deadline) -> str:
    if not COMMAND[0]:
        raise Unreachable("this Python does not know its own executable: start torpord by hand, `torpord run`")
    log_path = os.path.join(place.home, wire.LOG_NAME)
    _turn_over(log_path)
    # O_NONBLOCK: at a pipe in its place the open would wait for a reader for ever.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    log = os.open(log_path, flags, 0o600)
    try:
        begin = os.fstat(log).st_size
        child = subprocess.Popen(
            [*COMMAND, place.home],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(place),
            start_new_session=True,
            umask=0o022,  # a service manager's: not that of whoever came first
        )
    finally:
        os.close(log)
    ended = threading.Event()
    # Somebody has to collect the child when it ends, however long after: a zombie would keep its pid.
    threading.Thread(target=_collect, args=(child, ended), name="torpord-collector", daemon=True).start()
    while not accepts(place.socket):
        if ended.wait(_LOOK_EVERY_S):
            return _judge(child.returncode, log_path, begin)
        deadline.left_s()
    return ""


def _turn_over(log_path: str) -> None:
    """Put a log aside that has become large. One older log is kept: nobody else looks after it here."""
    with contextlib.suppress(OSError):  # there is none yet; or it may not be moved, and then it grows
        if os.stat(log_path).st_size > _MOST_LOG_BYTES:
            os.replace(log_path, f"{log_path}.1")


def _collect(child: subprocess.Popen[bytes], ended: threading.Event) -> None:
    child.wait()
    ended.set()


def _judge(status: int, log_path: str, begin: int) -> str:
    """Return where a daemon's end means that connecting again is right: with 75 its last words; 0, it lived."""
    if status == wire.EX_OK:
        return ""
    if status == wire.EX_TEMPFAIL:
        return _last_words(log_path, begin)
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    told = f"torpord ended {how} while starting: {_last_words(log_path, begin)}"
    if status == wire.EX_NOPERM:
        raise NotPermitted(told)
    raise BadHome(told) if status == wire.EX_CONFIG else Unreachable(told)


def _last_words(log_path: str, begin: int) -> str:
    with open(log_path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(begin, end - _TAIL_BYTES))
        lines = file.read(_TAIL_BYTES).decode(errors="replace").splitlines()
    words = [line.strip() for line in lines if line.strip()][-_TAIL_LINES:]
    return " | ".join(words) if words else f"it wrote nothing to {log_path} (is the disk full?)"


def _environment(place: Place) -> dict[str, str]:
    """Return what a daemon may know of whoever came first: the machine's settings, none of the caller's."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    if place.socket == os.path.join(place.home, wire.SOCKET_NAME):
        kept.pop("TORPOR_SOCKET", None)
    elif "TORPOR_SOCKET" in kept:
        kept["TORPOR_SOCKET"] = place.socket  # absolute: the daemon's working directory is another
    return {"PATH": _PATH, **kept}
