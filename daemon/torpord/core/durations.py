"""Durations as people write them: "5m", "90s", "1h30m", or a number of seconds."""

from __future__ import annotations

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DIGITS = "0123456789."
YEAR_S = 366 * 86_400.0
_MOST_CHARS = 64  # more is no duration of anybody's, and read in the square of its length


def seconds(value: object) -> float:
    """Read a duration of up to a year. Raises ValueError."""
    if isinstance(value, str) and 0 < len(value) <= _MOST_CHARS:
        total: float = _total(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        total = value  # no float yet: a whole number may be larger than any
    else:
        raise ValueError(value)
    if not 0 <= total <= YEAR_S:
        raise ValueError(value)
    return float(total)


def _total(text: str) -> float:
    total, rest = 0.0, text
    while rest:
        after = rest.lstrip(_DIGITS)
        number = rest[: len(rest) - len(after)]
        rest = after.lstrip("dhms")
        unit = after[: len(after) - len(rest)]
        if unit not in _UNITS_S:
            raise ValueError(text)
        total += float(number) * _UNITS_S[unit]
    return total
