"""Whether a daemon is up, and what the last one left behind: found out without connecting, so that looking never wakes.

The kernel's lock on `torpor.lock` decides; `lifecycle_state.json` tells the rest, for people.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from typing import Any

from torpor import home as homes
from torpor import wire
from torpor.errors import BadHome, NotPermitted, Unreachable

_NOTHING_TO_OPEN_WITH = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_STATE_BYTES = 1024 * 1024  # the file is some hundred bytes; what is longer is none of ours


def is_up(home: str) -> bool:
    """Say whether a daemon holds the lock of `home`: it runs, or is on its way up or down.

    The lock is tried shared and for an instant, as the daemon's own second of patience allows for; the file is never
    made. Raises NotPermitted where the lock may not even be read, BadHome where something else lies in its place,
    Unreachable where this process can open nothing at all.
    """
    path = os.path.join(home, wire.LOCK_NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise NotPermitted(f"may not look at {path} ({error.strerror}): ask as the home's owner") from error
    except OSError as error:
        if error.errno in _NOTHING_TO_OPEN_WITH:
            message = f"cannot look at {path} ({error.strerror}): close files, or allow more (ulimit -n)"
            raise Unreachable(message) from error
        # A link that leads to itself, a socket: no daemon of ours has it, and none can start.
        raise BadHome(f"{path} cannot be looked at ({error.strerror}): remove what lies there") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def noted(path: str, most_bytes: int) -> bytes:
    """Return what a small file begins with, and wait for nobody. Raises OSError, also for what is no regular file.

    Somebody may have put a pipe in its place, and who looks may be root.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        return os.read(fd, most_bytes)
    finally:
        os.close(fd)


def last_known(home: str) -> dict[str, Any] | None:
    """Return what `lifecycle_state.json` says, or None where it is missing or not readable as JSON.

    The file is derived from the daemon's store and written anew by it: a broken one is no reason to stop.
    """
    try:
        found = json.loads(noted(os.path.join(home, wire.STATE_NAME), _STATE_BYTES))
    except (OSError, ValueError, RecursionError):  # the last where it nests deeper than Python counts
        return None
    return found if isinstance(found, dict) else None


def is_leaving(known: dict[str, Any] | None, parted: object) -> bool:
    """Say whether the daemon that holds the lock is on its way down: it is in HIBERNATION, or has said so itself.

    `known` is what its state file says; `parted` the pid of one that has said that it goes, None where none has. One
    that only rehearses (`shadow_run`) is in HIBERNATION and stays.
    """
    if known is None or known.get("shadow_run"):
        return False
    return known.get("current_state") == "HIBERNATION" or (parted is not None and known.get("pid") == parted)


def was_stopped(home: str, known: dict[str, Any] | None) -> bool:
    """Say whether `torpor stop` was the last word of a daemon that is not up: then only `torpor start` starts it again.

    The file `stopped` says so; of a home that could not take it, and of an older version's, the state file does.
    `known` is read after `is_up` said no. Its pid says nothing here: both tell of the stop as soon as that is durable,
    and one that is killed on its way out leaves them so.
    """
    said = os.path.exists(os.path.join(home, wire.STOPPED_NAME))
    return said or (known is not None and known.get("reason") == "stop")


def forget_stop(home: str) -> None:
    """Take the word of `torpor stop` back, so that the service manager opens its door again. Raises OSError."""
    try:
        os.unlink(os.path.join(home, wire.STOPPED_NAME))
    except (FileNotFoundError, NotADirectoryError):
        return


def state_when_down(home: str) -> str | None:
    """Return the state the daemon of `home` went down in; None while one is up, and where one died without a word."""
    if is_up(home):
        return None
    known = last_known(home)
    if known is None or (known.get("pid") is not None and not was_stopped(home, known)):
        return None
    state = known.get("current_state")
    return state if isinstance(state, str) else None


def mark(home: str) -> tuple[int, int, int]:
    """Return a value that changes when `lifecycle_state.json` is replaced or written: cheap enough to be polled."""
    try:
        found = os.stat(os.path.join(home, wire.STATE_NAME))
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def told_down(home: str, known: dict[str, Any] | None) -> str:
    """Say in one line that the daemon is down, how it went, and what starts it."""
    start = homes.command("torpor start", home)
    state, since = (known or {}).get("current_state", "unknown"), (known or {}).get("since_ts", "an unknown time")
    if was_stopped(home, known):
        found = f" in {state}" if known else ""
        return f"down: stopped by `torpor stop`{found}: `{start}` starts it again"
    if known is None:
        return f"down: no daemon has left its state in {home}: `{start}` starts one"
    if known.get("pid") is not None:
        return f"down: it died in {state} without a word: `{start}` or the next event starts it again"
    return f"down: {state} since {since}: `{homes.command('torpor wake', home)}` or the next event starts it again"
