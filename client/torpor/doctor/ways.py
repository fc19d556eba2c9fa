"""What brings the daemon back: the ways that were seen to work, and the timer for what is planned."""

from __future__ import annotations

import contextlib
import math
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from torpor import durations, presence, wire
from torpor.doctor.places import is_down
from torpor.doctor.rows import Check, Row
from torpor.doctor.units import look_at_units
from torpor.errors import Unreachable
from torpor.service import names, systemd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torpor.doctor.subject import Subject

# A wake that was due so long ago and is still planned by a daemon that is down: nothing came.
_LATE_S = 60.0


def of_kind(*, managed: bool) -> tuple[str, ...]:
    """Return the ways there are: a service manager's, or the one of a daemon that clients start."""
    return ("connect", "wake.signal", "wake.d", "timer") if managed else ("spawn",)


def is_managed(told: Mapping[str, Any]) -> bool:
    """Say whether a service manager starts the daemon, by what it told last."""
    return told.get("supervisor") in ("systemd", "launchd")


@dataclass(frozen=True, slots=True)
class WaysFacts:
    """The ways of this home, and when each was last seen to work; `proven` None: no daemon has told."""

    ways: tuple[str, ...]
    proven: Mapping[str, Mapping[str, Any]] | None
    version: str
    wall_s: float


def look_at_ways(subject: Subject) -> WaysFacts:
    """Take the word of the daemon, else of its state file."""
    told: Mapping[str, Any] = {**subject.status} if subject.status else subject.known or {}
    proven = told.get("ways_back")
    ways = of_kind(managed=is_managed(told))
    if isinstance(proven, dict):  # of a state file, which anybody may have written to
        proven = {way: proof for way, proof in proven.items() if isinstance(proof, dict)}
    return WaysFacts(ways, proven if isinstance(proven, dict) else None, subject.installed.version, subject.wall_s)


def judge_ways(facts: WaysFacts) -> Row:
    """Name those that were never seen to work: they may be broken for long before anybody hears of it."""
    looked_at = "the ways back, and when each was last seen to work"
    if facts.proven is None:
        return Row("ways", looked_at, "not looked at: no daemon has told of them yet", "note")
    told = ", ".join(f"{way} {_seen(facts.proven.get(way), facts.wall_s)}" for way in facts.ways)
    never = [way for way in facts.ways if way not in facts.proven]
    older = [way for way in facts.ways if way not in never and facts.proven[way].get("version") != facts.version]
    if never:
        means = "nobody knows whether it wakes by those that never did"
    elif older:
        means = f"{', '.join(older)}: by another version than this {facts.version}"
    else:
        return Row("ways", looked_at, told)
    return Row("ways", looked_at, told, "note", means, "torpor doctor wake-test")


def _seen(proof: Mapping[str, Any] | None, wall_s: float) -> str:
    if proof is None:
        return "never"
    at_s = _seconds(proof.get("ts"))
    ago = "at an unknown time" if at_s is None else f"{durations.show(wall_s - at_s)} ago"
    took_s = proof.get("took_s")
    return f"{ago} (took {took_s:.2f} s)" if isinstance(took_s, int | float) else ago


@dataclass(frozen=True, slots=True)
class PlannedFacts:
    """What is planned (the wire's times, "" for nothing) by the daemon, by `wake.at`, and by the manager's timer.

    `timer` None: nobody could be asked. `problem`: why the manager took no timer, by the daemon's word; `being_set`: it
    is at it. `install`: the command for the units, where there is a service manager that would take them.
    """

    up: bool
    managed: bool
    stopped: bool = False
    wanted: str = ""
    file: str = ""
    timer: str | None = None
    unit: str = "the timer"
    problem: str = ""
    being_set: bool = False
    can_clear: bool = False
    install: str = ""
    wall_s: float = field(default_factory=time.time)


def look_at_planned(subject: Subject) -> PlannedFacts:
    """Compare what three say: the daemon or its state file, the file for the boot, and the service manager."""
    status, known = subject.status, subject.known or {}
    told: Mapping[str, Any] = {**status} if status else known
    why: Mapping[str, Any] = {**subject.said.why} if subject.said and subject.said.why else {}
    said: Mapping[str, Any] = why.get("planned") or {}
    # Without a service manager none is asked for a timer, and what is planned is planned all the same.
    wanted = (said.get("wanted") if said and is_managed(told) else told.get("next_wake_ts")) or ""
    asked = look_at_units(subject)
    units = asked.found
    place = units.place if units is not None else None
    return PlannedFacts(
        up=subject.up,
        managed=is_managed(told),
        stopped=not subject.up and presence.was_stopped(subject.home, subject.known),
        wanted=str(wanted),
        file=_file(subject),
        timer=units.armed if units is not None else None,
        unit=place.timer if place is not None and place.manager != "launchd" else "the timer",
        problem=str(said.get("problem") or ""),
        being_set=bool(said) and said.get("wanted") != said.get("armed"),
        can_clear=place is not None and place.manager == "systemd-user",
        install="" if place is None or asked.problem or asked.unreachable else names.install_command(place),
        wall_s=subject.wall_s,
    )


def _file(subject: Subject) -> str:
    try:
        return presence.noted(subject.path(wire.WAKE_AT_NAME), 100).decode(errors="replace").strip() or "no time"
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _seconds(ts: object) -> float | None:
    try:
        return datetime.fromisoformat(str(ts)).timestamp()
    except ValueError:
        return None


def _same(one: str, other: str) -> bool:
    """Say whether two times are one: a timer has whole seconds, the next one where a slot's lies between."""
    first, second = _seconds(one), _seconds(other)
    return first is not None and second is not None and math.ceil(first) == math.ceil(second)


def _shown(ts: str) -> str:
    at_s = _seconds(ts)
    return ts if at_s is None else datetime.fromtimestamp(at_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def judge_planned(facts: PlannedFacts) -> Row:
    """For a slot that is due while the daemon is down, somebody else must ring."""
    looked_at = f"what is planned: the daemon's word, {wire.WAKE_AT_NAME} and the service manager's timer"
    if not facts.wanted and (facts.up or facts.stopped or not (facts.file or facts.timer)):
        return Row("planned", looked_at, "nothing" if not facts.stopped else "nothing: it was told to stay down")
    if not facts.wanted:
        return _judge_stale(facts, looked_at)
    when = _shown(facts.wanted)
    if facts.stopped:
        found, means = f"{when}, and it was told to stay down", "a slot that comes to be due waits for the next start"
        return Row("planned", looked_at, found, "note", means, "torpor start")
    if not facts.managed:
        means = "nobody starts one that is down then; one that is up stays for what is near (planned_reach)"
        return Row("planned", looked_at, f"{when}, and no service manager", "note", means, facts.install or None)
    if facts.problem:
        found = f"{when}, and the service manager takes no timer: {facts.problem}"
        means = "it stays up for what is near, and what is far waits for the next start"
        return Row("planned", looked_at, found, "finding", means, "torpor log --kind wake_not_armed -n 1")
    if facts.being_set:
        return Row("planned", looked_at, f"{when}: the timer is just being set", "note")
    return _compare(facts, looked_at, when)


def _judge_stale(facts: PlannedFacts, looked_at: str) -> Row:
    who = [f"{wire.WAKE_AT_NAME} says {facts.file}"] if facts.file else []
    who += [f"{facts.unit} rings at {facts.timer}"] if facts.timer else []
    found = f"nothing, and yet {' and '.join(who)}"
    fix: Literal["would"] | None = "would" if facts.can_clear else None
    return Row("planned", looked_at, found, "finding", "it is started once for nothing", "torpor wake", fix)


def _compare(facts: PlannedFacts, looked_at: str, when: str) -> Row:
    wrong = [] if _same(facts.file, facts.wanted) else [f"{wire.WAKE_AT_NAME} says {facts.file or 'nothing'}"]
    if facts.timer is not None and not _same(facts.timer, facts.wanted):
        wrong.append(f"{facts.unit} is {f'for {facts.timer}' if facts.timer else 'not there'}")
    late_s = facts.wall_s - (_seconds(facts.wanted) or facts.wall_s)
    if not facts.up and late_s > _LATE_S:
        wrong.append(f"that was {durations.show(late_s)} ago")
    if wrong:
        means = "after a crash nothing would start it then" if facts.up else "nothing starts it then"
        mend = "torpor restart" if facts.up else "torpor wake"
        return Row("planned", looked_at, f"{when}, and {', '.join(wrong)}", "finding", means, mend)
    if facts.timer is None:
        return Row(
            "planned", looked_at, f"{when}, and so says {wire.WAKE_AT_NAME}; the timer was not looked at", "note"
        )
    return Row("planned", looked_at, f"{when}: {wire.WAKE_AT_NAME} and {facts.unit} agree")


def _clear(subject: Subject) -> str:
    """Take away what would start a daemon for nothing. One that has come up meanwhile does so by itself."""
    if not is_down(subject.home):
        return "a daemon came up, and clears it by itself"
    found = look_at_units(subject).found
    if found is not None and found.is_there:
        ran = systemd.systemctl(found.place, "--quiet", "stop", found.place.timer)
        if ran.status not in (0, _NOT_LOADED):
            raise Unreachable(f"{found.place.timer} cannot be stopped: {ran.words}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(subject.path(wire.WAKE_AT_NAME))
    return f"removed {wire.WAKE_AT_NAME}, and the timer"


_NOT_LOADED = 5  # systemctl(1): there is no such unit

CHECKS = (
    Check("ways", lambda subject: judge_ways(look_at_ways(subject))),
    Check("planned", lambda subject: judge_planned(look_at_planned(subject)), _clear),
)
