"""What is not as it should be with an installation: found from what is known of it, asking nobody."""

from __future__ import annotations

import math
import os
import shlex
from datetime import datetime
from typing import TYPE_CHECKING

from torpor import home as homes
from torpor.service import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torpor.service.look import Installation, Unit


def of(found: Installation) -> Iterator[tuple[str, str, str]]:
    """Yield what each problem is about (a unit's name mostly), what was found, and the command that mends it."""
    install = names.install_command(found.place)
    if found.unasked and (found.place.manager != "systemd-system" or os.geteuid() == 0):
        yield "manager", found.unasked, f"loginctl enable-linger {shlex.quote(found.place.user)}"
    if not os.path.isdir(found.place.home):
        mend = f"torpor service uninstall --home {shlex.quote(found.place.home)}"
        yield "home", "not there: if it was moved, install it where it lies now, else", mend
    for unit in found.units:
        if said := _wrong(found, unit):
            keeps = " --force (keeps yours)" if unit.judged in ("edited", "foreign") else ""
            yield unit.name, said, install + keeps
    if not found.interpreter_there:
        yield "interpreter", f"{found.interpreter} is gone: no daemon can start", install
    if said := _unarmed(found):
        yield "planned", said, homes.command("torpor start", found.place.home)


def _wrong(found: Installation, unit: Unit) -> str:
    match unit.judged:
        case "absent":
            return "not there"
        case "foreign":
            return "not torpor's"
        case "edited":
            return "edited by hand, or cut short"
        case "outdated":
            moved = unit.home not in ("", found.place.home)
            return f"for {unit.home}, which was moved here" if moved else "not as this torpor would write it"
        case "ours":
            pass
    if found.place.manager == "launchd":
        return "" if unit.active else "launchd does not know it"
    return "" if found.unasked or unit.name in found.place.shared else _wrong_in_systemd(found, unit)


def _wrong_in_systemd(found: Installation, unit: Unit) -> str:
    place = found.place
    # What goes by a condition: the boot timer where something is planned, all but the keeper where torpor is wanted.
    may_rest = unit.name in (place.shut if found.is_stopped else (place.boot_timer,))
    if unit.load != "loaded":
        return f"the service manager says {unit.load or 'nothing'}"
    if unit.needs_reload:
        return "the service manager has not read it anew"
    if unit.active == "failed":
        return f"failed: {unit.result}"
    if unit.name in place.doors and unit.active != "active" and not may_rest:
        return f"{unit.active}, so it starts nothing"
    if unit.name in place.doors and unit.enabled != "enabled":
        return f"{unit.enabled}: gone with the next boot"
    if unit.name == f"{place.unit}.socket" and unit.listens_at not in ("", place.socket):
        return f"listens at {unit.listens_at}, and not at {place.socket}"
    if unit.name == f"{place.unit}.socket" and unit.active == "active" and _is_gone(place.socket):
        return f"nobody finds it: {place.socket} is gone"
    return ""


def _is_gone(path: str) -> bool:
    """Say whether nothing lies there; not known, to somebody who may not look, is not gone."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _unarmed(found: Installation) -> str:
    """Say that nobody starts a daemon that is down for what it has planned; one that is up arms the timer itself."""
    service = found.units[0]
    if not found.planned or found.is_stopped or found.armed is None or service.active not in ("inactive", "failed"):
        return ""
    if _second(found.planned) == _second(found.armed):
        return ""
    return (
        f"a start at {found.planned}, and {found.place.timer} is {f'for {found.armed}' if found.armed else 'not there'}"
    )


def _second(ts: str) -> int | None:
    try:
        return math.ceil(datetime.fromisoformat(ts).timestamp())
    except ValueError:
        return None
