"""Events left for a daemon that is down, as files in `wake.d/`: durable before the sender is told so."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any

from torpor import wire
from torpor.errors import BadHome, NotPermitted, Unreachable


def drop(home: str, method: str, params: dict[str, Any]) -> str:
    """Leave a request in `wake.d/` and return the path of its file. When this returns, it survives a power cut.

    The file is written and synced in `tmp/`, then renamed, so that `wake.d/` never holds half a request; `tmp/` lies
    beside it, because a `wake.d/` that is never empty would start the daemon for ever. Names sort by time.
    Raises NotPermitted, BadHome, or Unreachable where the disk does not take it.
    """
    name = f"{time.time_ns():020d}-{os.getpid()}-{os.urandom(4).hex()}.json"
    line = json.dumps({"method": method, "params": params}, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    spool, tmp = os.path.join(home, wire.SPOOL_NAME), os.path.join(home, wire.SPOOL_TMP_NAME)
    try:
        make_home(home)
        _made(spool)
        _made(tmp)
        _write(os.path.join(tmp, name), line)
        os.rename(os.path.join(tmp, name), os.path.join(spool, name))
        _sync(spool)
        _sync(home)  # `wake.d/` itself may be new
    except PermissionError as error:
        raise NotPermitted(f"may not leave the event in {spool}: {error.strerror} at {error.filename}") from error
    except OSError as error:
        raise Unreachable(f"torpor is down, and {spool} does not take the event: {error.strerror}") from error
    return os.path.join(spool, name)


def make_home(home: str) -> None:
    """Make the home where it is missing. Raises BadHome where it is not a directory of one's own.

    The daemon looks harder (`torpord.host.home`); here it is about not writing into somebody else's directory.
    """
    above = os.path.dirname(home)
    os.makedirs(above, exist_ok=True)
    if _made(home):
        with contextlib.suppress(PermissionError):  # who may write into a folder may yet not read, nor so sync it
            _sync(above)
    found = os.lstat(home)
    if os.path.islink(home):
        wrong = f"is a symlink: name the place itself, TORPOR_HOME={os.path.realpath(home)}"
    elif not os.path.isdir(home):
        wrong = "is not a directory: move it away, or choose another home with TORPOR_HOME"
    elif found.st_uid != os.geteuid():
        wrong = f"belongs to uid {found.st_uid}: ask as that user, or choose another home with TORPOR_HOME"
    elif found.st_mode & 0o077:
        wrong = f"has mode {found.st_mode & 0o7777:04o}, it must be its owner's alone: chmod 700 {home}"
    else:
        return
    raise BadHome(f"home {home} {wrong}")


def _made(folder: str) -> bool:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return False
    return True


def _write(path: str, line: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(line)
            file.flush()
            os.fsync(fd)
    except OSError:
        os.unlink(path)
        raise


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
