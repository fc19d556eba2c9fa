"""start, stop, restart, hibernate, reload: the daemon's process."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import torpor
from torpor import durations, errors, presence, talk, versions, wire
from torpor import home as homes
from torpor.cli import service_manager, show, streams
from torpor.client import Client
from torpor.deadline import Deadline
from torpor.link import Link

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from torpor.replies import Status

_LOOK_EVERY_S = 0.02
# The lock is released before the very last steps of the process's end.
_AFTER_LOCK_S = 1.0


def start(args: argparse.Namespace) -> int:
    """Start the daemon, also after `torpor stop`; one that is up already is what was wanted."""
    directory = homes.home_dir(args.home)
    place = talk.Place(directory, homes.socket_path(directory))
    was_up = presence.is_up(directory)
    if not was_up:
        _open_the_door(directory)
    talker = talk.Talk(place, when_down="insist")
    deadline = Deadline(args.timeout)
    with contextlib.closing(Link(place)) as link:
        link.run(talker, talker.reach(), deadline)
        _await(directory, deadline)
    with Client(directory, timeout=args.timeout) as client:
        found = client.status()
    said = "is up already" if was_up else "is up"
    # An older one knows of none.
    doctor = homes.command("torpor doctor", directory)
    safely = f" in safe mode: `{doctor}` says why" if {**found}.get("safe_mode") else ""
    show.say(args, f"torpord {said}: {found['state']}, pid {found['pid']}{safely}", {"was_up": was_up, **found})
    return wire.EX_OK


def _open_the_door(home: str) -> None:
    """Take back the word of `torpor stop`, and have the service manager listen, where there is one."""
    try:
        presence.forget_stop(home)
    except OSError as error:
        said = f"{os.path.join(home, wire.STOPPED_NAME)} cannot be removed ({error.strerror})"
        streams.complain(f"{said}: no service manager will start torpord while it is there")
    found = service_manager.units(home)
    if found is not None:
        service_manager.start_units(home, found)


def _await(home: str, deadline: Deadline) -> None:
    """Wait for the daemon itself: the socket that took the connection may be its service manager's. Raises Timeout."""
    try:
        while not presence.is_up(home):
            deadline.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        said = f"the service manager took the connection, and no daemon has come up in {home}"
        status = homes.command("torpor service status", home)
        raise errors.Timeout(f"{said}: `{status}`, and its journal, say why") from None


def stop(args: argparse.Namespace) -> int:
    """Stop the daemon and wait until its process is gone. It stays down until `torpor start`.

    One that hibernates is woken to be told: its own record is what keeps it down, also for the service manager's
    socket and for files in `wake.d/`.
    """
    with Client(args.home, timeout=args.timeout) as client:
        if not presence.is_up(client.home):
            known = presence.last_known(client.home)
            if presence.was_stopped(client.home, known):
                state = (known or {}).get("current_state")
                _close_the_door(client.home)  # one that could not tell its manager has left it open
                show.say(args, f"stopped already, in {state}" if state else "stopped already", {"state": state})
                return wire.EX_OK
            if known is None:
                show.say(args, f"not running: no daemon has left its state in {client.home}", {"state": None})
                return wire.EX_OK
        stopped = _stopped(client, args.timeout)
    again = homes.command("torpor start", client.home)
    show.say(args, f"stopped in {stopped['state']}: `{again}` starts it again", stopped)
    return wire.EX_OK


def restart(args: argparse.Namespace) -> int:
    """Stop the daemon if it is up, and start it. After an upgrade the one that starts is the new one."""
    with Client(args.home, timeout=args.timeout) as client:
        if presence.is_up(client.home):
            _check(client.home, args.timeout)
            _check_version(client.home, client.status())
            _stopped(client, args.timeout)
    return start(args)


def _check(home: str, limit_s: float) -> None:
    """Make sure that what is stopped can start again.

    Raises BadHome with the daemon's own words, Unreachable where the machine does not let it look, and Timeout.
    """
    command = [sys.executable, "-P", "-m", "torpord", "check", "--home", home]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:  # it loads the code of the flows
        said = f"it goes on as it is: `torpord check` did not end within {durations.show(limit_s)}"
        raise errors.Timeout(f"{said}, and a start may not either") from None
    if done.returncode == wire.EX_CONFIG:
        raise errors.BadHome(f"it goes on as it is, as it could not start again: {done.stderr.strip()}")
    if done.returncode == wire.EX_TEMPFAIL:
        said = "it goes on as it is, as it cannot be told whether it could start again"
        raise errors.Unreachable(f"{said}: {done.stderr.strip()}")


def _check_version(home: str, running: Status) -> None:
    """Make sure that no newer daemon is replaced by this older torpor's own. Raises Unreachable.

    A service manager starts its own, and one whose package was replaced under it is to be what lies there now.
    """
    told: Mapping[str, Any] = {**running}
    by_us = told.get("supervisor") == "none" and not (told.get("installed") or {}).get("changed")
    if by_us and versions.is_older(torpor.__version__, running["version"]):
        said = f"it goes on as it is: torpord {running['version']} runs, and this torpor {torpor.__version__} is older"
        stop_it = homes.command("torpor stop", home)
        raise errors.Unreachable(f"{said}: use the other one, or upgrade this; or first `{stop_it}`")


def hibernate(args: argparse.Namespace) -> int:
    """Let the daemon go down as soon as nothing is busy."""
    with Client(args.home, timeout=args.timeout) as client:
        if not presence.is_up(client.home):
            known = presence.last_known(client.home)
            state = None if known is None else known.get("current_state")
            said = "not running: it has never run here" if known is None else f"down already, in {state}"
            show.say(args, said, {"state": state, "waiting_for": []})
            return wire.EX_OK
        done = client.hibernate(now=args.now)
    waiting = ", ".join(_named(each) for each in done["waiting_for"])
    show.say(args, f"{done['state']}: goes down when these let go: {waiting}" if waiting else done["state"], done)
    return wire.EX_OK


def reload(args: argparse.Namespace) -> int:
    """Have the settings read again. Bad ones change nothing: exit 78."""
    with Client(args.home, timeout=args.timeout) as client:
        if not presence.is_up(client.home):
            raise errors.Down("down: the settings are read when it starts, nothing to reload")
        try:
            done = client.reload()
        except errors.Refused as refusal:
            if refusal.name not in ("invalid_params", "conflict"):
                raise
            raise errors.BadHome(str(refusal)) from refusal
    said = f"changed: {', '.join(done['changed'])}" if done["changed"] else "nothing changed"
    if {**done}.get("leaving"):
        status = homes.command("torpor status", client.home)
        said = f"safe mode is left, and the next start tried: `{status}` says how it goes"
    show.say(args, said, done)
    return wire.EX_OK


def _stopped(client: Client, timeout_s: float) -> dict[str, Any]:
    """Stop the daemon, its service manager's units with it, and return when the process is gone. Raises Timeout."""
    deadline = Deadline(timeout_s)
    pid = client.hello()["daemon"]["pid"] if presence.is_up(client.home) else None
    done = client.stop()
    client.close()
    _close_the_door(client.home)  # at once: the next connection to its socket would start another daemon
    try:
        while presence.is_up(client.home):
            deadline.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        named = "the daemon" if pid is None else f"torpord (pid {pid})"
        raise errors.Timeout(f"{named} was told to stop and still runs after {durations.show(timeout_s)}") from None
    if isinstance(pid, int):
        with contextlib.suppress(TimeoutError):  # the lock is released: it can do nothing any more
            ending = Deadline(_AFTER_LOCK_S)
            while _runs(pid):
                ending.sleep(_LOOK_EVERY_S)
    return dict(done)


def _close_the_door(home: str) -> None:
    found = service_manager.units(home)
    if found is not None:
        service_manager.stop_units(home, found)


def _runs(pid: int) -> bool:
    """Say whether the process is still there; one that only waits to be collected by its parent is not."""
    try:
        os.kill(pid, 0)
        with pathlib.Path(f"/proc/{pid}/stat").open("rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] != [b"Z"]
    except (ProcessLookupError, PermissionError):  # gone; or the number is another user's by now
        return False
    except OSError:  # no /proc
        return True


def _named(busy: Any) -> str:
    return f"{busy.get('who')} ({busy.get('why')})" if isinstance(busy, dict) else str(busy)
