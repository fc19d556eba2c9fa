"""service install, uninstall and status: torpor in the care of this machine's service manager."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING, Any

from torpor import home as homes
from torpor import presence, wire
from torpor.cli import show
from torpor.cli.parsing import UsageError
from torpor.service import install as installing
from torpor.service import look as looking
from torpor.service import names
from torpor.service import uninstall as uninstalling
from torpor.service.lines import Line, short
from torpor.service.wrong import Wrong

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

# As a service's own: 3 is a service that is not there.
_NOT_INSTALLED = wire.EX_DOWN
_FINDINGS = 1
_OPEN = {"socket": "listening", "path": "watching", "timer": "waiting"}


def install(args: argparse.Namespace) -> int:
    """Write, enable and start the units of this installation."""

    def work() -> int:
        place = _place(args)
        told = installing.install(place if args.name else looking.at(place), force=args.force)
        _print(args, told, {"unit": place.unit, "home": place.home})
        return wire.EX_OK

    return _told(work)


def uninstall(args: argparse.Namespace) -> int:
    """Take away what was installed."""

    def work() -> int:
        place = _place(args)
        told, staying = uninstalling.uninstall(place, force=args.force)
        _print(args, told, {"unit": place.unit, "home": place.home, "stays": staying})
        uninstalling.refuse(staying)
        return wire.EX_OK

    return _told(work)


def status(args: argparse.Namespace) -> int:
    """Say what is installed, and what is wrong with it: exit 0 nothing, 1 something, 3 it is not installed."""

    def work() -> int:
        found = looking.look(_place(args))
        if args.json:
            show.print_json(_json(found))
        else:
            print("\n".join(_lines(found)))
        if not found.is_there:
            return _NOT_INSTALLED
        return _FINDINGS if found.problems else wire.EX_OK

    return _told(work)


def _place(args: argparse.Namespace) -> names.Place:
    if args.user and args.system:
        raise Wrong(wire.EX_USAGE, "--user or --system: one of them")
    whose = getattr(args, "for")
    parent, user = os.path.split(homes.home_dir(args.home))
    if parent == names.SYSTEM_HOMES and not (args.user or args.system or args.name or whose):
        # TORPOR_HOME says it already: two managers for one home would be one too many.
        return names.place(None, system=True, user=user)
    return names.place(args.home, system=args.system, name=args.name, user=whose)


def _told(work: Callable[[], int]) -> int:
    """Do it, and say in the command line's way what went wrong. Raises UsageError with the exit status."""
    try:
        return work()
    except Wrong as wrong:
        raise UsageError(str(wrong), wrong.status) from wrong
    except PermissionError as error:
        raise UsageError(f"not permitted: {error.strerror} at {error.filename}", wire.EX_NOPERM) from error
    except OSError as error:
        if error.filename is None:
            raise  # about standard output
        raise UsageError(f"{error.filename}: {error.strerror}: mend that, then again", wire.EX_UNAVAILABLE) from error


def _print(args: argparse.Namespace, told: list[Line], found: dict[str, Any]) -> None:
    if args.json:
        show.print_json(found | {"lines": [dataclasses.asdict(line) for line in told]})
        return
    for line in told:
        print(f"{line.word:9} {line.text}")


def _json(found: looking.Installation) -> dict[str, Any]:
    return {
        "manager": found.place.manager,
        "unit": found.place.unit,
        "home": found.place.home,
        "socket": found.place.socket,
        "installed": found.is_there,
        "units": [dataclasses.asdict(unit) for unit in found.units],
        "interpreter": found.interpreter,
        "interpreter_there": found.interpreter_there,
        "lingers": found.lingers,
        "unasked": found.unasked,
        "stopped": found.is_stopped,
        "planned": found.planned or None,
        "armed": found.armed,
        "problems": [dataclasses.asdict(problem) for problem in found.problems],
    }


def _lines(found: looking.Installation) -> Iterator[str]:
    if not found.is_there:
        yield f"not installed for {found.place.home}: {names.install_command(found.place)}"
    wrong = {problem.unit: problem for problem in found.problems}
    rows = [(unit.name, _whose(unit), _state(found, unit)) for unit in found.units if _is_shown(found, unit)]
    of_name, of_whose, of_state = (max((len(row[at]) for row in rows), default=0) for at in range(3))
    for name, whose, state in rows:
        problem = wrong.pop(name, None)
        mend = f"-> {problem.found}: {problem.mend}" if problem is not None else ""
        yield f"{name:{of_name}}  {whose:{of_whose}}  {state:{of_state}}  {mend}".rstrip()
    for unit in found.units:
        for path in unit.drop_ins:
            yield f"drop-in      {short(path)}, of {unit.name}"
    if not found.is_there:
        return
    gone = wrong.get("home")
    yield f"home         {found.place.home}" + (f"  -> {gone.found}: {gone.mend}" if gone is not None else "")
    yield f"interpreter  {found.interpreter}   {_interpreter(found)}"
    if found.is_stopped:
        yield f"stopped      torpor was told to stay down: {homes.command('torpor start', found.place.home)}"
    elif found.planned:
        armed = "whether that is armed, nobody says" if found.armed is None else "armed" if found.armed else "not armed"
        unarmed = wrong.get("planned")
        mend = f"  -> {unarmed.found}: {unarmed.mend}" if unarmed is not None else ""
        yield f"planned      {show.moment(found.planned)}, {armed}{mend}"
    if found.lingers is not None:
        off = f"off: torpor lives while {found.place.user} is logged in (loginctl enable-linger {found.place.user})"
        yield f"linger       {'on' if found.lingers else off}"
    if found.unasked:
        as_root = f" (sudo torpor service status --system --for {found.place.user})"
        yield f"manager      {found.unasked}{as_root if found.place.manager == 'systemd-system' else ''}"


def _is_shown(found: looking.Installation, unit: looking.Unit) -> bool:
    return found.is_there or unit.judged != "absent"


def _interpreter(found: looking.Installation) -> str:
    if not found.interpreter_there:
        return f"gone: {names.install_command(found.place)}, with a torpor that is there"
    return "there, the one of this torpor" if found.interpreter == sys.executable else "there, not that of this torpor"


def _whose(unit: looking.Unit) -> str:
    words = {"edited": "edited", "foreign": "not torpor's", "absent": "not there"}
    return words.get(unit.judged) or f"{unit.judged}, version {unit.version}"


def _state(found: looking.Installation, unit: looking.Unit) -> str:
    place = found.place
    if place.manager == "launchd":
        return unit.active or "not known to launchd"
    if unit.name in place.shared:
        return ""
    if not unit.active:
        return "not asked"
    if unit.name == place.files[0]:
        resting = _resting(found) if unit.active == "inactive" and unit.result == "success" else ""
        return f"{unit.active}{resting and f' ({resting})'}, {unit.restarts} restarts"
    if unit.name == place.boot_timer and unit.active in ("active", "inactive"):
        waits = found.planned and not found.is_stopped
        state = "starts it after a boot" if waits else "nothing planned"
    else:
        # systemd says "running" of a door whose service is up, though it is as open as before.
        kind = unit.name.rpartition(".")[2]
        state = _OPEN[kind] if unit.active == "active" else unit.active
    return f"{state}, {unit.enabled or 'not enabled'}"


def _resting(found: looking.Installation) -> str:
    """Say how a daemon came to be down that its manager calls inactive; "" where that cannot be seen."""
    if found.is_stopped:
        return "stopped"
    known = presence.last_known(found.place.home)
    if known is None:
        return "it has not run yet" if _is_missing(os.path.join(found.place.home, wire.STATE_NAME)) else ""
    state = known.get("current_state")
    if state == "HIBERNATION":
        return "it hibernates"
    return f"it went down in {state}" if state in wire.STATES else ""


def _is_missing(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:  # somebody else's home
        return False
    return False
