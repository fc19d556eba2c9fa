"""A timer under launchd: a second job, that touches `wake.signal` when the time has come. Never run on a Mac.

launchd's calendar knows month, day, hour and minute of the local zone, and no year: the time is rounded up to a minute,
a change of zone while the daemon is down shifts it, and the job itself asks whether its time has come. It asks at its
load, too, and so at the first login behind a reboot that went over the time. A time that passes while the Mac is asleep
rings when it wakes (launchd.plist(5), StartCalendarInterval).

How launchd is told, with what is known of its races, is `torpor.service.launchd`'s.
"""

from __future__ import annotations

import os
import plistlib
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from torpor import wire
from torpor.errors import Error
from torpor.service import launchd
from torpor.service.names import Place

if TYPE_CHECKING:
    from collections.abc import Callable

_MINUTE_S = 60
# The name is an argument: no path is ever a part of what the shell reads.
_SCRIPT = '[ "$(date +%s)" -ge "$1" ] && touch "$2"'


class LaunchdTimer:
    """The job LABEL.planned beside the daemon's own."""

    def __init__(self, label: str, home: Path, agents: Path | None = None) -> None:
        self._home = home
        directory = agents or Path("~/Library/LaunchAgents").expanduser()
        socket = str(home / wire.SOCKET_NAME)
        # `user` is whose home a system's manager would serve: launchd here has no such thing.
        self._place = Place("launchd", f"{label}.planned", str(home), socket, str(directory), user="")
        self._path = directory / self._place.files[0]

    async def set(self, at_s: int) -> str:
        """Load the job with this time; one with another time goes first."""
        return await _told(partial(self._set, at_s))

    async def clear(self) -> str:
        """Remove the job, and its property list."""
        return await _told(self._clear)

    async def is_kept(self) -> bool:
        """Say yes: whether launchd is stopping us, it tells nobody."""
        return True

    def _set(self, at_s: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # In place: launchd reads it now and at a login, and takes no half of it.
        self._path.write_bytes(plist(self._place.unit, at_s, self._home))
        launchd.started(self._place, stale=[self._path.name])

    def _clear(self) -> None:
        if launchd.state(self._place):
            launchd.stopped(self._place)
        self._path.unlink(missing_ok=True)


def plist(label: str, at_s: int, home: Path) -> bytes:
    """Return the property list of a job that rings at this time."""
    at = datetime.fromtimestamp(-(-at_s // _MINUTE_S) * _MINUTE_S)  # noqa: DTZ006 - the machine's zone is launchd's
    script = ["/bin/sh", "-c", _SCRIPT, "torpor", str(at_s), os.fspath(home / wire.WAKE_SIGNAL_NAME)]
    told = {
        "Label": label,
        "ProgramArguments": script,
        "RunAtLoad": True,
        "StartCalendarInterval": {"Month": at.month, "Day": at.day, "Hour": at.hour, "Minute": at.minute},
    }
    return plistlib.dumps(told, sort_keys=False)


async def _told(tell: Callable[[], None]) -> str:
    """Let launchd be told in a thread: it may keep whoever asks for seconds. Returns the problem."""
    try:
        await anyio.to_thread.run_sync(tell)
    except (Error, OSError) as error:
        return f"launchd does not take it: {error}"
    return ""
