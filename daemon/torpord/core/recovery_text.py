"""The time that a refusal names in words: "resets 8pm (Asia/Tbilisi)", "try again in 1m9.696s", and their like.

A time counts only right behind a word that says so (resets, try again, retry, or the bar of Claude Code's
`limit reached|EPOCH`): refusals are full of numbers that are no times, as "5-hour limit" or "Limit 30000, Used 29937".
The first that can be read is taken. The texts that are known, and where they were seen, are in
`tests/core/recovery_messages.jsonl`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

from torpord.core.recovery_forms import DAYS, DURATION, INSTANT, MONTHS, believed, counted, duration_s, instant

# Who reports can send as much as a line of the wire holds, and what matters stands within a few sentences.
_MOST_CHARS = 16_384

# JSON is only text here: a name in it may end in a quotation mark ("retryDelay": "34s", google.rpc.RetryInfo).
_KEY = re.compile(
    r"""\b(?:reset(?:s|ting)?|try\ again|retry)  ['"\s:_-]{0,4}
        (?:(?P<lead>at|on|in|after|delay)\b)?  ['"\s:_-]{0,4}""",
    re.IGNORECASE | re.VERBOSE,
)
_BAR = re.compile(r"\|\s?(\d{13}|\d{10})(?!\d)", re.ASCII)
_EPOCH = re.compile(r"(\d{13}|\d{10})(?![\d.]*\w)", re.ASCII)
_AT = re.compile(INSTANT, re.IGNORECASE | re.ASCII)
_WAIT = re.compile(rf"(?:about |approximately )?({DURATION})", re.IGNORECASE)
_ONE = re.compile(r"(?:less than |about )?an? (minute|hour|day)\b", re.IGNORECASE)

_CLOCK = r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::\d\d)?)?(?:\s?(?P<half>[ap])\.?m\b\.?)?(?![\d:])"
# The name of a zone stands in brackets, or is an abbreviation in capitals.
_ZONE = r"(?:\s?\((?P<named>[a-z][\w+/-]{0,63})\)|\s(?-i:(?P<short>[A-Z]{2,5})\b))?"
_TIME = re.compile(_CLOCK + _ZONE, re.IGNORECASE | re.ASCII)
_DAY_OF_MONTH = re.compile(
    rf"(?P<month>{'|'.join(MONTHS)})[a-z]*\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<year>\d{{4}}))?,?(?: at)? "
    + _CLOCK
    + _ZONE,
    re.IGNORECASE | re.ASCII,
)
_DAY_OF_WEEK = re.compile(
    rf"(?P<weekday>{'|'.join(DAYS)})(?:[a-z]*day)?\.?,?(?: at)? " + _CLOCK + _ZONE, re.IGNORECASE | re.ASCII
)

# https://code.claude.com/docs/en/errors: none of these is a quota that has been used up.
_NO_QUOTA = re.compile(r"not your usage limit|temporarily limiting|\bcapacity\b|\boverloaded", re.IGNORECASE)
# These two last five hours from their first request; their texts name a time of day rounded to a minute.
_FIVE_HOURS = re.compile(r"session limit|5-hour limit", re.IGNORECASE)
_FIVE_HOURS_S = 5 * 3600.0 + 60
# A report comes a moment after the refusal, and the refusal names the minute or the hour: what is past by so little has
# just begun anew, rather than that it takes another whole day.
_JUST_PAST_S = 300.0

Zones = Callable[[str], tzinfo | None]


def from_message(text: str, now_wall_s: float, zone: Zones) -> float | None:
    """Return the time that a refusal names, None where it names none that can be read."""
    plain = " ".join(text[:_MOST_CHARS].replace("\u2019", "'").split())  # a terminal may have broken its lines
    bar = _BAR.search(plain)
    if bar:
        return believed(counted(float(bar[1]), now_wall_s), now_wall_s)
    longest_s = _FIVE_HOURS_S if _FIVE_HOURS.search(plain) else math.inf
    for key in _KEY.finditer(plain):
        at_wall_s = _behind(plain, key, now_wall_s, zone, longest_s)
        if at_wall_s is not None:
            return believed(at_wall_s, now_wall_s)
    return None


def is_no_quota(text: str) -> bool:
    """Whether a refusal says itself that no quota is used up: its provider has too much to do."""
    return _NO_QUOTA.search(" ".join(text[:_MOST_CHARS].split())) is not None


def _behind(plain: str, key: re.Match[str], now_wall_s: float, zone: Zones, longest_s: float) -> float | None:
    """Read what stands right behind a word that leads to a time."""
    start, lead = key.end(), (key["lead"] or "").lower()
    if found := _EPOCH.match(plain, start):
        return counted(float(found[1]), now_wall_s)
    if found := _AT.match(plain, start):
        return instant(found[0])
    if found := _DAY_OF_MONTH.match(plain, start):
        return _on_day_of_month(found, now_wall_s, zone)
    if found := _DAY_OF_WEEK.match(plain, start):
        return _on_day_of_week(found, now_wall_s, zone)
    if lead in ("in", "after", "delay"):
        if found := _WAIT.match(plain, start):
            return now_wall_s + (duration_s(found[1]) or 0.0)
        if found := _ONE.match(plain, start):
            return now_wall_s + (duration_s(f"1 {found[1]}") or 0.0)
    if found := _TIME.match(plain, start):
        return _at_clock(found, now_wall_s, zone, longest_s)
    return None


def _at_clock(found: re.Match[str], now_wall_s: float, zone: Zones, longest_s: float) -> float | None:
    """Return the next time it is that time of day there; now where that is further ahead than the limit lasts."""
    there, clock = _zone(found, zone), _clock(found)
    if there is None or clock is None:
        return None
    today = datetime.fromtimestamp(now_wall_s, there)
    at_wall_s = _wall(today, 0, clock)
    if at_wall_s + _JUST_PAST_S < now_wall_s:
        at_wall_s = _wall(today, 1, clock)
    # Such a text is shown on long after: "resets 6:30pm" at ten in the evening is past, and not tomorrow's.
    return now_wall_s if at_wall_s > now_wall_s + longest_s else at_wall_s


def _on_day_of_week(found: re.Match[str], now_wall_s: float, zone: Zones) -> float | None:
    there, clock = _zone(found, zone), _clock(found)
    if there is None or clock is None:
        return None
    today = datetime.fromtimestamp(now_wall_s, there)
    days = (DAYS.index(found["weekday"].lower()) - today.weekday()) % 7
    at_wall_s = _wall(today, days, clock)
    return at_wall_s if at_wall_s + _JUST_PAST_S >= now_wall_s else _wall(today, days + 7, clock)


def _on_day_of_month(found: re.Match[str], now_wall_s: float, zone: Zones) -> float | None:
    """Return that day there: without a year that of the year which brings it nearest to now."""
    there, clock = _zone(found, zone), _clock(found)
    if there is None or clock is None:
        return None
    today = datetime.fromtimestamp(now_wall_s, there)
    years = [int(found["year"])] if found["year"] else [today.year - 1, today.year, today.year + 1]
    month, day = MONTHS.index(found["month"].lower()) + 1, int(found["day"])
    near: list[float] = []
    for year in years:
        try:
            near.append(_wall(today.replace(year=year, month=month, day=day), 0, clock))
        except (ValueError, OverflowError):  # there is no such day in that year
            continue
    return min(near, key=lambda at_wall_s: abs(at_wall_s - now_wall_s), default=None)


def _wall(today: datetime, days: int, clock: tuple[int, int]) -> float:
    """Return when it is that time of day, so many days after that day there.

    An hour that the clocks go through twice is its second, and one they leave out is what it would have been: the
    later one each time, so that nobody is told too early (PEP 495).
    """
    at = (today + timedelta(days=days)).replace(hour=clock[0], minute=clock[1], second=0, microsecond=0)
    return max(at.replace(fold=0).timestamp(), at.replace(fold=1).timestamp())


def _clock(found: re.Match[str]) -> tuple[int, int] | None:
    """Return hour and minute: of 12 with am or pm, else of 24, and then not without minutes."""
    hour, minute, half = int(found["hour"]), int(found["minute"] or 0), found["half"]
    if minute > 59:
        return None
    if half is None:
        return (hour, minute) if found["minute"] is not None and hour <= 23 else None
    return (hour % 12 + (12 if half.lower() == "p" else 0), minute) if 1 <= hour <= 12 else None


def _zone(found: re.Match[str], zone: Zones) -> tzinfo | None:
    name = found["named"] or found["short"] or ""
    return UTC if name.upper() in ("UTC", "GMT") else zone(name)
