"""One daemon a home: an exclusive flock on `torpor.lock`, held for the process's whole life.

The kernel's lock decides, and ends with the process however that ends. What is written in the file is a hint for
people: a pid could be anybody's by the time it is read. The file is never unlinked: of two daemons one could then lock
the old inode and one the new.

In a home that cannot be written the lock can yet be held, by a descriptor that only reads; where the file is missing
there, by nobody. That is enough for a process that writes nothing (safe mode), and for none that does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import stat
from typing import TYPE_CHECKING, Self

import anyio
import orjson

from torpor import wire
from torpord.host import small_file
from torpord.host.faults import MACHINE, NOT_THERE, UNWRITABLE, SetupError

if TYPE_CHECKING:
    from pathlib import Path

_TRY_EVERY_S = 0.05
_MAY_YET_BE_READ = UNWRITABLE | {errno.EACCES, errno.EPERM}


class HomeLock:
    """The held lock of one home. Closing its descriptor, also by the process's end, is what releases it.

    `unwritable` says why this one is for readers alone: the home cannot be written. "" where it can.
    """

    def __init__(self, path: Path, fd: int, unwritable: str = "") -> None:
        self.path = path
        self.unwritable = unwritable
        self._fd = fd

    @classmethod
    async def take(
        cls, home: Path, holder: dict[str, object], patience_s: float = 1.0, *, or_read_only: bool = False
    ) -> Self:
        """Take the lock of `home` and write `holder` into it.

        Tries for `patience_s`: somebody who only looks whether a daemon is there may hold it for an instant.
        `or_read_only`: where the home cannot be written, a lock with `unwritable` is better than none.
        Raises SetupError: 75 where another daemon holds it, or the disk or the machine fails; 77 or 78 where the file
        cannot be used.
        """
        path = home / wire.LOCK_NAME
        tries = max(1, round(patience_s / _TRY_EVERY_S))
        for number in range(tries):
            fd, unwritable = _open(path, or_read_only=or_read_only)
            try:
                if fd < 0 or _locked(fd, path):
                    lock = cls(path, fd, unwritable)
                    lock.update(holder)
                    return lock
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
            if number + 1 < tries:
                await anyio.sleep(_TRY_EVERY_S)
        raise SetupError(
            75,
            f"home {home} is in use by {_told_holder(path)}: torpor stop --home {shlex.quote(str(home))},"
            " or give this daemon a home of its own with TORPOR_HOME",
        )

    def update(self, holder: dict[str, object]) -> None:
        """Replace the note about the holder. A reader in between sees an empty note."""
        if self.unwritable or self._fd < 0:
            return
        note = orjson.dumps(holder, option=orjson.OPT_APPEND_NEWLINE)
        # A hint for people: a full disk must not keep a daemon from starting that has the lock.
        with contextlib.suppress(OSError):
            if os.fstat(self._fd).st_nlink > 1:
                return  # of two names one was made elsewhere (a hard link): what it says there is not ours to replace
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, note, 0)

    def is_still_ours(self) -> bool:
        """Return whether the path still leads to the file that is locked: the home is there, and is this one.

        A path that cannot be looked at now (a disk that fails) tells nothing, and does as it did when it was last seen.
        """
        if self._fd < 0:
            return False
        try:
            return os.path.samestat(os.fstat(self._fd), os.lstat(self.path))
        except OSError as error:
            return error.errno not in NOT_THERE

    def release(self) -> None:
        """Let the next daemon in. The file stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(path: Path, *, or_read_only: bool) -> tuple[int, str]:
    """Return a descriptor, and why it only reads; -1 for a file that is missing where none can be made."""
    flags, unwritable = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, ""
    try:
        try:
            fd = os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            if not or_read_only or error.errno not in _MAY_YET_BE_READ:
                raise
            unwritable = os.strerror(error.errno)
            fd = os.open(path, flags | os.O_RDONLY)
    except FileNotFoundError:
        return -1, unwritable
    except OSError as error:
        if error.errno in MACHINE:
            raise _machines(path, error) from error
        code = 77 if isinstance(error, PermissionError) else 78
        what = "is a symlink" if error.errno == errno.ELOOP else f"cannot be opened ({error.strerror})"
        raise SetupError(code, f"lock {path} {what}: rm {shlex.quote(str(path))} while no daemon runs") from error
    try:
        mode = os.fstat(fd).st_mode
    except OSError as error:
        os.close(fd)
        raise _machines(path, error) from error
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise SetupError(78, f"lock {path} is not a file: rm {shlex.quote(str(path))}")
    return fd, unwritable


def _machines(path: Path, error: OSError) -> SetupError:
    """Tell what says nothing about the lock: a disk that fails, or a machine that is short of something."""
    return SetupError(75, f"lock {path} cannot be looked at now ({error.strerror}): mend that, and start again")


def _locked(fd: int, path: Path) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise SetupError(
            78, f"lock {path}: this file system locks nothing ({error.strerror}): choose a local home with TORPOR_HOME"
        ) from error
    # Somebody may have replaced the file between the open and the lock: then this lock guards nothing.
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _machines(path, error) from error


def _told_holder(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError):  # it is only a note; without one there is less to say
        note = orjson.loads(small_file.read(path))
        if isinstance(note, dict) and "pid" in note:
            more = ", ".join(f"{name} {note[name]}" for name in ("version", "supervisor") if note.get(name))
            return f"torpord pid {note['pid']}" + (f" ({more})" if more else "")
    return "a process that left no name"
