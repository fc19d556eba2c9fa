"""The one directory that holds everything of one daemon: made where it is missing, refused where it is unsafe.

`client/torpor/home.py` says where it lies; here it is looked at with the daemon's eyes, before the lock is taken.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import shlex
import stat
import sys
from collections.abc import Iterator

from torpor import home as homes
from torpor import wire
from torpord.host.faults import MACHINE, UNWRITABLE, SetupError

# File systems of other machines: flock and the store's shared memory are not kept between two machines, so two daemons
# could own one home. FUSE is judged by its name: fuse-overlayfs and gocryptfs are as local as the disk below them.
# Not a line each, it would be a page.
# fmt: off
_REMOTE = frozenset((
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fuse.ceph", "fuse.ceph-fuse",
    "fuse.curlftpfs", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.moosefs",
    "fuse.rclone", "fuse.s3fs", "fuse.seaweedfs", "fuse.sshfs", "fuse.vmhgfs-fuse", "gfs2", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs",
    "vmhgfs"
))
# fmt: on
# A writer renames its file at once; a day is for one that was suspended within.
LEFT_AFTER_S = 86_400.0
_INSIDE = (wire.SPOOL_NAME, wire.SPOOL_TMP_NAME, wire.REJECTED_NAME)


def prepare(path: pathlib.Path) -> None:
    """Make the home, or find it fit for use.

    Raises SetupError: 75 where the disk or the machine fails, or there is no room, 77 where it is another user's or may
    not be made, 78 where it is not a private local directory.
    """
    _refuse_unspeakable(path)
    with _told(path):
        _make_above(path)
        if _made(path):
            # Only for a directory of our own making: a umask of 0777 must not leave a home nobody can enter.
            path.chmod(0o700)
            _sync_above(path)
        _refuse(path)


def furnish(path: pathlib.Path) -> None:
    """Make the folders in a home, or find them fit for use. Raises SetupError as `prepare` does."""
    with _told(path):
        for name in _INSIDE:
            inner = path / name
            _made(inner)
            _refuse_unsafe(inner, f"folder of home {path}:")


@contextlib.contextmanager
def _told(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise SetupError(
            77,
            f"home {path}: {error.strerror} at {error.filename}: give {_me()} access to it,"
            " or choose another home with TORPOR_HOME",
        ) from error
    except OSError as error:
        if error.errno in MACHINE:
            raise _machines(path, error) from error
        raise SetupError(
            75 if error.errno in UNWRITABLE else 78,
            f"home {path}: {error.strerror} at {error.filename}: mend that, or choose another home with TORPOR_HOME",
        ) from error


def sweep(path: pathlib.Path, wall_s: float) -> list[str]:
    """Remove what writers left in `tmp/` and never came back for, and return the names. Hold the home's lock.

    Only files that are older than a day, and not from the future: folders there are the workers' own. One that cannot
    be removed stays: it is in nobody's way.
    """
    gone: list[str] = []
    found_there: list[pathlib.Path] = []
    with contextlib.suppress(OSError):  # what cannot be listed is told by whoever needs it
        refuse_link(path / wire.SPOOL_TMP_NAME)
        found_there = sorted((path / wire.SPOOL_TMP_NAME).iterdir())
    for left in found_there:
        with contextlib.suppress(OSError):
            found = left.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_mtime < wall_s - LEFT_AFTER_S:
                left.unlink()
                gone.append(left.name)
    return gone


def inspect(path: pathlib.Path) -> bool:
    """Check a home as `prepare` does, and change nothing. Returns whether it is there. Raises SetupError likewise."""
    _refuse_unspeakable(path)
    try:
        _refuse(path)
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise SetupError(77, f"home {path}: {error.strerror} at {error.filename}: give {_me()} access to it") from error
    except OSError as error:
        if error.errno in MACHINE:
            raise _machines(path, error) from error
        raise SetupError(78, f"home {path}: {error.strerror} at {error.filename}: mend that") from error
    return True


def _machines(path: pathlib.Path, error: OSError) -> SetupError:
    """Tell what says nothing about the home."""
    where = f" at {error.filename}" if error.filename else ""
    return SetupError(
        75,
        f"home {path} cannot be looked at now: {error.strerror}{where}: the disk fails, or the machine is short of"
        " something, and nothing is wrong with the home: mend that, and start again",
    )


def refuse_link(folder: pathlib.Path) -> None:
    """Raise OSError where a folder of the home is a symlink by now: at a start `furnish` refuses it.

    Not even one's own is followed: what it leads to (the home itself, say) was not meant for the daemon.
    """
    if stat.S_ISLNK(folder.lstat().st_mode):
        raise OSError(errno.ELOOP, f"{folder.name} is a symlink", str(folder))


def may_be_there(path: pathlib.Path) -> bool:
    """Return whether there is a file, or none can say: one that cannot be looked at now is not gone."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _refuse_unspeakable(path: pathlib.Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise SetupError(
            78, f"home {os.fsencode(path)!r} is not UTF-8, so no JSON can name it: choose another with TORPOR_HOME"
        ) from error


def _refuse(path: pathlib.Path) -> None:
    _refuse_unsafe(path, "home")
    _refuse_open(path)
    _refuse_remote(path)


def _make_above(path: pathlib.Path) -> None:
    """Make the folders above the home that are missing; all that is in it has to outlast a power cut."""
    missing = [each for each in path.parents if not each.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    for each in reversed(missing):
        _sync_above(each)


def _sync_above(path: pathlib.Path) -> None:
    """Make the name of a new folder durable: what is synced in it does not do that everywhere."""
    with contextlib.suppress(PermissionError):  # who may write into a folder may yet not read, nor so sync it
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _made(path: pathlib.Path) -> bool:
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True


def _refuse_unsafe(path: pathlib.Path, what: str) -> None:
    found = path.lstat()
    quoted = shlex.quote(str(path))
    if stat.S_ISLNK(found.st_mode):
        target = path.readlink()
        raise SetupError(
            78,
            f"{what} {path} is a symlink to {target}, and whoever may change it would choose the daemon's store:"
            f" rm {quoted}, or name the place itself: TORPOR_HOME={shlex.quote(str(target))}",
        )
    if not stat.S_ISDIR(found.st_mode):
        raise SetupError(78, f"{what} {path} is not a directory: mv {quoted} {shlex.quote(f'{path}.old')}")
    if found.st_uid != os.geteuid():
        raise SetupError(
            77,
            f"{what} {path} belongs to uid {found.st_uid}, the daemon runs as {_me()}:"
            f" chown -R {os.geteuid()} {quoted}, or choose another home with TORPOR_HOME",
        )


def _refuse_open(path: pathlib.Path) -> None:
    mode = stat.S_IMODE(path.lstat().st_mode)
    if mode & 0o077 or mode & 0o700 != 0o700:
        raise SetupError(
            78, f"home {path} has mode {mode:04o}, it must be its owner's alone: chmod 700 {shlex.quote(str(path))}"
        )


def _refuse_remote(path: pathlib.Path) -> None:
    kind = remote_kind(path)
    if kind:
        raise SetupError(
            78,
            f"home {path} is on a file system of another machine ({kind}), where locks do not hold:"
            " TORPOR_HOME=/a/local/directory",
        )


def remote_kind(path: pathlib.Path, mountinfo: pathlib.Path = pathlib.Path("/proc/self/mountinfo")) -> str:
    """Return the type of the file system that holds `path` if that is another machine's, else ''.

    On Linux proc(5)'s mountinfo is read: its names tell more than statfs, to which all of FUSE is one number. On macOS
    statfs's MNT_LOCAL decides (not run on the machines this is developed on). Elsewhere nothing is refused.
    """
    if sys.platform == "darwin":
        from torpord.host import macos  # noqa: PLC0415 - on macOS alone

        return "" if macos.is_local(path) else "not MNT_LOCAL"
    return _remote_kind_by_mountinfo(path, mountinfo)


def _remote_kind_by_mountinfo(path: pathlib.Path, mountinfo: pathlib.Path) -> str:
    try:
        lines = mountinfo.read_text(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return ""  # no /proc, nothing to judge by
    real, best, kind = os.path.realpath(path), "", ""
    for line in lines:
        fields = line.split(" ")
        point = _unescaped(fields[4])
        # Of two mounts at one point the later hides the earlier, hence >=.
        if len(point) >= len(best) and os.path.commonpath((point, real)) == point:
            best, kind = point, fields[fields.index("-", 6) + 1]
    return kind if kind in _REMOTE else ""


def _unescaped(field: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field


def _me() -> str:
    return f"uid {os.geteuid()}"


def command(words: str, home: pathlib.Path) -> str:
    """Return a command for people so that it means `home`. TORPOR_HOME here is the units' word, and no shell's."""
    environ = {name: value for name, value in os.environ.items() if name != "TORPOR_HOME"}
    return homes.command(words, str(home), environ)
