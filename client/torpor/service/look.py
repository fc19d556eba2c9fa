"""What is installed for a home: its unit files, what the service manager makes of them, and what is wrong."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from torpor import wire
from torpor.service import files, keeper, launchd, markers, names, problems, record, systemd, texts

if TYPE_CHECKING:
    from torpor.service.names import Place

_PROPERTIES = (
    "LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts", "DropInPaths", "NeedDaemonReload",
    "Listen", "NextElapseUSecRealtime",
)  # fmt: skip
_SUFFIXES = (".service", ".socket", ".path", ".timer", ".plist")
_MOST_TIME_BYTES = 100


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. `name` and `path` are of its file, `version` and `home` what that says it was written by and for.

    The rest is the manager's word, "" where it cannot be asked.
    """

    name: str
    path: str
    judged: markers.Judged
    version: str = ""
    home: str = ""
    load: str = ""
    active: str = ""
    sub: str = ""
    enabled: str = ""
    result: str = ""
    restarts: int = 0
    drop_ins: tuple[str, ...] = ()
    needs_reload: bool = False
    listens_at: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be, and the command that mends it."""

    unit: str
    found: str
    mend: str


@dataclass(frozen=True, slots=True)
class Installation:
    """All that is known of a home's service. `lingers`: None where that means nothing.

    `unasked`: why the manager could not be asked. The system's answers not everybody: that alone is no problem.
    `is_stopped`: torpor was told to stay down. `planned`: when it is to be started next, in the wire's words for times,
    "" for never; `armed`: when the manager's timer starts it, None where nobody says it.
    """

    place: Place
    units: tuple[Unit, ...]
    interpreter: str
    interpreter_there: bool
    lingers: bool | None
    unasked: str
    problems: tuple[Problem, ...]
    is_stopped: bool = False
    planned: str = ""
    armed: str | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is anything of this home's."""
        own = self.place.files
        return any(unit.judged not in ("absent", "foreign") for unit in self.units if unit.name in own)


def at(place: Place) -> Place:
    """Return the place where this home is installed already, by the markers of the files: under which name, and where.

    Of a home that was moved these are the units of where it was.
    """
    if place.manager == "systemd-user":
        place = replace(place, directory=systemd.units_directory(place))
    found = [marker for _, marker in markers.found(place.directory, _SUFFIXES)]
    for home in homes(place):
        for marker in found:
            if marker.home == home:
                return replace(place, unit=marker.unit)
    return place


def homes(place: Place) -> tuple[str, ...]:
    """Return the homes whose units are those of `place`: it, and where it was before it was moved."""
    moved = "" if place.manager == "systemd-system" else record.moved_from(place.home)
    return (place.home, moved) if moved else (place.home,)


def is_stopped(place: Place) -> bool:
    """Say whether torpor was told to stay down there: then the manager opens nothing."""
    return os.path.exists(os.path.join(place.home, wire.STOPPED_NAME))


def elsewhere(place: Place) -> str:
    """Return another manager's units for the same home, "" where there are none: it has one socket."""
    if place.manager == "launchd":
        return ""
    own = os.path.join(os.path.expanduser(f"~{place.user}"), ".config", "systemd", "user")
    other = own if place.manager == "systemd-system" else names.SYSTEM_UNITS
    served = (marker.unit for _, marker in markers.found(other, _SUFFIXES) if marker.home == place.home)
    return next((f"{unit} in {other}" for unit in served), "")


def look(place: Place) -> Installation:
    """Look at the service of a home, whatever name it has. Changes nothing, asks the manager once."""
    place = at(place)
    interpreter = _interpreter(place.home)
    wanted = texts.texts(place, interpreter) if place.manager != "launchd" else launchd.texts(place, interpreter)
    units = tuple(_unit(place, name, text) for name, text in wanted.items())
    unasked, armed = "", None
    if place.manager == "launchd":
        units = tuple(replace(unit, active=launchd.state(place)) for unit in units)
        armed = _planned(place.home) if launchd.is_armed(place) else ""
    elif any(unit.judged != "absent" for unit in units):
        shown = systemd.show(place, (*place.files, place.timer), _PROPERTIES)
        units = tuple(_asked(unit, shown) for unit in units)
        unasked, armed = shown.problem, _armed(place, shown)
    there = os.access(interpreter, os.X_OK)
    lingers = systemd.lingers(place.user) if place.manager == "systemd-user" else None
    found = Installation(
        place, units, interpreter, there, lingers, unasked, (), is_stopped(place), _planned(place.home), armed
    )
    return replace(found, problems=tuple(Problem(*each) for each in problems.of(found))) if found.is_there else found


def _armed(place: Place, shown: systemd.Shown) -> str | None:
    if not shown.problem:
        return shown.wakes_at(place.timer)
    told = keeper.shows(place.user) if place.manager == "systemd-system" else None
    return None if told is None else systemd.Shown({place.timer: told}, "").wakes_at(place.timer)


def _planned(home: str) -> str:
    try:
        text = (files.read(os.path.join(home, wire.WAKE_AT_NAME), _MOST_TIME_BYTES) or "").strip()
        datetime.fromisoformat(text)
    except (PermissionError, ValueError):
        return ""  # somebody else's, or no time
    return text


def _interpreter(home: str) -> str:
    """Return the Python of the installation as the record has it: the user's to write, and perhaps root's to read."""
    told = (record.read(home) or {}).get("interpreter")
    return told if isinstance(told, str) and told.startswith("/") and told.isprintable() else sys.executable


def _unit(place: Place, name: str, wanted: str) -> Unit:
    path = os.path.join(place.directory, name)
    judged = markers.judged(path, wanted)
    marker = None if judged in ("absent", "foreign") else markers.read(path)
    return Unit(name, path, judged) if marker is None else Unit(name, path, judged, marker.version, marker.home)


def _asked(unit: Unit, shown: systemd.Shown) -> Unit:
    restarts = shown.of(unit.name, "NRestarts")
    return replace(
        unit,
        load=shown.of(unit.name, "LoadState"),
        active=shown.of(unit.name, "ActiveState"),
        sub=shown.of(unit.name, "SubState"),
        enabled=shown.of(unit.name, "UnitFileState"),
        result=shown.of(unit.name, "Result"),
        restarts=int(restarts) if restarts.isdecimal() else 0,
        drop_ins=shown.words(unit.name, "DropInPaths"),
        needs_reload=shown.of(unit.name, "NeedDaemonReload") == "yes",
        listens_at=shown.listens_at(unit.name),
    )
