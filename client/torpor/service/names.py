"""Which service a home has: its manager, the name of its units, and the directory in which they lie."""

from __future__ import annotations

import os
import pathlib
import pwd
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torpor import home as homes
from torpor import wire
from torpor.service.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

Manager = Literal["systemd-user", "systemd-system", "launchd"]

SYSTEM_UNITS = "/etc/systemd/system"
SYSTEM_HOMES = "/var/lib/torpor"
LABEL = "org.torpor.torpord"
KEEPER = "torpord-keeper@.service"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_MOST_NAME_CHARS = 32
# What an instance's name takes as it is, systemd-escape(1); a user of another name is rare, and told so.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# torpord-boot.timer is the default home's: a service torpord-boot would have its planned wakes in a timer of that name,
# and likewise launchd's ….planned.
_RESERVED = re.compile(r"(boot|keeper)(-.*)?|planned")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a home's units belong. `unit` is their name without the kind: torpord, torpord-work, torpord@ann.

    For launchd it is the job's label. `user` is whose daemon it is.
    """

    manager: Manager
    unit: str
    home: str
    socket: str
    directory: str
    user: str

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files, the service's first; each of them is a unit."""
        if self.manager == "launchd":
            return (f"{self.unit}.plist",)
        own = (*(f"{self.unit}.{kind}" for kind in ("service", "socket", "path")), self.boot_timer)
        return (*own, f"torpord-keeper@{self.user}.socket") if self.manager == "systemd-system" else own

    @property
    def doors(self) -> tuple[str, ...]:
        """The units that are enabled and started: what starts the service, and what it arms its timer by."""
        return self.files[1:]

    @property
    def shut(self) -> tuple[str, ...]:
        """The doors that stay closed where torpor was told to stay down: all but the keeper, who is asked to start."""
        return tuple(name for name in self.doors if not name.startswith("torpord-keeper@"))

    @property
    def shared(self) -> tuple[str, ...]:
        """The files that all the homes in this manager have together: a template, and so no unit."""
        return (KEEPER,) if self.manager == "systemd-system" else ()

    @property
    def boot_timer(self) -> str:
        """Carries planned wakes over a boot: torpord-boot.timer, torpord-boot-work.timer, torpord-boot@ann.timer."""
        return f"{self.unit.replace('torpord', 'torpord-boot', 1)}.timer"

    @property
    def timer(self) -> str:
        """The timer of a planned wake. The daemon makes it as it needs it; there is no file of this name."""
        return f"{self.unit}.timer"


def place(
    home: str | None, *, system: bool, name: str | None = None, user: str | None = None,
    environ: Mapping[str, str] = os.environ, platform: str = sys.platform,
) -> Place:  # fmt: skip
    """Return the place of the service of `home`, or of `user` with `system`.

    Raises Wrong: 64 for options that do not go together or a name that no unit can have; BadHome as `home_dir`.
    """
    if system:
        return _of_system(home, name, user, environ, platform)
    if user is not None:
        raise Wrong(wire.EX_USAGE, "--for goes with --system: without it the service is your own")
    directory = homes.home_dir(home, environ)
    socket = homes.socket_path(directory, environ)
    _refuse_unwritable(directory, socket)
    whose = own_name()
    if not whose:
        said = f"uid {os.geteuid()} has no name on this machine: a service manager has nothing for it"
        raise Wrong(wire.EX_UNAVAILABLE, said)
    suffix = _suffix(directory, name, environ)
    if platform == "darwin":
        label = f"{LABEL}.{suffix}" if suffix else LABEL
        return Place("launchd", label, directory, socket, os.path.expanduser("~/Library/LaunchAgents"), whose)
    units = os.path.expanduser("~/.config/systemd/user")  # where the manager looks, it says itself: see look.at
    unit = f"torpord-{suffix}" if suffix else "torpord"
    return Place("systemd-user", unit, directory, socket, units, whose)


def _of_system(
    home: str | None, name: str | None, user: str | None, environ: Mapping[str, str], platform: str
) -> Place:
    if platform == "darwin":
        raise Wrong(wire.EX_USAGE, "--system is not there on macOS; a LaunchAgent serves its user: leave it out")
    if home is not None or name is not None:
        given = "--home" if home is not None else "--name"
        raise Wrong(wire.EX_USAGE, f"{given} does not go with --system: a user's home there is {SYSTEM_HOMES}/USER")
    whose = user or environ.get("SUDO_USER", "") or (own_name() if os.geteuid() else "")
    if not whose:
        raise Wrong(wire.EX_USAGE, "whose daemon is it to be? say it with --for USER")
    if not _USER.fullmatch(whose):
        raise Wrong(wire.EX_USAGE, f"{whose!r} cannot be a unit's name: letters, digits, `_`, `.` and `-` can")
    try:
        pwd.getpwnam(whose)
    except KeyError:
        raise Wrong(wire.EX_USAGE, f"there is no user {whose} on this machine: see --for") from None
    directory = f"{SYSTEM_HOMES}/{whose}"
    return Place(
        "systemd-system", f"torpord@{whose}", directory, f"{directory}/{wire.SOCKET_NAME}", SYSTEM_UNITS, whose
    )


def install_command(place: Place) -> str:
    """Return the command that installs, or installs anew, for this place: root's word where the system serves it."""
    if place.manager == "systemd-system":
        return f"sudo torpor service install --system --for {place.user}"
    return homes.command("torpor service install", place.home)


def own_name() -> str:
    """Return the name of who asks; "" where the machine knows none, as for a number that a container was started as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def _suffix(directory: str, name: str | None, environ: Mapping[str, str]) -> str:
    """Return what tells this home's units from the default one's: `name`, else made of the path; "" for the default."""
    if name is not None:
        if not _NAME.fullmatch(name):
            raise Wrong(wire.EX_USAGE, f"--name {name!r}: it has 1 to {_MOST_NAME_CHARS} of a-z, 0-9 and `-`")
        if _RESERVED.fullmatch(name):
            raise Wrong(wire.EX_USAGE, f"--name {name}: torpor has units of this name for other things, choose another")
        return name
    if directory == homes.home_dir(None, {key: value for key, value in environ.items() if key != "TORPOR_HOME"}):
        return ""
    path = pathlib.PurePath(directory)
    last = path.parent.name if path.name == "torpor" else path.name
    made = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:_MOST_NAME_CHARS].strip("-")
    if not made or _RESERVED.fullmatch(made):
        raise Wrong(wire.EX_USAGE, f"no unit's name can be made of {directory}: choose one with --name")
    return made


def _refuse_unwritable(*paths: str) -> None:
    """Refuse what no unit file can hold: a line's end, or what is not UTF-8."""
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise Wrong(wire.EX_USAGE, f"{path!a} is not UTF-8: no unit can name it, choose another") from None
        if not path.isprintable():
            raise Wrong(wire.EX_USAGE, f"{path!a} has control characters: no unit can name it, choose another")
