"""The home and the place of its socket."""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torpor import presence, wire
from torpor.doctor.rows import Check, Row
from torpor.doctor.units import look_at_units

if TYPE_CHECKING:
    from torpor.doctor.subject import Subject

_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class HomeFacts:
    """What lies where the home is to be. `mode` None: nothing. `refusal`: what `torpord check` says against it."""

    path: str
    me: int
    mode: int | None = None
    owner: int = 0
    target: str = ""
    is_writable: bool = True
    unwritable_why: str = ""
    refusal: str = ""
    free_bytes: int = 0


def look_at_home(subject: Subject) -> HomeFacts:
    """Look at the home; one temporary file is made in its tmp/, and removed."""
    home, me = subject.home, os.geteuid()
    try:
        found = os.lstat(home)
    except (FileNotFoundError, NotADirectoryError):
        return HomeFacts(home, me)
    status, words = subject.checked
    refusal = words.removeprefix("torpord: ") if status and words.startswith("torpord: home") else ""
    target = os.readlink(home) if stat.S_ISLNK(found.st_mode) else ""
    why = _unwritable_why(home) if subject.is_ours and stat.S_ISDIR(found.st_mode) else ""
    # Of anything else it is not asked: a link may lead nowhere.
    disk = os.statvfs(home) if stat.S_ISDIR(found.st_mode) else None
    free_bytes = disk.f_bavail * disk.f_frsize if disk else 0
    return HomeFacts(home, me, found.st_mode, found.st_uid, target, not why, why, refusal, free_bytes)


def _unwritable_why(home: str) -> str:
    """Say why nothing can be written into the home; "" where it can."""
    inner = os.path.join(home, wire.SPOOL_TMP_NAME)
    place = os.path.join(inner if os.path.isdir(inner) and not os.path.islink(inner) else home, f"doctor-{os.getpid()}")
    try:
        fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        return error.strerror or str(error)
    os.close(fd)
    os.unlink(place)
    return ""


def judge_home(facts: HomeFacts) -> Row:
    """Judge a home as the daemon does, which refuses whatever is serious here."""
    quoted, looked_at = shlex.quote(facts.path), "home"
    if facts.mode is None:
        return Row(
            "home", looked_at, f"{facts.path} is not there yet", "note", "the first start makes it", "torpor start"
        )
    cannot = "no daemon can start here"
    if facts.target:
        mend = f"export TORPOR_HOME={shlex.quote(os.path.realpath(facts.path))}"
        return Row("home", looked_at, f"{facts.path} is a symlink to {facts.target}", "serious", cannot, mend)
    if not stat.S_ISDIR(facts.mode):
        mend = f"mv {quoted} {shlex.quote(facts.path + '.old')}"
        return Row("home", looked_at, f"{facts.path} is not a directory", "serious", cannot, mend)
    # Root looks at everybody's.
    theirs = f", uid {facts.owner}'s" if facts.owner != facts.me else ""
    if theirs and facts.me != 0:
        found = f"{facts.path} belongs to uid {facts.owner}, and this is uid {facts.me}"
        return Row("home", looked_at, found, "serious", cannot, f"chown -R {facts.me} {quoted}")
    mode = stat.S_IMODE(facts.mode)
    if mode & 0o077 or mode & _PRIVATE != _PRIVATE:
        found = f"{facts.path} has mode {mode:04o}: it must be its owner's alone"
        return Row("home", looked_at, found, "serious", cannot, f"chmod 700 {quoted}", "would")
    if facts.refusal:
        elsewhere = "export TORPOR_HOME=/a/directory/of/this/machine" if "another machine" in facts.refusal else None
        return Row("home", looked_at, facts.refusal, "serious", cannot, elsewhere)
    if not facts.is_writable:
        found = f"{facts.path} takes no file: {facts.unwritable_why}"
        return Row(
            "home", looked_at, found, "serious", "no event can be left, and nothing is remembered", f"df -h {quoted}"
        )
    found = f"{facts.path}{theirs}, {mode:04o}, {size(facts.free_bytes)} free"
    if theirs:
        return Row(
            "home",
            looked_at,
            found,
            "note",
            "a daemon of root's would refuse it; what only its owner may do was not tried",
        )
    return Row("home", looked_at, found)


def _mend_home(subject: Subject) -> str:
    fd = os.open(subject.home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(fd, _PRIVATE)
    finally:
        os.close(fd)
    return f"chmod 700 {subject.home}"


@dataclass(frozen=True, slots=True)
class SocketPathFacts:
    """What lies at the socket's path. `is_heard`: somebody listens there; None where that cannot be seen.

    `is_managers`: a service manager's socket unit listens there.
    """

    path: str
    named: str
    up: bool
    mode: int | None
    problem: str
    is_heard: bool | None
    is_managers: bool = False


def look_at_socket_path(subject: Subject) -> SocketPathFacts:
    """Look at the path, and at the kernel's list of listeners: nobody is connected to."""
    named = os.environ.get("TORPOR_SOCKET", "")
    if subject.socket_problem:
        return SocketPathFacts(subject.socket, named, subject.up, None, subject.socket_problem, None)
    try:
        mode: int | None = os.lstat(subject.socket).st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    units = look_at_units(subject).found
    listening = (unit.listens_at for unit in units.units if unit.active == "active") if units else ()
    return SocketPathFacts(
        subject.socket, named, subject.up, mode, "", is_heard(subject.socket), subject.socket in listening
    )


def is_heard(path: str) -> bool | None:
    """Say whether a socket listens at `path`, without connecting; None where this system does not tell (no /proc)."""
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
            next(file)
            lines = [line.rstrip("\n").split(None, 7) for line in file]
    except (OSError, StopIteration):
        return None
    # Columns of proc(5): address, count, protocol, flags, type, state, inode, path. The flag is the kernel's
    # __SO_ACCEPTCON.
    return any(each[3] == "00010000" and each[7:] == [path] for each in lines)


def judge_socket_path(facts: SocketPathFacts) -> Row:
    """Judge the path, and what lies there."""
    looked_at, quoted = "the socket's path", shlex.quote(facts.path)
    if facts.problem:
        return Row(
            "socket_path", looked_at, facts.problem, "serious", "no daemon can listen, and no client can connect"
        )
    told = f"{facts.path}{' (TORPOR_SOCKET)' if facts.named else ''}"
    if facts.mode is not None and not stat.S_ISSOCK(facts.mode):
        mend = f"mv {quoted} {shlex.quote(facts.path + '.old')}"
        return Row("socket_path", looked_at, f"{told} is no socket", "serious", "no daemon can listen there", mend)
    if facts.up or facts.mode is None:
        return Row("socket_path", looked_at, told if facts.up else f"{told}: nothing there while no daemon is up")
    if facts.is_heard is None:
        found = f"{told}: not looked at whether somebody listens, this system does not tell without connecting"
        return Row("socket_path", looked_at, found, "note")
    if facts.is_heard and facts.is_managers:
        return Row("socket_path", looked_at, f"{told}: the service manager listens there")
    if facts.is_heard:
        means = "a service manager holds it, or it is not torpor's"
        return Row("socket_path", looked_at, f"{told}: somebody listens while no daemon is up", "note", means)
    means = "it stands in nobody's way: the next daemon takes its place"
    found = f"{told} was left behind: nobody listens there"
    return Row("socket_path", looked_at, found, "note", means, f"rm {quoted}", "would")


def _mend_socket_path(subject: Subject) -> str:
    """Remove a leftover. A daemon that starts meanwhile finds its lock taken for an instant, and waits for it."""
    lock = os.open(subject.path(wire.LOCK_NAME), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if is_heard(subject.socket) is False and stat.S_ISSOCK(os.lstat(subject.socket).st_mode):
            os.unlink(subject.socket)
    finally:
        os.close(lock)
    return f"removed {subject.socket}"


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.0f} TB"


def is_down(home: str) -> bool:
    """Say whether no daemon is up at this very moment: the subject is as old as the report."""
    return not presence.is_up(home)


CHECKS = (
    Check("home", lambda subject: judge_home(look_at_home(subject)), _mend_home),
    Check("socket_path", lambda subject: judge_socket_path(look_at_socket_path(subject)), _mend_socket_path),
)
