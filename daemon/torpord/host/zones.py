"""The time zones of this machine: those that have a name, and its own."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo


class MachineZone(tzinfo):
    """What the machine's clocks on the wall show, with their summer time, as the C library knows it.

    Its name would not do: the machine's zone can be a file without one (/etc/localtime), or a rule (TZ=CET-1CEST).
    """

    def utcoffset(self, at: datetime | None) -> timedelta | None:
        """Return the offset then; `fold` tells the two of an hour that comes twice, as PEP 495 has it."""
        if at is None:
            return None
        naive = at.replace(tzinfo=None)
        return naive - datetime.fromtimestamp(naive.timestamp(), UTC).replace(tzinfo=None)

    def fromutc(self, at: datetime) -> datetime:
        """Return what the clocks show at a time that is given in UTC."""
        shown = datetime.fromtimestamp(at.replace(tzinfo=UTC).timestamp())  # noqa: DTZ006 - the machine's zone is asked for
        return shown.replace(tzinfo=self)

    def dst(self, at: datetime | None) -> timedelta | None:  # noqa: ARG002 - the base class's signature
        """Return None: nobody asks how much of the offset is summer time."""
        return None

    def tzname(self, at: datetime | None) -> str | None:  # noqa: ARG002 - the base class's signature
        """Return None: it may have none."""
        return None


def zone(name: str) -> tzinfo | None:
    """Return the zone of that name, also an old one (Asia/Calcutta); '' is the machine's own. None: not known here.

    The names are files below the machine's zoneinfo; `zoneinfo` takes none that leads out of there.
    """
    if not name:
        return MachineZone()
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: it is a folder ("Europe")
        return None
