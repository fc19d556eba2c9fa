"""The forms in which providers write a time or a wait, each read by itself: None where it is not in that form."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

# Beyond this nothing is believed: no provider has a limit longer than a month.
LONGEST_S = 31 * 86_400.0

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,12})?", re.ASCII)
# Less than this is a wait, and from here a time since 1970: it tells GitLab's RateLimit-Reset from the IETF's of the
# same name. The second is the year 2001 in seconds, the third in milliseconds.
_EPOCH_S, _EPOCH_MS = 1e9, 1e12

# Go's time.Duration as its String() writes it (https://pkg.go.dev/time#Duration.String), and the words people use.
# Each unit stands before those it begins with.
_UNITS_S = {
    "milliseconds": 1e-3, "millisecond": 1e-3, "msec": 1e-3, "ms": 1e-3, "minutes": 60.0, "minute": 60.0, "mins": 60.0,
    "min": 60.0, "m": 60.0, "hours": 3600.0, "hour": 3600.0, "hrs": 3600.0, "hr": 3600.0, "h": 3600.0,
    "seconds": 1.0, "second": 1.0, "secs": 1.0, "sec": 1.0, "s": 1.0, "days": 86_400.0, "day": 86_400.0, "d": 86_400.0,
    "µs": 1e-6, "μs": 1e-6, "us": 1e-6, "ns": 1e-9,
}  # fmt: skip
_PART = rf"(\d{{1,9}}(?:\.\d{{1,12}})?)\s?({'|'.join(_UNITS_S)})(?![^\W\d_])"
_PARTS = re.compile(_PART, re.IGNORECASE)
DURATION = rf"{_PART}(?:(?:\s|,|and\b){{0,4}}{_PART}){{0,6}}"
_DURATION = re.compile(DURATION, re.IGNORECASE)

# RFC 3339 (https://www.rfc-editor.org/rfc/rfc3339#section-5.6), and what is nearly so: a blank for the T, the offset
# without a colon or as a name, no seconds. One without an offset is nobody's time.
INSTANT = (
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?"
    r"\s?(?:(?P<utc>Z|UTC|GMT)|(?P<sign>[+-])(\d\d):?(\d\d))(?!\w)"
)
_INSTANT = re.compile(INSTANT, re.IGNORECASE | re.ASCII)

# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7: IMF-fixdate, RFC 850's, asctime's. The day of the week says
# nothing that the rest does not. UTC for GMT is no HTTP, and meant so. No strptime: it knows months by the locale.
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_HTTP_DATES = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"[a-z]{{3}}, (?P<day>\d\d) (?P<month>[a-z]{{3}}) (?P<year>\d{{4}}) {_CLOCK} (?:GMT|UTC)",
        rf"[a-z]{{6,9}}, (?P<day>\d\d)-(?P<month>[a-z]{{3}})-(?P<year>\d\d) {_CLOCK} (?:GMT|UTC)",
        rf"[a-z]{{3}} (?P<month>[a-z]{{3}}) (?P<day>[ \d]\d) {_CLOCK} (?P<year>\d{{4}})",
    )
)


def number(text: str) -> float | None:
    """Read digits with or without decimals: no sign, no exponent."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def counted(value: float, now_wall_s: float) -> float:
    """Return what a bare number means, by its size: milliseconds or seconds since 1970, or seconds from now."""
    if value >= _EPOCH_MS:
        return value / 1000
    return value if value >= _EPOCH_S else now_wall_s + value


def duration_s(text: str) -> float | None:
    """Read a wait: "6m0s", "1h2m3s", "20ms", "2 days 3 hours and 12 minutes"."""
    if not _DURATION.fullmatch(text.strip()):
        return None
    return sum(float(count) * _UNITS_S[unit.lower()] for count, unit in _PARTS.findall(text))


def instant(text: str) -> float | None:
    """Read an RFC 3339 time, or what is nearly one."""
    found = _INSTANT.fullmatch(text.strip())
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, _, _, off_hours, off_minutes = found.groups()
    offset = timedelta(hours=int(off_hours or 0), minutes=int(off_minutes or 0))
    try:
        zone = UTC if found["utc"] else timezone(-offset if found["sign"] == "-" else offset)
        whole = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=zone)
        return whole.timestamp() + float(fraction or 0)
    except (ValueError, OverflowError):  # there is no such day, hour or offset
        return None


def http_date(text: str, now_wall_s: float) -> float | None:
    """Read one of HTTP's three forms. Two digits of a year are those at most 50 years ahead, as RFC 9110 has it."""
    for form in _HTTP_DATES:
        found = form.fullmatch(text.strip())
        if not found or found["month"].lower() not in MONTHS:
            continue
        year = int(found["year"])
        if year < 100:
            first = datetime.fromtimestamp(now_wall_s, UTC).year - 49
            year = first + (year - first) % 100
        month, day = MONTHS.index(found["month"].lower()) + 1, int(found["day"])
        try:
            whole = datetime(
                year, month, day, int(found["hour"]), int(found["minute"]), int(found["second"]), tzinfo=UTC
            )
            return whole.timestamp()
        except (ValueError, OverflowError):  # there is no such day or hour, or it is a leap second
            return None
    return None


def believed(at_wall_s: float | None, now_wall_s: float) -> float | None:
    """Return a provider's time as it is taken: now for what is past, None for what nobody can mean."""
    if at_wall_s is None or at_wall_s > now_wall_s + LONGEST_S:
        return None
    return max(at_wall_s, now_wall_s)
