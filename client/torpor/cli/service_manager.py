"""Telling the service manager what `torpor start` and `torpor stop` mean: it holds the socket, also when we stop.

Which units those are is what the last daemon has told (`lifecycle_state.json`), else what `torpor service install` left
in the home; where neither says it, what the shipped ones are called. Their boot timer goes with the socket.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from dataclasses import dataclass, replace

from torpor import home as homes
from torpor import presence
from torpor.cli import streams
from torpor.deadline import Deadline
from torpor.service import record, running

_LIMIT_S = 15
_OPEN_LIMIT_S = 5.0
_LOOK_EVERY_S = 0.02
_UNIT = re.compile(r"torpord(-[a-z0-9-]+|@[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_MANAGERS = ("systemd-user", "systemd-system", "launchd")
# By `supervisor`, which also the state files of older versions have.
_GUESSED = {"systemd": "systemd-user", "launchd": "launchd"}
# Where the system's manager hears its users, each at a socket of their own (`systemd/torpord-keeper@.socket`).
_KEEPERS = "/run/torpord-keeper"
_MOST_WORDS = 4096


@dataclass(frozen=True, slots=True)
class Units:
    """Whose units start a home's daemon, and their name without the kind; "" where it was not told."""

    manager: str
    unit: str


def units(home: str) -> Units | None:
    """Return the units of `home`; None where no service manager is known to start its daemon."""
    known, installed = presence.last_known(home) or {}, record.read(home) or {}
    for told in (known, installed):
        if told.get("manager") in _MANAGERS:
            return Units(told["manager"], _checked(home, told["manager"], told.get("unit")))
    guessed = _GUESSED.get(str(known.get("supervisor")))
    return None if guessed is None else Units(guessed, "")


def start_units(home: str, found: Units) -> None:
    """Start what starts the daemon of `home`. Where that fails, say so: the daemon is then started without it."""
    _tell("start", home, found, "starting torpord without them")


def stop_units(home: str, found: Units) -> None:
    """Stop what starts the daemon of `home`, so that no connection and no file does. Where that fails, say so."""
    _tell("stop", home, found, "the next connection or file will start torpord again")


def _checked(home: str, manager: str, unit: object) -> str:
    """Return a name of ours, and no option: the files are the user's to write, and root may be who reads them."""
    if manager == "launchd":
        return unit if isinstance(unit, str) else ""
    if not isinstance(unit, str) or not _UNIT.fullmatch(unit):
        return ""
    whose = unit.partition("@")[2]
    return unit if not whose or whose == _owner(home) else ""


def _owner(home: str) -> str:
    try:
        return pwd.getpwuid(os.stat(home).st_uid).pw_name
    except (OSError, KeyError):
        return ""


def _tell(what: str, home: str, found: Units, otherwise: str) -> None:
    if found.manager == "launchd":
        _tell_launchd(what, home, found, otherwise)
        return
    problem = _keeper(what, home) if found.manager == "systemd-system" and os.geteuid() != 0 else None
    if problem is None:
        problem = _systemctl(what, home, found)
    if problem:
        streams.complain(f"{problem}: {otherwise}")


def _systemctl(what: str, home: str, found: Units) -> str:
    # Nobody has told: root without a session of its own is the system's manager's, see systemctl(1) on --user.
    is_roots = not found.unit and os.geteuid() == 0 and not os.environ.get("XDG_RUNTIME_DIR")
    of_system = found.manager == "systemd-system"
    unit = found.unit or (f"torpord@{_owner(home)}" if of_system else "torpord")
    whose = [] if of_system or is_roots else ["--user"]
    command = ["systemctl", *whose, what, f"{unit}.socket", f"{unit}.path"]
    environ = {"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}", **os.environ} if whose else os.environ
    ran = running.run(command, environ, _LIMIT_S)
    return f"`{' '.join(command)}` failed ({ran.words})" if ran.status else ""


def _keeper(what: str, home: str) -> str | None:
    """Tell the system's manager by the keeper of one's own units: its problem, or None where there is no keeper."""
    path = os.path.join(_KEEPERS, _owner(home))
    try:
        with socket.socket(socket.AF_UNIX) as keeper:
            keeper.settimeout(_LIMIT_S)
            keeper.connect(path)
            keeper.sendall(f"{what}\n".encode())
            with keeper.makefile("rb") as words:
                said = words.read(_MOST_WORDS).decode(errors="replace").split("\n")
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as error:  # the built-in TimeoutError, too
        return f"{path} cannot be told to {what} ({error.strerror or error})"
    if "ok" not in said:
        return f"{path} would not {what} ({' '.join(said).strip() or 'no answer'})"
    return _opened(home) if what == "start" else ""


def _opened(home: str) -> str:
    """Wait for the door: the keeper answers before it is open, and who finds it closed starts a daemon without it."""
    path, deadline = homes.socket_path(home), Deadline(_OPEN_LIMIT_S)
    try:
        while not _takes_us(path):
            deadline.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        return f"the service manager was told to start, and nobody listens on {path}"
    return ""


def _takes_us(path: str) -> bool:
    """Say whether a connection is taken. Systemd makes the socket root's, and gives it to its user a moment later."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        try:
            probe.connect(path)
        except BlockingIOError:
            return True  # more wait there than it takes
        except OSError:
            return False
    return True


def _tell_launchd(what: str, home: str, found: Units, otherwise: str) -> None:
    from torpor.service import launchd, names  # noqa: PLC0415 - on macOS
    from torpor.service.wrong import Wrong  # noqa: PLC0415 - likewise

    place = names.place(home, system=False, platform="darwin")
    place = replace(place, unit=found.unit or place.unit)
    try:
        if what == "start":
            launchd.started(place, [])
        else:
            launchd.stopped(place)
    except Wrong as wrong:
        streams.complain(f"{wrong}: {otherwise}")
