"""Asking and telling systemd: the user's own manager, or the system's."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torpor import wire
from torpor.service import running
from torpor.service.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torpor.service.names import Place

_SYSTEM = "/run/systemd/system"
_LINGER = "/var/lib/systemd/linger"
# The service's own time to end (TimeoutStopSec=30s), and some.
STOP_LIMIT_S = 45.0
_TOO_OLD = 250  # TriggerLimitIntervalSec= of a path unit came with it
_WORDS_OF_A_TIME = 4  # Sat 2026-11-21 15:36:25 UTC
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_OWN_UNITS = ".control"  # what `systemctl set-property` and the like write lies beside one's own units


@dataclass(frozen=True, slots=True)
class Shown:
    """What the manager says about units: the properties of each by its name."""

    units: Mapping[str, Mapping[str, str]]
    problem: str

    def listens_at(self, unit: str) -> str:
        """Return the path at which a socket unit listens: it is shown as C would write it."""
        return _unescaped(self.of(unit, "Listen").removesuffix(" (Stream)"))

    def words(self, unit: str, name: str) -> tuple[str, ...]:
        """Return a property that is a list, in which a word with a space or the like is shown in quotes."""
        return _words(self.of(unit, name))

    def wakes_at(self, unit: str) -> str:
        """Return when a timer is to start its service, as the wire has times, "" where it does not."""
        shown = self.of(unit, "NextElapseUSecRealtime").split()
        if len(shown) != _WORDS_OF_A_TIME or shown[3] != "UTC" or self.of(unit, "ActiveState") != "active":
            return ""
        return f"{shown[1]}T{shown[2]}Z"

    def of(self, unit: str, name: str) -> str:
        """Return a property, "" where the manager said nothing."""
        return self.units.get(unit, {}).get(name, "")


def is_here() -> bool:
    """Say whether this machine was booted by systemd, as sd_booted(3) does."""
    return os.path.isdir(_SYSTEM)


def reach(place: Place) -> None:
    """Make sure that the manager can be told. Raises Wrong: 69 where there is none, 77 where only root may."""
    if place.manager == "systemd-system":
        if not is_here():
            raise Wrong(wire.EX_UNAVAILABLE, _nothing())
        if os.geteuid() != 0:
            said = f"sudo torpor service install --system --for {place.user}"
            raise Wrong(wire.EX_NOPERM, f"only root writes units of the system's manager: {said}")
        return
    if os.path.exists(os.path.join(runtime_dir(), "systemd", "private")):
        return
    if not is_here():
        raise Wrong(wire.EX_UNAVAILABLE, _nothing())
    raise Wrong(
        wire.EX_UNAVAILABLE,
        f"no user manager for this session (ssh without PAM, a container): loginctl enable-linger {place.user}"
        " and log in anew, or sudo torpor service install --system",
    )


def _nothing() -> str:
    return "neither systemd nor launchd runs here, so there is nothing to install: the client starts torpord by itself"


def runtime_dir() -> str:
    """Return where a user's manager has its socket."""
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"


def systemctl(place: Place, *words: str, limit_s: float = 15.0) -> running.Ran:
    """Tell the manager of `place` something; the words are those of its command line."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_CONFIG_HOME") if name in os.environ}
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", **kept, "LC_ALL": "C", "TZ": "UTC"}
    if place.manager == "systemd-system":
        return running.run(["systemctl", *words], environ, limit_s)
    return running.run(["systemctl", "--user", *words], environ | {"XDG_RUNTIME_DIR": runtime_dir()}, limit_s)


def told(place: Place, *words: str, limit_s: float = 15.0) -> None:
    """Run systemctl, and raise Wrong 69 with its words where it fails."""
    ran = systemctl(place, *words, limit_s=limit_s)
    if ran.status:
        flag = "" if place.manager == "systemd-system" else "--user "
        raise Wrong(wire.EX_UNAVAILABLE, f"`systemctl {flag}{' '.join(words)}` failed: {ran.words}")


def show(place: Place, units: Sequence[str], properties: Sequence[str]) -> Shown:
    """Return properties of units, all asked at once."""
    ran = systemctl(place, "show", *units, "-p", ",".join(properties))
    blocks = ran.out.split("\n\n")
    if ran.status or len(blocks) != len(units):
        return Shown({}, f"the service manager cannot be asked: {ran.words}")
    pairs = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
    return Shown(dict(zip(units, pairs, strict=True)), "")


def units_directory(place: Place) -> str:
    """Return where the user's manager reads her own units: its XDG_CONFIG_HOME counts, not that of who asks."""
    paths = _words(systemctl(place, "show", "-p", "UnitPath", "--value").out)
    own = (path.removesuffix(_OWN_UNITS) for path in paths if path.endswith(_OWN_UNITS))
    passing = f"{runtime_dir()}/systemd/"
    return next((path for path in own if path in paths and not path.startswith(passing)), place.directory)


def _words(shown: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\\(.)", r"\1", quoted) or plain for quoted, plain in _WORD.findall(shown))


def _unescaped(shown: str) -> str:
    def byte(found: re.Match[bytes]) -> bytes:
        told = found[1]
        return bytes([int(told, 8)]) if told.isdigit() else _LETTERS.get(told, told)

    return _ESCAPE.sub(byte, shown.encode()).decode(errors="surrogateescape")


def lingers(user: str) -> bool:
    """Say whether the user's manager runs without a login."""
    return os.path.exists(os.path.join(_LINGER, user))


def is_too_old(place: Place) -> str:
    """Return the version of a systemd that does not know all that the units say, "" where it does."""
    found = re.match(r"systemd (\d+)", systemctl(place, "--version").out)
    return found[1] if found is not None and int(found[1]) < _TOO_OLD else ""
