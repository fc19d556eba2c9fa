"""Installing: all or nothing is written, and what was begun and did not end is completed by doing it again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from torpor import home as homes
from torpor import presence, spool, wire
from torpor.service import files, fitness, launchd, look, markers, own_daemon, record, systemd, texts
from torpor.service.lines import Line, short
from torpor.service.wrong import Wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torpor.service.names import Place

_VERIFIED = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "Listen")


def install(place: Place, *, force: bool = False) -> list[Line]:
    """Write, enable and start the units of a home; done already, it only makes sure of it. Returns what was done.

    `force`: files that somebody edited, or that are not torpor's, are put aside instead of being respected.
    Raises Wrong, NotPermitted or BadHome, with nothing written but where it says so; OSError.
    """
    program = fitness.interpreter()
    if place.manager == "launchd":
        launchd.reach(place)
    else:
        systemd.reach(place)
    found = look.at(place)
    if found.unit != place.unit:
        uninstall = homes.command("torpor service uninstall", place.home)
        raise Wrong(wire.EX_DATAERR, f"{place.home} is served by {found.unit} already: {uninstall} first")
    place = found
    if other := look.elsewhere(place):
        raise Wrong(wire.EX_DATAERR, f"{place.home} is served by {other} already: uninstall that first")
    fitness.check(place, program)
    wanted = launchd.texts(place, program) if place.manager == "launchd" else texts.texts(place, program)
    if place.manager != "systemd-system":
        spool.make_home(place.home)
    with own_daemon.nobody_spawns(place):
        stale = _stale(place, wanted, force=force)
        ended = own_daemon.make_way(place)
        told = [] if ended is None else [Line("ended", f"the daemon that a client had started{ended}")]
        astray = place.manager != "launchd" and _is_astray(place, wanted)
        told += _written(place, stale, wanted)
        told += launchd.started(place, stale) if place.manager == "launchd" else _started(place, stale, astray=astray)
        record.write(place, program, wanted)
        if ended is not None:
            _bring_back(place)
            told.append(Line("started", "in its place: it goes on with all that it had"))
        elif at := _nobody_rings(place):
            _bring_back(place)
            told.append(Line("started", f"to have a timer set for what it has planned, at {at}"))
    return [*told, *_next(place)]


def repair(installation: look.Installation) -> list[Line]:
    """Bring an installation up to date, as `install` without `force`. Raises as that."""
    return install(installation.place)


def _stale(place: Place, wanted: Mapping[str, str], *, force: bool) -> list[str]:
    """Return the names of the files that are to be written. Raises Wrong 65 where one is not ours to write over."""
    stale, others = [], []
    for name, text in wanted.items():
        path = os.path.join(place.directory, name)
        marker = markers.read(path)
        if marker is not None and marker.home not in look.homes(place) and os.path.isdir(marker.home):
            raise Wrong(wire.EX_DATAERR, f"the name {place.unit} serves {marker.home}: choose another with --name")
        judged = markers.judged(path, text)
        if judged in ("foreign", "edited"):
            others.append((path, "is not torpor's" if judged == "foreign" else "was edited by hand, or cut short"))
        if marker is None or judged != "ours" or _said(marker) != _said(markers.parsed(text)):
            stale.append(name)
    if others and not force:
        said = "; ".join(f"{short(path)} {how}" for path, how in others)
        raise Wrong(wire.EX_DATAERR, f"{said}: nothing was written; --force keeps it as {others[0][0]}.before-torpor.1")
    return stale


def _said(marker: markers.Marker | None) -> tuple[str, str]:
    """Return what a file is for and does, whichever version wrote it."""
    return ("", "") if marker is None else (marker.home, marker.body)


def _written(place: Place, stale: list[str], wanted: Mapping[str, str]) -> list[Line]:
    told = []
    os.makedirs(place.directory, exist_ok=True)
    for name in stale:
        path = os.path.join(place.directory, name)
        if markers.judged(path, None) in ("foreign", "edited"):
            told.append(Line("kept", short(files.put_aside(path))))
        files.write(path, wanted[name])
    if not stale:
        return [Line("found", "already installed")]
    return [*told, Line("written", short(os.path.join(place.directory, ", ".join(stale))))]


def _is_astray(place: Place, wanted: Mapping[str, str]) -> bool:
    """Say whether nobody finds the door as it was opened: it is to be elsewhere, or what lay there was removed.

    Once the home was moved, whoever connects there reaches a daemon of where it was.
    """
    name = f"{place.unit}.socket"
    marker = markers.read(os.path.join(place.directory, name))
    if marker is None:
        return False
    return not os.path.lexists(place.socket) or _listens(marker.body) != _listens(wanted[name])


def _listens(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("ListenStream=")]


def _started(place: Place, stale: list[str], *, astray: bool) -> list[Line]:
    """Have systemd read the units, and enable and start what starts the service. Raises Wrong 69.

    `astray`: the socket is opened anew, and the service, which nobody finds, is started again behind it.
    """
    systemd.told(place, "daemon-reload")
    before = systemd.show(place, place.files, ("ActiveState", "Listen"))
    systemd.systemctl(place, "reset-failed", *place.files)  # 1 where there is nothing of them yet
    systemd.told(place, "enable", *place.doors)
    is_up = before.of(place.files[0], "ActiveState") in ("active", "activating")
    door = f"{place.unit}.socket"
    anew = [*stale, *([door] if astray and door not in stale else [])]
    changed = [name for name in anew if name in place.doors and before.of(name, "ActiveState") == "active"]
    # Restarting the socket restarts the service: never behind anybody's back.
    kept = door if is_up and not astray else ""
    if again := [name for name in changed if name != kept]:
        systemd.told(place, "restart", *again, limit_s=systemd.STOP_LIMIT_S)
    systemd.told(place, "start", *place.doors)
    _verify(place, is_listening=kept not in changed)
    stays = "closed, as torpor was told to stay down" if look.is_stopped(place) else f"listening at {place.socket}"
    told = [Line("enabled", f"{', '.join(place.doors)}: {stays}")]
    if astray and is_up:
        told.append(Line("restarted", f"{place.files[0]}, which nobody could find at its socket"))
    elif stale and is_up:
        restart = homes.command("torpor restart", place.home)
        told.append(Line("running", f"as it was started: `{restart}` makes it the one that was written now"))
    return told


def _bring_back(place: Place) -> None:
    """Have a daemon started, and wait until it is up: who asks next is not to find it down. Raises Wrong 69 or 75."""
    own_daemon.bring_back(place)
    if place.manager != "launchd":
        # The connection is why it starts, and this the same job.
        systemd.told(place, "start", place.files[0], limit_s=systemd.STOP_LIMIT_S)


def _nobody_rings(place: Place) -> str:
    """Return when a daemon that is down is to start, where no timer knows of it: its units are new. Else "".

    The timer of units that were taken away is gone with them, and so is `wake.at`, which the boot timer goes by.
    """
    if look.is_stopped(place) or presence.is_up(place.home):
        return ""
    if os.path.lexists(os.path.join(place.home, wire.WAKE_AT_NAME)):
        return ""
    at = (presence.last_known(place.home) or {}).get("next_wake_ts")
    return at if isinstance(at, str) and at.isprintable() else ""


def _verify(place: Place, *, is_listening: bool) -> None:
    """Make sure that the manager has what was written. Raises Wrong 69 with its words."""
    shown = systemd.show(place, place.files, _VERIFIED)
    wrong = shown.problem
    # The boot timer is there for what is planned; what was told to stay down is enabled, and opened by `torpor start`.
    resting = place.shut if look.is_stopped(place) else (place.boot_timer,)
    for name in place.files:
        want = {"LoadState": "loaded", "NeedDaemonReload": "no"}
        if name in place.doors:
            want |= {"UnitFileState": "enabled"} | ({} if name in resting else {"ActiveState": "active"})
        for key, value in want.items():
            if not wrong and shown.of(name, key) != value:
                wrong = f"{name}: {key} is {shown.of(name, key) or 'not known'}"
    at = shown.listens_at(f"{place.unit}.socket")
    if not wrong and is_listening and at != place.socket:
        wrong = f"{place.unit}.socket listens at {at}: a drop-in of it says so"
    if wrong:
        said = f"all is written, and the service manager does not take it ({wrong}): mend that, then install again"
        raise Wrong(wire.EX_UNAVAILABLE, said)


def _next(place: Place) -> list[Line]:
    told = []
    if place.manager == "systemd-user" and not systemd.lingers(place.user):
        said = f"off: torpor lives while {place.user} is logged in; to keep it beyond: loginctl enable-linger"
        told.append(Line("linger", f"{said} {place.user}"))
    if place.manager != "launchd" and (version := systemd.is_too_old(place)):
        said = f"version {version} knows no TriggerLimitIntervalSec= of a path unit: very many files in wake.d"
        told.append(Line("systemd", f"{said} may stop {place.unit}.path"))
    if place.manager == "systemd-system":
        told.append(Line("clients", f"of {place.user} find it with: export TORPOR_HOME={place.home}"))
    if look.is_stopped(place):
        start = homes.command("torpor start", place.home)
        return [*told, Line("next", f"{start}   (nothing else starts what was stopped)")]
    wake = homes.command("torpor wake", place.home)
    return [*told, Line("next", f"{wake}    (or any `torpor send`, or a connection)")]
