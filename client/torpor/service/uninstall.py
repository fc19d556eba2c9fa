"""Uninstalling: exactly what torpor wrote for this home goes; what somebody changed stays, and is named."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from torpor import wire
from torpor.service import files, launchd, look, markers, record, systemd
from torpor.service.lines import Line, short
from torpor.service.wrong import Wrong

if TYPE_CHECKING:
    from torpor.service.names import Place


def uninstall(place: Place, *, force: bool = False) -> tuple[list[Line], list[str]]:
    """Stop and disable the units of a home and remove their files. Returns what was done, and the paths that stay.

    A daemon that serves answers what it has received. `force` removes files that were edited, too; never one that is
    not torpor's. Raises Wrong; OSError.
    """
    place = look.at(place)
    there = [name for name in place.files if _is_of(place, name)]
    there += [name for name in place.shared if there and _is_last(place)]
    judged = {name: markers.judged(os.path.join(place.directory, name), None) for name in {*place.files, *there}}
    respected = ("foreign",) if force else ("foreign", "edited")
    staying = [os.path.join(place.directory, name) for name in sorted(judged) if judged[name] in respected]
    if not there:
        _swept(place)
        return [Line("found", f"nothing of torpor's is installed for {place.home}")], staying
    told = _forgotten(place) if place.manager == "launchd" else _stopped(place, there)
    removed = []
    for name in there:
        path = os.path.join(place.directory, name)
        if path not in staying:
            with contextlib.suppress(FileNotFoundError):  # by somebody else who uninstalls
                os.unlink(path)
            removed.append(name)
    _swept(place)
    if place.manager != "launchd":
        systemd.told(place, "daemon-reload")
        systemd.systemctl(
            place, "reset-failed", *(name for name in there if name in place.files)
        )  # nothing has failed, mostly
    record.remove(place.home)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(os.path.join(place.home, wire.WAKE_AT_NAME))  # its timer is gone
    if removed:
        told.append(Line("removed", short(os.path.join(place.directory, ", ".join(removed)))))
    for name in there:
        if os.path.isdir(drop_ins := os.path.join(place.directory, f"{name}.d")):
            told.append(Line("stays", f"{short(drop_ins)}: yours"))
    return [*told, Line("stays", f"{short(place.home)}: the home, with all that torpor knows")], staying


def _is_of(place: Place, name: str) -> bool:
    marker = markers.read(os.path.join(place.directory, name))
    return marker is not None and marker.home in look.homes(place)


def _is_last(place: Place) -> bool:
    """Say whether no other home needs what is shared."""
    sockets = (name for name, _ in markers.found(place.directory, (".socket",)))
    return not [name for name in sockets if name.startswith("torpord-keeper@") and name not in place.files]


def _forgotten(place: Place) -> list[Line]:
    """Have launchd forget the jobs. Raises Wrong; OSError."""
    told = launchd.stopped(place)
    launchd.disarmed(place)
    return told


def _stopped(place: Place, there: list[str]) -> list[Line]:
    """Disable and stop the units that are ours. Raises Wrong."""
    if place.manager == "systemd-user" and not systemd.is_here():
        return []
    systemd.reach(place)
    doors = [name for name in there if name in place.doors]
    if doors:
        systemd.told(place, "disable", *doors)
        systemd.told(place, "stop", *doors, limit_s=systemd.STOP_LIMIT_S)
    if place.files[0] in there:
        systemd.told(place, "stop", place.files[0], limit_s=systemd.STOP_LIMIT_S)
    systemd.systemctl(place, "--quiet", "stop", place.timer)  # 5 where nothing is planned
    return [Line("stopped", ", ".join(name for name in there if name in place.files))]


def _swept(place: Place) -> None:
    """Remove what a killed install left beside the files, and links of what starts with the machine to files gone."""
    if not os.path.isdir(place.directory):
        return
    for name in (*place.files, *place.shared):
        files.left_over(os.path.join(place.directory, name))
        for folder in ("sockets.target.wants", "paths.target.wants", "timers.target.wants"):
            link = os.path.join(place.directory, folder, name)
            if os.path.islink(link) and not os.path.exists(link):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(link)
    files.sync(place.directory)


def refuse(staying: list[str]) -> None:
    """Raise Wrong 65 where something stays."""
    if staying:
        said = ", ".join(map(short, staying))
        raise Wrong(
            wire.EX_DATAERR,
            f"{said}: edited by hand, or not torpor's, and stays; --force removes what was edited",
        )
