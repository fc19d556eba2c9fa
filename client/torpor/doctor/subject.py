"""Whom the doctor looks at: the home, and what its daemon says of itself where one is up. Nobody is ever woken."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torpor
from torpor import errors, presence, wire
from torpor import home as homes
from torpor.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from torpor.replies import Examined, Status, Why

T = TypeVar("T")

ASK_S = 5.0
_NOTE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """What the daemon answered, and how long that took; else `problem`, in words, `hung` where it never came."""

    took_s: float = 0.0
    status: Status | None = None
    why: Why | None = None
    examined: Examined | None = None
    problem: str = ""
    hung: bool = False


@dataclass(frozen=True, slots=True)
class Installed:
    """What this installation is: its version, and the version of the stores it writes; None where it does not say."""

    version: str
    store: int | None


@dataclass(frozen=True, slots=True)
class Subject:
    """The home as it was found when the doctor began. `said` is None where no daemon is up.

    `seen`: what more than one check wants and was looked at once, by its name.
    """

    home: str
    socket: str
    up: bool
    said: Said | None
    known: dict[str, Any] | None
    checked: tuple[int, str]
    installed: Installed
    wall_s: float
    ask_s: float = ASK_S
    socket_problem: str = ""
    is_ours: bool = True
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> Status | None:
        """What the daemon said of itself."""
        return self.said.status if self.said else None

    @property
    def examined(self) -> Examined | None:
        """What only it knows, in its own word."""
        return self.said.examined if self.said else None

    def path(self, name: str) -> str:
        """Return the path of something in the home."""
        return os.path.join(self.home, name)


def meet(home: str, ask_s: float = ASK_S) -> Subject:
    """Look at `home` without judging it, and wait at most `ask_s` for each answer."""
    try:
        socket, problem = homes.socket_path(home), ""
    except errors.BadHome as error:
        socket, problem = "", str(error)
    try:
        up = presence.is_up(home)
    except (errors.NotPermitted, errors.BadHome):
        up = False  # the row of the home says whose it is
    said = _ask(home, ask_s) if up else None
    if said is not None and said.problem == _WENT:
        up, said = False, None
    known = presence.last_known(home)
    ours = is_ours(home)
    # It opens flows: code of whoever owns the home, which is never run by another, and not by root.
    checked = _checked(home, ask_s) if ours else (-1, "the home is another user's, or a link to one")
    return Subject(home, socket, up, said, known, checked, _installed(ask_s), time.time(), ask_s, problem, ours)


_WENT = "went"


def is_ours(home: str) -> bool:
    """Say whether nobody else decides what lies in the home; one that is not there is nobody's."""
    try:
        found = os.lstat(home)
    except (FileNotFoundError, NotADirectoryError):
        return True
    return found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode)


def _ask(home: str, ask_s: float) -> Said:
    begun_s = time.monotonic()
    try:
        with Client(home, timeout=ask_s) as client:
            status = client.status()
            took_s = time.monotonic() - begun_s
            return Said(took_s, status, _granted(client.why), _granted(client.doctor))
    except errors.Down:
        return Said(problem=_WENT)
    except errors.Timeout as error:
        return Said(problem=str(error), hung=True)
    except errors.Error as error:
        return Said(problem=str(error))


def _granted(ask: Callable[[], T]) -> T | None:
    """Ask what not every daemon answers: one in safe mode knows of no reasons, and an older one of no doctor.

    Neither does one whose disk hangs say how its store is, and it serves all the same.
    """
    try:
        return ask()
    except (errors.Refused, errors.Timeout):
        return None


def _checked(home: str, ask_s: float) -> tuple[int, str]:
    """Return what `torpord check` says: its exit status and its words."""
    return run([sys.executable, "-P", "-m", "torpord", "check", "--home", home], ask_s)


def _installed(ask_s: float) -> Installed:
    program = "from torpord.store import migrations as m; print(m.TO)"
    status, text = run([sys.executable, "-P", "-c", program], ask_s)
    return Installed(torpor.__version__, int(text) if status == 0 and text.isdecimal() else None)


def run(command: list[str], limit_s: float) -> tuple[int, str]:
    """Run a short command with a clean environment: its exit status and what it said; -1 where it said nothing in time.

    What a daemon would inherit from its manager, not what this shell has: `check` is about the next start.
    """
    kept = ("HOME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "TORPOR_SOCKET")
    environ = {"PATH": os.defpath, **{name: os.environ[name] for name in kept if name in os.environ}}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
            cwd="/",
            env=environ,
        )
    except subprocess.TimeoutExpired:
        return -1, f"no answer within {limit_s:g} s"
    except OSError as error:
        return -1, f"{command[0]} cannot be run: {error.strerror}"
    return done.returncode, (done.stdout if done.returncode == 0 else done.stderr).strip()


def holder(home: str) -> dict[str, Any]:
    """Return the note of whoever holds the lock, or held it last; empty where there is none to read."""
    try:
        note = json.loads(presence.noted(os.path.join(home, wire.LOCK_NAME), _NOTE_BYTES))
    except (OSError, ValueError, RecursionError):  # the last where it nests deeper than Python counts
        return {}
    return note if isinstance(note, dict) else {}


def is_running(pid: object) -> bool:
    """Say whether a process of that number is there; another user's counts."""
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
