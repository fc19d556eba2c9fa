"""A timer under launchd: a second job, that touches `wake.signal` when the time has come. Never run on a Mac.

launchd's calendar knows month, day, hour and minute of the local zone, and no year: the time is rounded up to a minute,
a change of zone while the daemon is down shifts it, and the job itself asks whether its time has come. It asks at its
load, too, and so at the first login behind a reboot that went over the time. A time that passes while the Mac is asleep
rings when it wakes (launchd.plist(5), StartCalendarInterval).

Of launchctl(1) is known what `torpor.service.launchd` says: `bootout` returns before the job is gone, a `bootstrap`
fails meanwhile with 5, 17 or 37, and `print` of what is not there exits 113.
"""

from __future__ import annotations

import os
import plistlib
from datetime import datetime
from pathlib import Path

import anyio

from torpor import wire
from torpord.host.timers import Ran, run_command

_MINUTE_S = 60
# The name is an argument: no path is ever a part of what the shell reads.
_SCRIPT = '[ "$(date +%s)" -ge "$1" ] && touch "$2"'
_NOT_THERE = 113
# EIO, EEXIST and EALREADY: the one that is there is on its way out.
_ON_ITS_WAY = (5, 17, 37)
# 0.05 s, doubled each time: some six seconds in all.
FIRST_PAUSE_S = 0.05
_LOOKS = 8


class LaunchdTimer:
    """The job LABEL.planned beside the daemon's own."""

    def __init__(self, label: str, home: Path, agents: Path | None = None) -> None:
        self._label = f"{label}.planned"
        self._home = home
        self._path = (agents or Path("~/Library/LaunchAgents").expanduser()) / f"{self._label}.plist"

    async def set(self, at_s: int) -> str:
        """Load the job with this time; one with another time goes first."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # In place: launchd reads it now and at a login, and takes no half of it.
            self._path.write_bytes(plist(self._label, at_s, self._home))
        except OSError as error:
            return f"{self._path} cannot be written ({error.strerror or error})"
        domain = await self._domain()
        return await self._unloaded(domain) or await self._loaded(domain)

    async def clear(self) -> str:
        """Remove the job, and its property list."""
        problem = await self._unloaded(await self._domain())
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            return problem or f"{self._path} cannot be removed ({error.strerror or error})"
        return problem

    async def is_kept(self) -> bool:
        """Say yes: whether launchd is stopping us, it tells nobody."""
        return True

    async def _domain(self) -> str:
        """Return whose jobs are meant: those of the graphical session, without one (ssh) those of the user."""
        uid = os.geteuid()
        return f"gui/{uid}" if (await _launchctl("print", f"gui/{uid}")).status == 0 else f"user/{uid}"

    async def _unloaded(self, domain: str) -> str:
        target = f"{domain}/{self._label}"
        if (await _launchctl("print", target)).status == _NOT_THERE:
            return ""
        ran = await _launchctl("bootout", target)
        for pause in range(_LOOKS):
            if (await _launchctl("print", target)).status == _NOT_THERE:
                return ""
            await anyio.sleep(FIRST_PAUSE_S * 2**pause)
        return ran.problem() or f"{target} was told to go and is still there"

    async def _loaded(self, domain: str) -> str:
        for pause in range(_LOOKS):
            ran = await _launchctl("bootstrap", domain, str(self._path))
            if ran.status not in _ON_ITS_WAY:
                break
            await anyio.sleep(FIRST_PAUSE_S * 2**pause)
        # What it says of itself is not trusted: whether the job is known is what counts.
        is_known = (await _launchctl("print", f"{domain}/{self._label}")).status == 0
        return ran.problem() or ("" if is_known else f"launchd took {self._path} and does not know its job")


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


async def _launchctl(*words: str) -> Ran:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return await run_command(("launchctl", *words), {"PATH": "/usr/bin:/bin", **kept})
