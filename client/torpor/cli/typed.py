"""What is typed as an argument, read: each raises ValueError, or argparse's own error where there is more to say."""

from __future__ import annotations

import argparse
import contextlib
from datetime import UTC, datetime, time, timedelta

from torpor import durations


def duration(text: str) -> float:
    """Read a length of time, in seconds."""
    try:
        return durations.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def directory(text: str) -> str:
    """Read the name of a directory."""
    if not text:
        raise ValueError("an empty name is no directory")
    return text


def state(text: str) -> str:
    """Read the name of a state, in small letters too."""
    return text.upper()


def count(text: str) -> int:
    """Read how many."""
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of anything: write 0 or more in digits")
    return int(text)


def moment(text: str) -> datetime:
    """Read a time: ISO 8601, local where it names no offset, or a length of time before now."""
    try:
        before_s = durations.parse(text)
    except ValueError:
        before_s = None
    try:
        if before_s is None:
            return _written(text)
        return datetime.now(UTC) - timedelta(seconds=before_s)
    except OverflowError:
        raise ValueError(f"{text!r} is before the year 1") from None  # the parser knows ValueError only
    except ValueError:
        message = f"{text!r} is no time: write 2026-11-21T09:00, or 2h for two hours ago"
        raise argparse.ArgumentTypeError(message) from None


def time_to_come(text: str) -> datetime:
    """Read a time: a length of time from now; a time of day, the next one; or ISO 8601, local without an offset."""
    try:
        for read in (_from_now, _next_of_day, _written):
            with contextlib.suppress(ValueError):
                return read(text)
    except OverflowError:
        raise ValueError(f"{text!r} is too far away") from None  # the parser knows ValueError only
    message = f"{text!r} is no time: write 2026-11-21T09:00, 09:00, or 2h for two hours from now"
    raise argparse.ArgumentTypeError(message)


def _from_now(text: str) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=durations.parse(text))


def _next_of_day(text: str) -> datetime:
    now = datetime.now(UTC).astimezone()
    at = datetime.combine(now, time.fromisoformat(text))
    # A day later by the clock on the wall, which is not 24 hours where the clocks are changed.
    return (at if at.astimezone() > now else at + timedelta(days=1)).astimezone()


def _written(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()
