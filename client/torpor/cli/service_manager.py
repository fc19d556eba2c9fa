"""Telling the service manager what `torpor start` and `torpor stop` mean: it holds the socket, also when we stop.

Which units those are is what `torpor service install` left in the home; without that, what the shipped ones are called.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torpor.cli import streams
from torpor.service import record

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMIT_S = 15
_UNIT = re.compile(r"torpord(-[a-z0-9-]+|@[A-Za-z0-9_][A-Za-z0-9_.-]*)?")


def start_units(home: str) -> None:
    """Start what starts the daemon of `home`. Where that fails, say so: the daemon is then started without it."""
    _tell("start", home, "starting torpord without them")


def stop_units(home: str) -> None:
    """Stop what starts the daemon of `home`, so that no connection and no file does. Where that fails, say so."""
    _tell("stop", home, "the next connection or file will start torpord again")


def _tell(what: str, home: str, otherwise: str) -> None:
    known = record.read(home) or {}
    if known.get("manager") == "launchd":
        _tell_launchd(what, home, known, otherwise)
        return
    command = _command(what, known)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except FileNotFoundError:
        found = f"there is no {command[0]}"
    except subprocess.TimeoutExpired:
        found = f"no answer within {_LIMIT_S} s"
    else:
        if done.returncode == 0:
            return
        found = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
    streams.complain(f"`{' '.join(command)}` failed ({found}): {otherwise}")


def _command(what: str, known: Mapping[str, Any]) -> list[str]:
    unit = known.get("unit")
    # The file is the user's to write, and root may be the one who reads it: a name of ours, and no option.
    if not isinstance(unit, str) or not _UNIT.fullmatch(unit):
        unit = "torpord"
    # Root without a session of its own is the system's manager's, see systemctl(1) on --user.
    is_roots = os.geteuid() == 0 and not os.environ.get("XDG_RUNTIME_DIR")
    whose = [] if known.get("manager") == "systemd-system" or is_roots else ["--user"]
    return ["systemctl", *whose, what, f"{unit}.socket", f"{unit}.path"]


def _tell_launchd(what: str, home: str, known: Mapping[str, Any], otherwise: str) -> None:
    from torpor.service import launchd, names  # noqa: PLC0415 - on macOS
    from torpor.service.wrong import Wrong  # noqa: PLC0415 - likewise

    place = names.place(home, system=False, platform="darwin")
    place = replace(place, unit=str(known.get("unit") or place.unit))
    try:
        if what == "start":
            launchd.started(place, [])
        else:
            launchd.stopped(place)
    except Wrong as wrong:
        streams.complain(f"{wrong}: {otherwise}")
