"""The units of the service manager: as torpor wrote them, started, and without a limit that could close the socket."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torpor import errors
from torpor.doctor.rows import Check, Row, Severity
from torpor.service import install, launchd, look, names, systemd
from torpor.service.wrong import Wrong

if TYPE_CHECKING:
    from torpor.doctor.subject import Subject
    from torpor.service.look import Installation
    from torpor.service.names import Place

_LEAST_FILES = 4096  # connections, watches and workers: with less, clients are refused


@dataclass(frozen=True, slots=True)
class UnitsFacts:
    """What is installed, and why it cannot be looked at or mended, as far as that is so. `is_in_the_way`: see judge."""

    found: Installation | None
    problem: str = ""
    unreachable: str = ""
    is_in_the_way: bool = False


def place_of(home: str) -> Place:
    """Return the place of this home's units. Raises Wrong, BadHome."""
    folder, user = os.path.split(home)
    if folder == names.SYSTEM_HOMES:
        return names.place(None, system=True, user=user)
    return names.place(home, system=False)


def look_at_units(subject: Subject) -> UnitsFacts:
    """Ask the manager, as `torpor service status` does; once for all who want to know."""
    if "units" not in subject.seen:
        subject.seen["units"] = _ask_manager(subject)
    facts: UnitsFacts = subject.seen["units"]
    return facts


def _ask_manager(subject: Subject) -> UnitsFacts:
    try:
        place = place_of(subject.home)
        found = look.look(place)
    except errors.Error as error:
        return UnitsFacts(None, str(error))
    try:
        (launchd if place.manager == "launchd" else systemd).reach(place)
        unreachable = ""
    except Wrong as error:
        unreachable = str(error)
    status = subject.status
    by_client = subject.up and (status is None or status["supervisor"] == "none")
    return UnitsFacts(found, "", unreachable, is_in_the_way=by_client)


def judge_units(facts: UnitsFacts) -> Row:
    """Judge as `torpor service status` does.

    `--fix` installs anew where that takes nothing away from anybody: no file that was edited, and no daemon that a
    client started, which would be ended for it.
    """
    looked_at, found = "the service manager's units", facts.found
    if found is None:
        return Row("units", looked_at, f"not looked at: {facts.problem}", "note")
    if not found.is_there:
        if facts.unreachable:
            return Row("units", looked_at, f"none for {found.place.home}: {facts.unreachable}", "note")
        said = f"none for {found.place.home}: a client starts torpord by itself"
        means = "a planned time, a signal or a file wakes nobody"
        return Row("units", looked_at, said, "note", means, names.install_command(found.place))
    # What is planned has a row of its own.
    problems = [each for each in found.problems if each.unit != "planned"]
    if not problems and found.unasked:
        said = f"the files are as torpor wrote them; whether they are started was not looked at: {found.unasked}"
        as_root = f"sudo torpor service status --system --for {found.place.user}"
        return Row("units", looked_at, said, "note", "", as_root)
    if not problems:
        return Row("units", looked_at, "; ".join(_told(unit) for unit in found.units))
    said = "; ".join(f"{each.unit} {each.found}".strip() for each in problems)
    owned = all(unit.judged in ("ours", "outdated", "absent") for unit in found.units)
    can = owned and not facts.unreachable and not facts.is_in_the_way
    mend = next((each.mend.removesuffix(" (keeps yours)") for each in problems if each.mend), None)
    severity: Severity = "finding" if found.interpreter_there else "serious"
    means = "torpord may not come when it is called" if owned else "torpor does not write over what is not its own"
    return Row("units", looked_at, said, severity, means, mend, "would" if can else None)


def _told(unit: look.Unit) -> str:
    drop_ins = f", with {', '.join(unit.drop_ins)}" if unit.drop_ins else ""
    return f"{unit.name} {' '.join(filter(None, (unit.active, unit.enabled)))}{drop_ins}"


def _mend_units(subject: Subject) -> str:
    done = install.repair(look.look(place_of(subject.home)))
    return "; ".join(f"{line.word} {line.text}" for line in done)


@dataclass(frozen=True, slots=True)
class Limit:
    """A property of a unit that is not what torpor needs, and the drop-ins that may have brought it."""

    unit: str
    found: str
    closes: bool
    drop_ins: tuple[str, ...] = ()


def look_at_limits(subject: Subject) -> tuple[Place, list[Limit]] | str:
    """Read the limits the manager goes by; a text where there is nothing to read."""
    found = look_at_units(subject).found
    if found is None or not found.is_there:
        return "no units are installed"
    if found.place.manager == "launchd":
        return "launchd has none of these"
    service, *doors = found.place.files
    asked = ("StartLimitIntervalUSec", "TriggerLimitIntervalUSec", "WatchdogUSec", "Restart", "LimitNOFILE")
    shown = systemd.show(found.place, found.place.files, asked)
    if shown.problem:
        return shown.problem
    drop_ins = {unit.name: unit.drop_ins for unit in found.units}
    limits = [
        Limit(unit, f"{name}={shown.of(unit, name)}", closes=True, drop_ins=drop_ins[unit])
        for unit, name in ((service, asked[0]), *((door, asked[1]) for door in doors))
        if shown.of(unit, name) not in ("0", "")
    ]
    # The watchdog's is told of a service that runs, and of no other.
    runs = any(unit.name == service and unit.active == "active" for unit in found.units)
    for name, poor in ((("WatchdogUSec", ("0", "infinity")),) if runs else ()) + (("Restart", ("no",)),):
        if (value := shown.of(service, name)) in poor:
            limits.append(Limit(service, f"{name}={value}", closes=False, drop_ins=drop_ins[service]))
    files = shown.of(service, "LimitNOFILE")
    if files.isdecimal() and int(files) < _LEAST_FILES:
        limits.append(Limit(service, f"LimitNOFILE={files}", closes=False, drop_ins=drop_ins[service]))
    return found.place, limits


def judge_limits(found: tuple[Place, list[Limit]] | str) -> Row:
    """Judge what stands between a daemon that died and the next one: at worst a socket that stays closed."""
    looked_at = "the units' limits: starts, triggers, watchdog, files"
    if isinstance(found, str):
        return Row("limits", looked_at, f"not looked at: {found}", "note")
    place, limits = found
    if not limits:
        return Row("limits", looked_at, "none that could close the socket; it is watched, and started again")
    said = "; ".join(f"{limit.unit} {limit.found}" for limit in limits)
    files = sorted({path for limit in limits for path in limit.drop_ins})
    is_roots = place.manager == "systemd-system"  # and a drop-in for it, too, whoever asks here
    sudo, manager = ("sudo ", "sudo systemctl") if is_roots else ("", "systemctl --user")
    # Several: which of them it was is for whoever wrote them to see.
    mend = f"{sudo}rm {shlex.quote(files[0])} && {manager} daemon-reload" if len(files) == 1 else None
    if any(limit.closes for limit in limits):
        means = "so many starts in a row, and the socket is closed for everybody"
        return Row("limits", looked_at, said, "serious", means, mend)
    return Row(
        "limits", looked_at, said, "finding", "a daemon that hangs or dies is not replaced, or refuses clients", mend
    )


def judge_manager(found: Installation | None, too_old: str = "") -> Row:
    """Say what keeps the sockets there: a user's manager takes them along with the last login.

    `too_old`: its version, where it does not know all that the units say.
    """
    looked_at = "the service manager's version, and whether a user's stays without a login"
    if too_old:
        means = "what keeps the socket open whatever comes is unknown to it, and passed over"
        return Row("manager", looked_at, f"systemd {too_old}, older than the units are written for", "finding", means)
    if found is None or not found.is_there or found.lingers is None:
        return Row("manager", looked_at, "it does not matter here: no units of a user's manager are installed")
    user = found.place.user
    if found.lingers:
        return Row("manager", looked_at, f"it does: {user} lingers")
    means = "nothing wakes torpord after that"
    mend = f"loginctl enable-linger {shlex.quote(user)}"
    return Row("manager", looked_at, f"it goes with the last login of {user}", "note", means, mend)


def _manager(subject: Subject) -> Row:
    found = look_at_units(subject).found
    asked = found is not None and found.is_there and found.place.manager != "launchd"
    return judge_manager(found, systemd.is_too_old(found.place) if found is not None and asked else "")


CHECKS = (
    Check("units", lambda subject: judge_units(look_at_units(subject)), _mend_units, is_alone=False),
    Check("limits", lambda subject: judge_limits(look_at_limits(subject))),
    Check("manager", _manager),
)
