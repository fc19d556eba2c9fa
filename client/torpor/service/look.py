"""What is installed for a home: its unit files, what the service manager makes of them, and what is wrong."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torpor.service import launchd, markers, names, record, systemd, texts

if TYPE_CHECKING:
    from torpor.service.names import Place

_PROPERTIES = (
    "LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts", "DropInPaths", "NeedDaemonReload",
    "Listen",
)  # fmt: skip
_SUFFIXES = (".service", ".socket", ".path", ".plist")


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. `name` and `path` are of its file; the rest is the manager's word, "" where it cannot be asked."""

    name: str
    path: str
    judged: markers.Judged
    version: str = ""
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
    """

    place: Place
    units: tuple[Unit, ...]
    interpreter: str
    interpreter_there: bool
    lingers: bool | None
    unasked: str
    problems: tuple[Problem, ...]

    @property
    def is_there(self) -> bool:
        """Whether there is anything of this home's."""
        return any(unit.judged not in ("absent", "foreign") for unit in self.units)


def at(place: Place) -> Place:
    """Return the place with the name under which this home is installed already, by the markers of the files."""
    for _, marker in markers.found(place.directory, _SUFFIXES):
        if marker.home == place.home:
            return replace(place, unit=marker.unit)
    return place


def elsewhere(place: Place) -> str:
    """Return the file of another manager's unit for the same home, "" where there is none: it has one socket."""
    if place.manager == "launchd":
        return ""
    own = os.path.join(os.path.expanduser(f"~{place.user}"), ".config", "systemd", "user")
    other = own if place.manager == "systemd-system" else names.SYSTEM_UNITS
    served = (name for name, marker in markers.found(other, _SUFFIXES) if marker.home == place.home)
    return next((os.path.join(other, name) for name in served), "")


def look(place: Place) -> Installation:
    """Look at the service of a home, whatever name it has. Changes nothing, asks the manager once."""
    place = at(place)
    known = record.read(place.home) or {}
    interpreter = str(known.get("interpreter") or sys.executable)
    wanted = texts.texts(place, interpreter) if place.manager != "launchd" else launchd.texts(place, interpreter)
    units = tuple(_unit(place, name, wanted[name]) for name in place.files)
    unasked = ""
    if place.manager == "launchd":
        units = tuple(replace(unit, active=launchd.state(place)) for unit in units)
    elif any(unit.judged != "absent" for unit in units):
        shown = systemd.show(place, place.files, _PROPERTIES)
        units = tuple(_asked(unit, shown) for unit in units)
        unasked = shown.problem
    there = os.access(interpreter, os.X_OK)
    lingers = systemd.lingers(place.user) if place.manager == "systemd-user" else None
    found = Installation(place, units, interpreter, there, lingers, unasked, ())
    return replace(found, problems=_problems(found)) if found.is_there else found


def _unit(place: Place, name: str, wanted: str) -> Unit:
    path = os.path.join(place.directory, name)
    judged = markers.judged(path, wanted)
    marker = None if judged in ("absent", "foreign") else markers.read(path)
    return Unit(name, path, judged, marker.version if marker is not None else "")


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
        drop_ins=tuple(shown.of(unit.name, "DropInPaths").split()),
        needs_reload=shown.of(unit.name, "NeedDaemonReload") == "yes",
        listens_at=shown.listens_at(unit.name),
    )


def _problems(found: Installation) -> tuple[Problem, ...]:
    install = "torpor service install"
    if found.place.manager == "systemd-system":
        install = f"sudo {install} --system --for {found.place.user}"
    told = []
    if found.unasked and (found.place.manager != "systemd-system" or os.geteuid() == 0):
        told.append(Problem("manager", found.unasked, "loginctl enable-linger, and log in anew"))
    judged = ((unit, _wrong(found.place, unit, is_asked=not found.unasked)) for unit in found.units)
    told += [Problem(unit.name, said, _mend(install, unit)) for unit, said in judged if said]
    if not found.interpreter_there:
        told.append(Problem("interpreter", f"{found.interpreter} is gone: no daemon can start", install))
    return tuple(told)


def _mend(install: str, unit: Unit) -> str:
    return f"{install} --force (keeps yours)" if unit.judged in ("edited", "foreign") else install


def _wrong(place: Place, unit: Unit, *, is_asked: bool) -> str:
    match unit.judged:
        case "absent":
            return "not there"
        case "foreign":
            return "not torpor's"
        case "edited":
            return "edited by hand, or cut short"
        case "outdated":
            return "not as this torpor would write it"
        case "ours":
            pass
    if place.manager == "launchd":
        return "" if unit.active else "launchd does not know it"
    if not is_asked:
        return ""
    if unit.load != "loaded":
        return f"the service manager says {unit.load or 'nothing'}"
    if unit.needs_reload:
        return "the service manager has not read it anew"
    if unit.active == "failed":
        return f"failed: {unit.result}"
    if unit.name in place.doors and unit.active != "active":
        return f"{unit.active}, so it starts nothing"
    if unit.name in place.doors and unit.enabled != "enabled":
        return f"{unit.enabled}: gone with the next boot"
    if unit.listens_at and unit.listens_at != place.socket:
        return f"listens at {unit.listens_at}, and not at {place.socket}"
    return ""
