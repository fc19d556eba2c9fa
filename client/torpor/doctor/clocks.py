"""The clock, and whether this client and the daemon live in the same world: homes, sockets, versions."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import torpor
from torpor import errors, presence, versions, wire
from torpor import home as homes
from torpor.doctor import starts
from torpor.doctor.rows import Check, Row
from torpor.service import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torpor.doctor.subject import Subject

_AHEAD_S = 60.0
_NOT_BEFORE_S = 1_704_067_200.0  # 2024-01-01: no torpor was there earlier, a clock that says so was never set
_SYNCHRONIZED = "/run/systemd/timesync/synchronized"


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """The wall clock, the latest time the home speaks of (both seconds since 1970), and whether the clock is synced."""

    wall_s: float
    latest_s: float | None
    synchronized: bool


def look_at_clock(subject: Subject) -> ClockFacts:
    """Read the home's own times: of the state file, and of the daemon that is up."""
    known, status = subject.known or {}, subject.status
    said = [known.get("since_ts"), known.get("last_activity_ts")]
    said += [status["since_ts"], status["last_activity_ts"]] if status else []
    times = [time for time in map(_seconds, said) if time is not None]
    return ClockFacts(subject.wall_s, max(times, default=None), os.path.exists(_SYNCHRONIZED))


def _seconds(ts: object) -> float | None:
    try:
        return datetime.fromisoformat(str(ts)).timestamp()
    except ValueError:
        return None


def judge_clock(facts: ClockFacts) -> Row:
    """Slots and quarantines go by the wall clock; the rest of torpor does not."""
    looked_at = "the wall clock against the home's own times"
    shown = datetime.fromtimestamp(facts.wall_s).astimezone().isoformat(timespec="seconds")
    mend = None if sys.platform == "darwin" else "timedatectl set-ntp true"
    if facts.wall_s < _NOT_BEFORE_S:
        return Row("clock", looked_at, f"it is {shown}", "serious", "it was never set: no planned time is right", mend)
    ahead_s = 0.0 if facts.latest_s is None else facts.latest_s - facts.wall_s
    if ahead_s > _AHEAD_S:
        found = f"it is {shown}, and the home speaks of a time {ahead_s:.0f} s later"
        return Row(
            "clock", looked_at, found, "finding", "the clock was set back: slots and quarantines come late", mend
        )
    synced = (
        ""
        if sys.platform == "darwin"
        else ", synchronized"
        if facts.synchronized
        else ", not synchronized by timesyncd"
    )
    return Row("clock", looked_at, shown + synced)


@dataclass(frozen=True, slots=True)
class Around:
    """What this client goes by, and what the daemon does. `differs`: variables that decide more than where it looks."""

    home: str
    socket: str
    daemon_home: str | None
    daemon_socket: str | None
    other_home: str
    system_home: str
    differs: tuple[str, ...] = ()


def look_around(subject: Subject, environ: Mapping[str, str] = os.environ) -> Around:
    """Take the daemon's word for its environment, an older one's from the system; look for other homes of this user."""
    status, examined = subject.status, subject.examined
    theirs = examined["environ"] if examined else _environment(status["pid"]) if status else None
    daemon_socket = None
    if theirs is not None and status is not None:
        daemon_socket = homes.socket_path(status["home"], {"TORPOR_SOCKET": theirs.get("TORPOR_SOCKET", "")})
    default = homes.home_dir(None, {name: value for name, value in environ.items() if name != "TORPOR_HOME"})
    other = default if default != subject.home and _is_up(default) else ""
    user = names.own_name()
    system = os.path.join(names.SYSTEM_HOMES, user)
    elsewhere = (
        system if user and system != subject.home and os.path.exists(os.path.join(system, wire.LOCK_NAME)) else ""
    )
    daemon_home = status["home"] if status else None
    differs = _differs(theirs, environ) if theirs is not None else ()
    return Around(subject.home, subject.socket, daemon_home, daemon_socket, other, elsewhere, differs)


def _differs(theirs: Mapping[str, str], ours: Mapping[str, str]) -> tuple[str, ...]:
    """Name what is another there: whose files, which zone, whose manager; PATH and LANG are a shell's own."""
    told = []
    for name in ("HOME", "TZ", "XDG_RUNTIME_DIR"):
        one, other = theirs.get(name), ours.get(name)
        # One that is not set says nothing, but for the zone: then it is the machine's.
        if one != other and (name == "TZ" or (one and other)):
            told.append(f"{name} {one or 'not set'}, and here {other or 'not set'}")
    return tuple(told)


def _environment(pid: int) -> dict[str, str] | None:
    """Return what a process was started with; None where it may not be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            fields = file.read().split(b"\0")
    except OSError:
        return None
    return dict(os.fsdecode(field).partition("=")[::2] for field in fields if b"=" in field)


def _is_up(home: str) -> bool:
    try:
        return presence.is_up(home)
    except (errors.NotPermitted, errors.BadHome):
        return False


def _export(name: str, path: str) -> str:
    return f"export {name}={shlex.quote(path)}"


def judge_around(facts: Around) -> Row:
    """Client and daemon must mean the same places."""
    looked_at = "this client's environment against the daemon's"
    apart = "other programs of this user speak to another daemon, or to none"
    if facts.daemon_home is not None and os.path.realpath(facts.daemon_home) != os.path.realpath(facts.home):
        found = f"the daemon here says that its home is {facts.daemon_home}, and this client's is {facts.home}"
        return Row("environment", looked_at, found, "finding", apart, _export("TORPOR_HOME", facts.daemon_home))
    if facts.daemon_socket is not None and facts.daemon_socket != facts.socket:
        found = f"the daemon listens at {facts.daemon_socket}, and this client looks at {facts.socket}"
        return Row(
            "environment",
            looked_at,
            found,
            "finding",
            apart,
            _export("TORPOR_SOCKET", facts.daemon_socket),
        )
    if facts.system_home:
        found = f"there is a home of the system's manager, {facts.system_home}, and this is {facts.home}"
        return Row("environment", looked_at, found, "note", apart, _export("TORPOR_HOME", facts.system_home))
    if facts.other_home:
        return Row("environment", looked_at, f"a second daemon is up in {facts.other_home}", "note", apart)
    if facts.differs:
        found = f"the same home and socket; the daemon has {'; '.join(facts.differs)}"
        means = "its hooks, flows and times of day go by that"
        return Row("environment", looked_at, found, "note", means)
    shown = "no daemon to compare with" if facts.daemon_home is None else "the same home and socket"
    return Row("environment", looked_at, shown, "note" if facts.daemon_home is None else "ok")


@dataclass(frozen=True, slots=True)
class Versions:
    """The version that runs (None: none does), this one, and all that a shell would find, the first first.

    `installed`: what lies now where the running one was loaded from, None where that is gone; `changed`: it is another.
    """

    running: str | None
    here: str
    on_path: tuple[str, ...]
    installed: str | None = None
    changed: bool = False


def look_at_versions(subject: Subject, environ: Mapping[str, str] = os.environ) -> Versions:
    """Look along PATH for programs of torpor's name; a link and what it leads to are one."""
    found: dict[str, str] = {}
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        program = os.path.join(folder or ".", "torpor")
        if os.access(program, os.X_OK) and os.path.isfile(program):
            found.setdefault(os.path.realpath(program), program)
    running = subject.status["version"] if subject.status else None
    told: Mapping[str, Any] = {**subject.status} if subject.status else {}
    installed = told.get("installed") or {}  # an older one does not say
    changed = bool(installed.get("changed"))
    return Versions(running, torpor.__version__, tuple(found.values()), installed.get("version"), changed)


def judge_versions(facts: Versions) -> Row:
    """Client and daemon are installed together: another version is one that was not restarted, or another place's."""
    looked_at = "the versions of client and daemon"
    if facts.changed:
        now = f"{facts.installed} is installed there" if facts.installed else "what it was loaded from is gone"
        found = f"torpord {facts.running} runs, and {now} since it was started"
        means = "the older code runs until the next start, and parts of it may not load any more"
        return Row("version", looked_at, found, "finding", means, "torpor restart")
    if facts.running is not None and versions.is_older(facts.here, facts.running):
        found = f"torpord {facts.running} runs, and this is the older torpor {facts.here}"
        mend = starts.way_back(facts.running, sys.executable)
        return Row("version", looked_at, found, "finding", "what came since then this one does not know", mend)
    if facts.running is not None and facts.running != facts.here:
        found = f"torpord {facts.running} runs, and this is torpor {facts.here}"
        return Row("version", looked_at, found, "finding", "the other code runs until the next start", "torpor restart")
    found = f"torpor {facts.here}" + ("" if facts.running is None else ", and so is the daemon")
    if len(facts.on_path) > 1:
        found = f"{found}; on the PATH are {len(facts.on_path)}: {', '.join(facts.on_path)}"
        return Row("version", looked_at, found, "note", "the first one is what a shell runs")
    return Row("version", looked_at, found)


CHECKS = (
    Check("clock", lambda subject: judge_clock(look_at_clock(subject))),
    Check("environment", lambda subject: judge_around(look_around(subject))),
    Check("version", lambda subject: judge_versions(look_at_versions(subject))),
)
